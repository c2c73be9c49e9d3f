"""The `burst` command: dispatch, exit codes, questions."""

import contextlib
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from burst_magic.cli import main
from burst_magic.errors import AttachError
from burst_magic.magics import calls


class Desk:
    """Performs calls by noting them, and answers questions as told."""

    def __init__(self, text=None, answer=None):
        self.text, self.answer, self.calls, self.questions = text, answer, [], []

    def perform(self, call, settings):
        self.calls.append(call)
        if isinstance(self.text, BaseException):
            raise self.text
        return self.text

    def ask(self, question, /):
        self.questions.append(question)
        return self.answer

    def run(self, *argv):
        return main(argv, perform=self.perform, ask=self.ask)


def test_a_verb_is_performed_and_its_text_printed(capsys):
    desk = Desk(text="3 of 4 done")
    assert desk.run("status", "fit") == 0
    assert desk.calls == [calls.StatusCall(id="fit")]
    assert capsys.readouterr().out == "3 of 4 done\n"


def test_no_text_prints_nothing(capsys):
    assert Desk().run("cancel", "fit") == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["status", "--help"], ["key", "show", "--help"]])
def test_help_is_printed_and_nothing_performed(argv, capsys):
    desk = Desk()
    assert desk.run(*argv) == 0
    assert desk.calls == []
    assert capsys.readouterr().out.startswith("burst ")


@pytest.mark.parametrize(
    ("argv", "says"),
    [(["help"], "burst VERB [arguments]"), (["help", "scale"], "burst scale N [ID]"), (["version"], "burst ")],
)
def test_what_people_type_first_is_understood(argv, says, capsys):
    desk = Desk()
    assert desk.run(*argv) == 0
    assert desk.calls == []
    assert capsys.readouterr().out.startswith(says)


def test_without_a_verb_the_overview_goes_to_stderr_as_wrong_use(capsys):
    assert Desk().run() == 2
    out, err = capsys.readouterr()
    assert not out
    assert "burst VERB" in err


def test_the_version_is_printed(capsys):
    assert Desk().run("--version") == 0
    assert capsys.readouterr().out.startswith("burst 0.")


@pytest.mark.parametrize("argv", [["nonsense"], ["status", "--nonsense"], ["scale"], ["scale", "x"], ["inspect"]])
def test_wrong_use_is_two_and_one_line_on_stderr(argv, capsys):
    desk = Desk()
    assert desk.run(*argv) == 2
    assert desk.calls == []
    out, err = capsys.readouterr()
    assert not out
    assert len(err.splitlines()) == 1


def test_a_refusal_is_one_and_its_message_on_stderr_without_a_traceback(capsys):
    desk = Desk(text=AttachError("no session fit", way_out="burst sessions lists them"))
    assert desk.run("status", "fit") == 1
    out, err = capsys.readouterr()
    assert not out
    assert err == "no session fit\n  try:   burst sessions lists them\n"


def test_a_bug_of_ours_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        Desk(text=ZeroDivisionError()).run("status")


@pytest.mark.parametrize("key", [b"\x03", b"\x04"], ids=["^C", "^D"])
def test_a_question_that_is_broken_off_is_answered_no(key, tmp_path):
    environ = os.environ | {"BURST_CONFIG_DIR": str(tmp_path / "c"), "BURST_DATA_DIR": str(tmp_path / "d")}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-m", "burst_magic", "cleanup", "--blobs"], environ)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(terminal, 1000)
    os.write(terminal, key)
    with contextlib.suppress(OSError):  # so a terminal ends whose process has ended
        while True:
            if not select.select([terminal], [], [], 5)[0]:
                os.write(terminal, key)  # a signal between the question and the wait for its answer wakes nobody
            elif more := os.read(terminal, 1000):
                said += more
            else:
                break
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 1
    assert b"nothing was deleted" in said
    assert b"Traceback" not in said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(24, "Too many open files"), "Too many open files\n"),
        (OSError(24, "Too many open files", "a.py"), "Too many open files\n  where: a.py\n"),
        (OSError(18, "Invalid cross-device link", "a", None, "b"), "Invalid cross-device link\n  where: a -> b\n"),
        (OSError("odd"), "odd\n"),
    ],
)
def test_what_the_system_refuses_is_said_of_the_file_that_it_names_and_of_no_other(error, said):
    code = "import sys; from burst_magic.cli import main; sys.exit(main(['status'], perform=lambda *_: throw(ERROR)))"
    raising = f"def throw(error): raise error\nERROR = {error!r}\n"
    if error.filename:
        raising += f"ERROR.filename, ERROR.filename2 = {error.filename!r}, {error.filename2!r}\n"
    ran = subprocess.run(
        [sys.executable, "-c", raising + code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", said)


def test_an_interrupt_ends_quietly(capsys):
    assert Desk(text=KeyboardInterrupt()).run("watch", "fit") == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("argv", [["cleanup", "fit", "--force"], ["cleanup", "--blobs"]])
@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("YES ", 0), ("n", 1), ("", 1), (None, 1)])
@pytest.mark.usefixtures("nobody")
def test_what_destroys_asks_first_and_refuses_where_nobody_answers(argv, answer, code, capsys):
    desk = Desk(answer=answer)
    assert desk.run(*argv) == code
    assert len(desk.questions) == 1
    assert len(desk.calls) == (code == 0)
    assert ("--yes" in capsys.readouterr().err) == (answer is None)


@pytest.mark.parametrize(
    "argv", [["cleanup", "fit", "--force", "--yes"], ["cleanup", "fit", "--yes"], ["cancel", "fit"]]
)
def test_what_was_answered_or_destroys_nothing_does_not_ask(argv):
    desk = Desk()
    assert desk.run(*argv) == 0
    assert desk.questions == []


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """A user who has started nothing."""
    monkeypatch.setenv("BURST_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("BURST_DATA_DIR", str(tmp_path))


def burst(*argv, **more):
    command = [sys.executable, "-m", "burst_magic", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **more)


def test_the_real_command_refuses_to_destroy_without_a_terminal(tmp_path):
    environ = os.environ | {"BURST_CONFIG_DIR": str(tmp_path), "BURST_DATA_DIR": str(tmp_path)}
    ran = burst("cleanup", "--blobs", stdin=subprocess.DEVNULL, env=environ)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "Add --yes" in ran.stderr


def test_the_real_command_prints_help_and_survives_a_reader_that_goes_away():
    assert "burst VERB" in burst("--help").stdout
    piped = burst_into_a_closed_pipe("status", "--help")
    assert (piped.returncode, piped.stderr) == (0, "")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["status", "--help"], ["config"]])
def test_output_that_cannot_be_written_is_one_message_and_a_failure(words, tmp_path):
    environ = os.environ | {"BURST_CONFIG_DIR": str(tmp_path), "BURST_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "burst_magic", *words]
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60, env=environ
        )
    assert ran.returncode == 1
    assert ran.stderr == "No space left on device\n  where: the output of this command\n"


def test_what_a_terminal_cannot_show_is_escaped(capfd):
    desk = Desk(text="fit · 3 of 4 done")
    code = "import sys; from burst_magic.cli import main; sys.exit(main(['status'], perform=lambda *_: 'fit · 3 of 4'))"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False, timeout=60, env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "fit \\xb7 3 of 4\n", "")
    assert desk.run("status") == 0
    assert capfd.readouterr().out == "fit · 3 of 4 done\n"


def test_a_refusal_of_the_system_in_a_verb_names_the_file(capsys):
    desk = Desk(text=PermissionError(13, "Permission denied", "/etc/shadow"))
    assert desk.run("status") == 1
    assert capsys.readouterr().err == "Permission denied\n  where: /etc/shadow\n"


def burst_into_a_closed_pipe(*argv):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [sys.executable, "-m", "burst_magic", *argv]
        return subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    finally:
        os.close(writing)
