"""What comes from a store, or from a task, is shown as text, and names nothing that the user did not name."""

from __future__ import annotations

import dataclasses

import pytest

from burst_magic import cli, load_ipython_extension, unload_ipython_extension
from burst_magic.errors import BurstError, visible
from burst_magic.magics import calls, verbs
from burst_magic.magics.desk import DESK
from burst_magic.protocol.wire import keys, records

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp\r"


@pytest.fixture
def planted(world):
    """A session that another user of the store made up: its key is not the user's, and all its names are evil."""
    session = world.burst("item", [1], name="mine", out="out")
    assert list(session.results()) == [1]
    session.detach()
    changes = {"user": EVIL, "host": EVIL, "launcher": EVIL, "version": EVIL, "notebook": EVIL}
    manifest = dataclasses.replace(session.manifest, **changes)
    job = dataclasses.replace(session.description, name=f"a{EVIL}b", title=EVIL, out="print", warnings=(EVIL,))
    own = keys.SessionKeys(session.id)
    for key, record in ((own.manifest, manifest), (own.job("0").record, job)):
        world.store.put(key, records.encode(record, secret=bytes(32), key=key))
    return session


@pytest.fixture
def said(world, capsys):
    """All that a command says and asks."""

    def run(*words, user="somebody"):
        asked = []
        cli.main(
            words,
            perform=lambda call, _: getattr(verbs, words[0])(call, world.settings(user=user)),
            ask=lambda question: asked.append(visible(question)),
        )
        while DESK.open:
            DESK.open.popitem()[1].detach()
        shown = capsys.readouterr()
        return shown.out + shown.err + "".join(asked)

    return run


def is_plain(text):
    """A progress bar returns to the beginning of its line, and no more."""
    return not set(text) & set("\x1b\x07\x9b\u202e")


def test_what_moves_a_cursor_is_shown_as_text():
    assert visible("a\tb\nü 🎉") == "a\tb\nü 🎉"
    assert visible("\x1b[31m\x07\r\x9b\u202e\udcff") == r"\x1b[31m\x07\r\x9b\u202e\udcff"
    assert visible("".join(map(chr, range(256)))).count("\\") == 32 - 2 + 33 + 1  # but line feed and tab; and itself
    assert is_plain(str(BurstError(EVIL, context=EVIL, way_out=EVIL)))


@pytest.mark.parametrize("verb", ["sessions", "status", "inspect", "logs", "cost", "watch", "attach", "collect"])
def test_names_of_a_session_are_shown_as_text(planted, said, verb):
    shown = said(verb, *([] if verb == "sessions" else [planted.id]))
    assert shown
    assert is_plain(shown)


def test_output_and_errors_of_tasks_are_shown_as_text(world, said):
    code = f"print({EVIL!r})\nraise ValueError({EVIL!r} + str(item))"
    session = world.burst(code, [EVIL])
    session.results().wait()
    session.detach()
    for verb in ("collect", "logs", "status", "inspect"):
        shown = said(verb, session.id, user="")
        assert is_plain(shown)
        assert verb not in {"collect", "logs"} or "owned" in shown
    (error,) = session.results().collect(errors="return")
    assert is_plain("".join(error._render_traceback_()))


@pytest.fixture
def notebook(make_shell):
    shell = make_shell()
    load_ipython_extension(shell)
    yield shell.user_ns
    unload_ipython_extension(shell)
    while DESK.open:
        DESK.open.popitem()[1].detach()


def test_without_the_key_no_name_is_bound(world, planted, notebook, capsys):
    verbs.attach_here(calls.AttachCall(id=planted.id), world.settings(user="somebody"))
    assert "print" not in notebook
    assert "was not bound" in capsys.readouterr().out


@pytest.mark.parametrize("out", ["1x", "a b", "class", "a.b", "x\n"])
def test_what_is_no_name_is_not_bound(world, notebook, out):
    session = world.burst("item", [1], out=out)
    verbs.attach_here(calls.AttachCall(id=session.id), world.settings())
    assert out not in notebook


def test_with_the_key_the_users_name_is_bound(world, notebook):
    session = world.burst("item", [1], out="mine")
    verbs.attach_here(calls.AttachCall(id=session.id), world.settings())
    assert notebook["mine"] == [1]
