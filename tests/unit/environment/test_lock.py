"""Resolving for the workers' platform: real uv, real indexes on 127.0.0.1, environments made for the test."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from burst_magic.environment.indexes import Index, Indexes
from burst_magic.environment.lock import Locker
from burst_magic.environment.uv import Target
from burst_magic.errors import PlanError
from burst_magic.protocol.wire.lock import Lock

X86, ARM = Target(python="3.11", arch="x86_64"), Target(python="3.11", arch="arm64")
COMPILED = "cp311-cp311-manylinux_2_17_{}"
HERE = {"url": "file:///src/x", "dir_info": {}}
SECRET = "hunter2"


class Resolver:
    """Locks a site's packages with an index."""

    def __init__(self, site, index) -> None:
        self.site, self.index = site, index
        self.told: list[str] = []
        self.indexes = Indexes(default=index.index, of_pip=True)

    def locked(self, *imported, target=X86):
        installed = self.site.read(target)
        how = {"indexes": self.indexes, "folder": self.site.cache, "installer": "ab", "tell": self.told.append}
        locker = Locker(target=target, installed=installed, **how)
        return locker.lock(*installed.wanted(imported, ()))

    def versions(self, *imported, target=X86):
        return dict(self.locked(*imported, target=target).lock.versions)


@pytest.fixture
def resolver(site, serve):
    return Resolver(site, serve())


def test_every_package_keeps_its_version_on_either_architecture(resolver, site):
    site.add("numbers", "plain", files={"numbers/_x.so": ""})
    site.add("plain", version="2.5")
    for machine in ("x86_64", "aarch64"):
        resolver.index.wheel("numbers", "plain", tag=COMPILED.format(machine))
    resolver.index.wheel("plain", version="2.5")
    resolver.index.wheel("plain", version="3.0")  # newer, and not what is here
    x86, arm = resolver.locked(target=X86).lock, resolver.locked(target=ARM).lock
    assert dict(x86.versions) == dict(arm.versions) == {"numbers": "1.0", "plain": "2.5"}
    assert (x86.platform, arm.platform) == ("x86_64", "arm64")
    assert x86.requirements.count("--hash=sha256:") == arm.requirements.count("--hash=sha256:") == 2
    assert x86.requirements != arm.requirements
    assert x86.indexes[:2] == ("--default-index", resolver.index.index.url)
    assert Lock.from_bytes(x86.to_bytes()) == x86


def test_what_only_linux_needs_is_found_though_it_is_not_installed_here(resolver, site):
    site.add("mine", "special>=1 ; sys_platform == 'linux'", "other ; sys_platform == 'darwin'")
    resolver.index.wheel("mine", "special>=1 ; sys_platform == 'linux'", "other ; sys_platform == 'darwin'")
    resolver.index.wheel("special", version="1.4")
    assert resolver.versions() == {"mine": "1.0", "special": "1.4"}


def test_versions_that_contradict_each_other_are_kept_as_they_are_here(resolver, site):
    """Pip installs what `pip check` complains of, and it may well work."""
    site.add("mine", "plain<2")
    site.add("plain", version="2.5")
    resolver.index.wheel("mine", "plain<2")
    resolver.index.wheel("plain", version="2.5")
    assert resolver.versions() == {"mine": "1.0", "plain": "2.5"}


def test_what_has_no_wheel_there_is_named_all_of_it_with_the_way_out(resolver, site):
    for name in ("intel", "mac", "nowhere"):
        site.add(name, files={f"{name}.py": "", f"{name}/_x.so": ""})
    resolver.index.wheel("intel", tag=COMPILED.format("x86_64"))
    resolver.index.wheel("mac", tag="cp311-cp311-macosx_11_0_arm64")
    assert resolver.versions("intel") == {"intel": "1.0"}
    with pytest.raises(PlanError) as refused:
        resolver.locked("intel", "mac", "nowhere", target=ARM)
    assert refused.value.problem == "3 packages that this cell needs cannot be installed on workers"
    for name in ("intel", "mac", "nowhere"):
        assert f"{name}==1.0 has no wheel for Python 3.11 on Linux arm64, and it is compiled" in refused.value.context
    assert refused.value.way_out.startswith("--env image:URI")


def test_what_the_cell_does_not_need_is_left_out_and_said(resolver, site):
    site.add("used", "mac")
    site.add("mac", files={"mac.so": ""})
    site.add("plain")
    for name in ("used", "plain"):
        resolver.index.wheel(name, *(["mac"] if name == "used" else []))
    found = resolver.locked("plain")
    assert dict(found.lock.versions) == {"plain": "1.0", "used": "1.0"}
    assert [why.partition(" ")[0] for why in found.left_out] == ["mac==1.0"]
    with pytest.raises(PlanError, match="1 package that this cell needs") as refused:
        resolver.locked("used")  # it asks for mac
    assert "mac==1.0" in refused.value.context


def test_pure_python_that_no_index_has_is_sent_as_it_is_here(resolver, site):
    site.add("unpublished", "plain")
    site.add("local", url=HERE)
    site.add("edited", "missing_here>=1", url={"url": "file:///x", "dir_info": {"editable": True}})
    site.add("plain")
    resolver.index.wheel("plain")
    resolver.index.wheel("missing_here")
    found = resolver.locked("unpublished", "local")
    assert dict(found.lock.versions) == {
        "edited": "1.0", "local": "1.0", "missing-here": "1.0", "plain": "1.0", "unpublished": "1.0",
    }  # fmt: skip
    names = [name for name, _ in found.lock.wheels]
    assert names == [f"{name}-1.0-py3-none-any.whl" for name in ("edited", "local", "unpublished")]
    assert {archive.path.name for archive in found.wheels} == set(names)
    assert not found.left_out


def test_a_compiled_package_that_was_installed_from_a_folder_is_refused_with_the_reason(resolver, site):
    site.add("local", url=HERE, files={"local.so": ""})
    with pytest.raises(PlanError) as refused:
        resolver.locked("local")
    assert "local==1.0 was installed from a folder or a repository, and it is compiled" in refused.value.context


def test_what_comes_from_an_index_with_a_password_is_sent_or_refused_and_the_password_is_nowhere(site, serve, tmp_path):
    public, closed = serve(), serve(SECRET)
    site.add("plain")
    site.add("secret-pure")
    site.add("secret-compiled", files={"secret_compiled.so": ""})
    public.wheel("plain")
    closed.wheel("secret_pure")
    closed.wheel("secret_compiled", tag=COMPILED.format("x86_64"))
    resolver = Resolver(site, public)
    resolver.indexes = replace(resolver.indexes, others=(closed.index,))
    found = resolver.locked("plain", "secret_pure")
    assert [name for name, _ in found.lock.wheels] == ["secret_pure-1.0-py3-none-any.whl"]
    assert "secret" not in found.lock.requirements
    assert found.lock.indexes[:2] == ("--default-index", public.index.url)
    assert ["is from an index that asks for credentials" in why for why in found.left_out] == [True]
    with pytest.raises(PlanError, match="1 package that this cell needs") as refused:
        resolver.locked("secret_compiled")
    assert "secret-compiled==1.0 is from an index that asks for credentials" in refused.value.context
    written = "".join(path.read_text(errors="replace") for path in site.cache.rglob("*") if path.is_file())
    assert SECRET not in written + repr(found) + str(refused.value)
    assert closed.index.url not in found.lock.to_bytes().decode()


def test_options_that_a_configuration_lets_uv_write_are_not_in_the_lock(resolver, site, tmp_path, monkeypatch):
    (tmp_path / "uv.toml").write_text("[pip]\nemit-index-url = true\nemit-build-options = true\n")
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    site.add("plain")
    resolver.index.wheel("plain")
    first, *rest = resolver.locked("plain").lock.requirements.strip().splitlines()
    assert first.startswith("plain==1.0")
    assert all(line.startswith("    --hash=") for line in rest)


def test_an_index_that_does_not_answer_is_said_with_the_ways_out(resolver, site, monkeypatch):
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    site.add("plain")
    resolver.indexes = Indexes(
        default=Index(url="http://127.0.0.1:9/s", private=f"http://me:{SECRET}@127.0.0.1:9/s"), of_pip=True
    )
    with pytest.raises(PlanError, match="a package index cannot be reached") as refused:
        resolver.locked()
    assert "UV_DEFAULT_INDEX" in refused.value.way_out
    assert SECRET not in str(refused.value)


def test_an_unchanged_environment_asks_no_index_and_a_changed_one_does(resolver, site, monkeypatch):
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    site.add("plain")
    resolver.index.wheel("plain")
    before = resolver.locked("plain")
    resolver.index.server.shutdown()
    resolver.index.server.server_close()
    assert resolver.locked("plain") == before
    assert resolver.told == ["resolving 1 package for Python 3.11 on Linux x86_64, once until one changes"]
    site.add("another")
    with pytest.raises(PlanError):
        resolver.locked("plain")


def test_a_wheel_that_was_deleted_here_is_made_again(resolver, site):
    site.add("local", url=HERE)
    before = resolver.locked("local")
    before.wheels[0].path.unlink()
    after = resolver.locked("local")
    assert after == before
    assert after.wheels[0].path.exists()


def test_nothing_to_install_is_a_lock_of_nothing(resolver):
    found = resolver.locked()
    assert (found.lock.requirements, found.lock.wheels, found.lock.versions) == ("", (), ())


def test_a_lock_of_a_newer_version_is_read_as_far_as_it_is_known(resolver):
    lock = resolver.locked().lock
    said = {**json.loads(lock.to_bytes()), "of a newer version": 1}
    assert Lock.from_bytes(json.dumps(said).encode()) == lock
