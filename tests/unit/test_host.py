"""This machine as a container lets us have it."""

import pytest

from burst_magic.errors import BurstError
from burst_magic.host import check_platform, cores, memory_mb


def test_windows_is_refused_in_one_line():
    with pytest.raises(BurstError) as caught:
        check_platform("win32")
    assert "\n" not in str(caught.value)
    check_platform("linux")
    check_platform("darwin")


@pytest.mark.parametrize(
    ("files", "most"),
    [
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "max 100000"}, 4096),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 4096),
        ({"cpu.max": "nonsense"}, 4096),
        ({}, 4096),
    ],
)
def test_a_containers_quota_counts_as_cores(tmp_path, files, most):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cores(control_groups=tmp_path) == min(most, cores(control_groups=tmp_path / "none"))


@pytest.mark.parametrize(
    ("files", "most"),
    [
        ({"memory.max": "1048576000"}, 1000),
        ({"memory.max": "max"}, 1 << 40),
        ({"memory/memory.limit_in_bytes": "524288000"}, 500),
        ({"memory/memory.limit_in_bytes": "9223372036854771712"}, 1 << 40),
        ({}, 1 << 40),
    ],
)
def test_a_containers_memory_counts_as_the_machines(tmp_path, files, most):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory_mb(control_groups=tmp_path) == min(most, memory_mb(control_groups=tmp_path / "none"))
