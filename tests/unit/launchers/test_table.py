"""Which launchers there are, and how another package adds one."""

import sys

import pytest

from burst_magic import launchers
from burst_magic.errors import OptionError
from burst_magic.launchers.base import Handle, Traits
from burst_magic.launchers.local import LocalLauncher


class Kite:
    """Starts nobody."""

    name = "kite"
    traits = Traits(starting_within=7)

    def __init__(self, logs):
        self.logs = logs


@pytest.fixture
def kite():
    forget = launchers.register("kite", Kite)
    yield Kite
    forget()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("xyz", "not available (choose from local, fargate, spot)"),
        ("locale", "did you mean local?"),
        ("local,fargat", "fargat: did you mean fargate?"),
    ],
)
def test_an_unknown_launcher_is_refused_with_those_that_are_or_the_one_that_was_meant(tmp_path, name, said):
    with pytest.raises(OptionError) as caught:
        launchers.traits(name)
    assert said in str(caught.value)
    assert str(caught.value).startswith("launcher: ")


@pytest.mark.usefixtures("kite")
def test_a_launcher_that_is_registered_is_one(tmp_path):
    assert "kite" in launchers.names()
    assert launchers.open_launcher("kite", logs=tmp_path).logs == tmp_path
    assert launchers.traits("kite,local") == {"kite": Kite.traits, "local": LocalLauncher.traits}


def test_a_launcher_that_was_taken_back_is_none(kite):
    launchers.register("other", kite)()
    assert "other" not in launchers.names()


def test_a_name_that_no_option_could_hold_is_refused():
    with pytest.raises(OptionError, match="expected NAME or NAME,FALLBACK"):
        launchers.register("My Kite", Kite)


def test_an_installed_package_adds_one_by_its_entry_point(tmp_path, monkeypatch):
    (tmp_path / "paper.py").write_text(
        "from burst_magic.launchers.base import Traits\n"
        "class Paper:\n    name = 'paper'\n    traits = Traits(starting_within=9)\n"
    )
    info = tmp_path / "paper-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: paper\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[burst_magic.launchers]\npaper = paper:Paper\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert launchers.traits("paper")["paper"].starting_within == 9


def test_a_handle_of_a_newer_version_is_read():
    handle = Handle(launcher="kite", wid="k-1", token="t", data={"line": [1, {"a": None}]})
    newer = handle.to_json()[:-1] + ',"colour":"red"}'
    assert Handle.from_json(newer) == handle


class Glider(Kite):
    """Falls back on kites."""

    name = "glider"
    traits = Traits(starting_within=7, fallback="kite")


@pytest.mark.usefixtures("kite")
def test_a_launcher_may_fall_back_on_another_by_itself():
    forget = launchers.register("glider", Glider)
    assert list(launchers.traits("glider", fallback=True)) == ["glider", "kite"]
    assert list(launchers.traits("glider")) == ["glider"]
    assert list(launchers.traits("glider,local", fallback=True)) == ["glider", "local"]
    forget()
