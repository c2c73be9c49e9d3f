"""Where packages come from, and that no credential is in what workers are told."""

from __future__ import annotations

import json

import pytest

from burst_magic.environment.indexes import PYPI, Index, find

SECRET = "hunter2"


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home" / ".config" / "uv").mkdir(parents=True)
    (tmp_path / "home" / ".config" / "pip").mkdir(parents=True)
    (tmp_path / "project").mkdir()
    return tmp_path / "home"


def found(home, environ=None, setenv=()):
    config = {"XDG_CONFIG_HOME": str(home / ".config"), "PIP_CONFIG_FILE": str(home / "no-such-file")}
    return find({**config, **(environ or {})}, setenv=setenv, home=home, folder=home.parent / "project")


def urls(indexes):
    return [indexes.default.url, *(index.url for index in indexes.others)]


def test_by_default_it_is_the_public_index(home):
    indexes = found(home, {"PIP_INDEX_URL": PYPI})
    assert urls(indexes) == [PYPI]
    assert indexes.there == ("--default-index", PYPI, "--index-strategy", "unsafe-best-match")


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({"UV_DEFAULT_INDEX": "https://a/simple/"}, ["https://a/simple"]),
        ({"UV_INDEX_URL": "https://a/simple"}, ["https://a/simple"]),
        ({"UV_INDEX": "https://a/s mine=https://b/s"}, [PYPI, "https://a/s", "https://b/s"]),
        ({"UV_EXTRA_INDEX_URL": "https://a/s"}, [PYPI, "https://a/s"]),
        ({"PIP_INDEX_URL": "https://a/s", "PIP_EXTRA_INDEX_URL": "https://b/s https://c/s"}, ["https://a/s", "https://b/s", "https://c/s"]),
        ({"UV_DEFAULT_INDEX": "https://a/s", "PIP_INDEX_URL": "https://b/s"}, ["https://a/s"]),
    ],
    ids=str,
)  # fmt: skip
def test_variables_of_uv_count_before_those_of_pip(home, environ, wanted):
    indexes = found(home, environ)
    assert urls(indexes) == wanted
    assert indexes.of_pip == ("PIP_INDEX_URL" in environ and "UV_DEFAULT_INDEX" not in environ)


def test_files_of_uv_are_read(home):
    (home / ".config" / "uv" / "uv.toml").write_text(
        '[[index]]\nname = "mine"\nurl = "https://mine/s"\n[[index]]\nurl = "https://all/s"\ndefault = true\n'
    )
    (home.parent / "project" / "pyproject.toml").write_text('[tool.uv]\nextra-index-url = ["https://project/s"]\n')
    indexes = found(home)
    assert urls(indexes) == ["https://all/s", "https://project/s", "https://mine/s"]
    assert indexes.others[1].text == "mine=https://mine/s"
    assert indexes.here == {}  # uv reads them itself


def test_files_of_pip_are_read_and_uv_is_told(home):
    (home / ".config" / "pip" / "pip.conf").write_text(
        "[global]\nindex-url = https://a/s\nextra-index-url =\n  https://b/s\n  file:///wheels\n"
    )
    indexes = found(home)
    assert urls(indexes)[:2] == ["https://a/s", "https://b/s"]
    assert indexes.here["UV_DEFAULT_INDEX"] == "https://a/s"
    assert indexes.here["UV_INDEX"] == "https://b/s"  # workers have no folder of this machine, nor has the lock
    assert "file:" not in json.dumps(indexes.there)


@pytest.mark.parametrize(
    "environ",
    [
        {"PIP_INDEX_URL": f"https://me:{SECRET}@a/s"},
        {"PIP_EXTRA_INDEX_URL": f"https://{SECRET}@a/s"},
        {"UV_DEFAULT_INDEX": f"https://me:{SECRET}@a/s"},
        {"UV_INDEX": "mine=https://a/s", "UV_INDEX_MINE_USERNAME": "me", "UV_INDEX_MINE_PASSWORD": SECRET},
    ],
    ids=str,
)
def test_an_index_with_credentials_is_closed_to_workers_and_nothing_shows_them(home, environ):
    indexes = found(home, environ)
    assert not indexes.is_open("https://a/s/")
    assert "https://a/s" not in indexes.there
    assert indexes.is_open(PYPI)
    assert SECRET not in repr(indexes) + json.dumps(indexes.facts) + json.dumps(indexes.there)


@pytest.mark.parametrize("url", ["https://a/Zq7RkP0x2LmW9tYb/lab", "https://a/basic/s?token=hunter2"])
def test_an_address_that_is_itself_a_credential_is_closed_to_workers(home, url):
    indexes = found(home, {"UV_INDEX": f"{url} https://b/api/v4/projects/12345678/packages/pypi/simple"})
    assert [index.is_open for index in indexes.others] == [False, True]
    assert not any(url.partition("?")[0] in option for option in indexes.there)


def test_an_index_whose_host_is_in_netrc_is_closed(home):
    (home / ".netrc").write_text(f"machine a login me password {SECRET}\n")
    (home / ".netrc").chmod(0o600)
    indexes = found(home, {"UV_INDEX": "https://a/s https://b/s"})
    assert (indexes.is_open("https://a/s"), indexes.is_open("https://b/s")) == (False, True)


def test_credentials_that_travel_by_setenv_open_their_index(home):
    environ = {"UV_INDEX": "my-own=https://a/s", "UV_INDEX_MY_OWN_PASSWORD": SECRET}
    indexes = found(home, environ, setenv=["UV_INDEX_MY_OWN_PASSWORD"])
    assert indexes.there[:4] == ("--default-index", PYPI, "--index", "my-own=https://a/s")
    assert SECRET not in json.dumps(indexes.there)


def test_a_damaged_file_is_passed_over(home):
    (home / ".config" / "uv" / "uv.toml").write_text("index = [")
    (home / ".config" / "pip" / "pip.conf").write_text("index-url")
    assert found(home, {"UV_INDEX": "https://a/s"}).others == (Index(url="https://a/s", private="https://a/s"),)
