"""What a worker inherits can be told while packages come and go."""

import os

from burst_magic.session.inherited import inherited, installed


def test_a_link_to_nowhere_and_a_missing_folder_are_no_error(tmp_path):
    (tmp_path / "gone.pth").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a-1.0.dist-info").mkdir()
    os.utime(tmp_path / "a-1.0.dist-info", ns=(5, 5))
    found = dict(installed([str(tmp_path), str(tmp_path / "missing")]))
    assert found == {str(tmp_path / "gone.pth"): 0, str(tmp_path / "a-1.0.dist-info"): 5}


def test_a_package_that_is_installed_again_is_another(tmp_path):
    (tmp_path / "a-1.0.dist-info").mkdir()
    before = set(installed([str(tmp_path)]))
    os.utime(tmp_path / "a-1.0.dist-info", ns=(5, 5))
    assert set(installed([str(tmp_path)])) != before


def test_a_variable_makes_a_difference_and_nothing_makes_none():
    before = inherited()
    assert inherited() == before
    os.environ["INHERITED_BY_A_TEST"] = "1"
    try:
        assert inherited() != before
    finally:
        del os.environ["INHERITED_BY_A_TEST"]
