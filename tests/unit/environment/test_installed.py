"""Which packages of the kernel workers get, by the metadata of environments that are made for each test."""

from __future__ import annotations

import zipfile

import pytest

from burst_magic.environment.installed import PackageOrigin, read
from burst_magic.environment.uv import Target
from burst_magic.environment.wheels import can_pack, pack

X86, ARM = Target(python="3.11", arch="x86_64"), Target(python="3.11", arch="arm64")


def test_packages_and_what_they_ask_for_go_and_the_notebooks_side_stays(site):
    site.add("pandas", "numpy>=1", "six")
    site.add("numpy")
    site.add("six")
    site.add("jupyterlab", "ipykernel", "six", "tornado")
    site.add("ipykernel", "tornado")
    site.add("tornado")
    site.add("burst-magic", "boto3")
    site.add("boto3")
    site.add("pip")
    assert site.wanted()[0] == ["numpy", "pandas", "six"]


def test_what_a_cell_imports_goes_although_the_notebook_brought_it(site):
    site.add("burst-magic", "boto3", "Jinja2")
    site.add("boto3", "botocore")
    site.add("botocore")
    site.add("Jinja2", files={"jinja2/__init__.py": ""})
    assert site.wanted() == ([], [])
    assert site.wanted("boto3") == (["boto3", "botocore"], ["boto3", "botocore"])
    assert site.wanted("jinja2")[0] == ["jinja2"]


def test_a_module_is_found_whatever_its_package_is_called(site):
    site.add("scikit-learn", "scipy", files={"sklearn/__init__.py": "", "sklearn/_x.cpython-311.so": ""})
    site.add("scipy", files={"scipy/__init__.py": ""})
    site.add("PyYAML", files={"yaml/__init__.py": "", "_yaml.cpython-311-x86_64-linux-gnu.so": ""})
    site.add("old", files={"old-1.0.dist-info/top_level.txt": "oldest\n"})
    _, needed = site.wanted("sklearn", "yaml", "oldest", "not_here")
    assert needed == ["old", "pyyaml", "scikit-learn", "scipy"]


def test_what_another_package_asks_for_goes_although_it_is_of_the_notebooks_side(site):
    site.add("my-widgets", "ipywidgets", "setuptools>=60")
    site.add("ipywidgets", "ipython")
    site.add("ipython")
    site.add("setuptools")
    assert site.wanted()[0] == ["ipython", "ipywidgets", "my-widgets", "setuptools"]


def test_packages_that_ask_for_each_other_are_not_lost(site):
    site.add("one", "other")
    site.add("other", "one")
    site.add("ipykernel", "bound")
    site.add("bound", "ipykernel")
    assert site.wanted()[0] == [
        "bound",
        "ipykernel",
        "one",
        "other",
    ]  # nobody else asks for them: not left out by guess


def test_extras_count_where_they_are_asked_for(site):
    site.add("server", "schema[formats]")
    site.add("schema", "idna ; extra == 'formats'", "colors ; extra == 'rare'", extras=("formats", "rare"))
    site.add("idna")
    site.add("colors")
    installed = site.read()
    assert installed.packages["schema"].needs == ("idna",)
    assert installed.roots == {"server", "colors"}


@pytest.mark.parametrize(
    ("marker", "target", "goes"),
    [
        ("sys_platform == 'linux'", X86, True),
        ("sys_platform == 'darwin'", X86, False),
        ("platform_system == 'Windows'", X86, False),
        ("platform_machine == 'x86_64'", X86, True),
        ("platform_machine == 'x86_64'", ARM, False),
        ("platform_machine == 'aarch64'", ARM, True),
        ("python_version < '3.11'", X86, False),
        ("python_version >= '3.11'", X86, True),
    ],
)
def test_what_is_asked_for_is_read_for_the_workers_platform(site, marker, target, goes):
    site.add("ipython", f"appnope ; {marker}")
    site.add("mine", f"special ; {marker}", f"absent>=2 ; {marker}")
    site.add("appnope")
    site.add("special")
    installed = site.read(target)
    assert installed.packages["mine"].needs == (("special",) if goes else ())
    assert installed.packages["mine"].lacks == (("absent>=2",) if goes else ())


def test_what_only_this_machine_asks_for_is_nobodys_root(site):
    """On a Mac IPython asks for appnope: that must not make it a package of the user's own."""
    site.add(
        "ipython", "here-only ; sys_platform == 'linux' and platform_machine == 'x86_64'", "there ; os_name == 'x'"
    )
    site.add("here-only")
    site.add("there")
    assert "here-only" not in site.read(ARM).roots
    assert site.wanted(target=ARM)[0] == ["there"]


def test_where_a_package_came_from_is_told_by_its_metadata(site):
    site.add("plain")
    site.add("folder", url={"url": "file:///src/folder", "dir_info": {}})
    site.add("edited", url={"url": "file:///src/edited", "dir_info": {"editable": True}})
    site.add("repository", url={"url": "https://git/x", "vcs_info": {"vcs": "git", "commit_id": "1"}})
    site.add("archive", url={"url": "https://files/x.whl", "archive_info": {}})
    site.add("conda-built", url={"url": "file:///croot/conda-built", "dir_info": {}}, installer="conda")
    origins = {name: each.origin for name, each in site.read().packages.items()}
    index, here, editable = PackageOrigin
    assert origins == {
        "plain": index, "folder": here, "edited": editable, "repository": here, "archive": here, "conda-built": index,
    }  # fmt: skip


def test_an_environment_is_examined_again_only_when_something_was_installed_or_removed(site):
    info = site.add("one")
    site.read()
    (info / "METADATA").write_text("Name: one\nVersion: 2.0\n")  # by nobody who installs: not seen
    assert site.read().packages["one"].version == "1.0"
    site.add("two")
    again = site.read()
    assert (again.packages["one"].version, sorted(again.packages)) == ("2.0", ["one", "two"])
    assert again == site.read()


def test_a_damaged_cache_is_made_anew(site):
    site.add("one")
    before = site.read()
    (kept,) = site.cache.iterdir()
    kept.write_text("{")
    assert site.read() == before


def test_the_first_of_two_places_counts_as_for_python(site, tmp_path):
    site.add("one", version="1.0")
    (tmp_path / "other").mkdir()
    other = type(site)(tmp_path / "other")
    other.add("one", version="2.0")
    found = read(X86, site.cache, path=[str(other.folder), str(site.folder)])
    assert found.packages["one"].version == "2.0"


def content(archive):
    with zipfile.ZipFile(archive.path) as file:
        return {name: file.read(name).decode() for name in file.namelist()}


def test_a_wheel_of_what_is_installed_has_its_files_and_no_trace_of_the_install(site, tmp_path):
    files = {"mine/__init__.py": "x = 1\n", "mine/data.txt": "data", "mine/__pycache__/x.pyc": "", "../bin/tool": "#!"}
    site.add("mine", files=files, url={"url": "file:///src/mine", "dir_info": {}})
    package = site.read().packages["mine"]
    archive = pack(package, tmp_path)
    assert archive.path.name == "mine-1.0-py3-none-any.whl"
    found = content(archive)
    assert sorted(found) == [
        "mine-1.0.dist-info/METADATA", "mine-1.0.dist-info/RECORD", "mine-1.0.dist-info/WHEEL",
        "mine/__init__.py", "mine/data.txt",
    ]  # fmt: skip
    assert "mine/data.txt,sha256=" in found["mine-1.0.dist-info/RECORD"]
    assert pack(package, tmp_path / "elsewhere").sha256 == archive.sha256


def test_of_an_editable_install_only_metadata_is_packed(site, tmp_path):
    files = {"__editable__.mine.pth": "/src/mine", "__editable___mine_finder.py": "", "other.so": ""}
    site.add("mine", files=files, url={"url": "file:///src/mine", "dir_info": {"editable": True}})
    package = site.read().packages["mine"]
    assert can_pack(package)
    assert {name.partition("/")[0] for name in content(pack(package, tmp_path))} == {"mine-1.0.dist-info"}


@pytest.mark.parametrize(
    ("files", "can"),
    [({"a.py": ""}, True), ({"a.py": "", "a/_b.so": ""}, False), ({"a.abi3.so": ""}, False), ({"a.pyd": ""}, False)],
)
def test_compiled_code_is_of_this_machine(site, files, can):
    site.add("mine", files=files)
    assert can_pack(site.read().packages["mine"]) is can
