"""The key of ``--key`` from a file, a pipe or the line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from burst_magic.errors import OptionError
from burst_magic.magics import calls
from burst_magic.magics.typed_key import typed_key

KEY = "ab" * 32


def test_a_key_is_itself_and_a_file_is_what_it_holds(tmp_path):
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert typed_key(KEY) == KEY
    assert typed_key(str(tmp_path / "key")) == KEY


def test_a_file_that_is_not_there_is_said_with_the_other_way():
    with pytest.raises(OptionError, match="No such file") as caught:
        typed_key("/nowhere/key")
    assert caught.value.way_out == "--key - asks for the key"


@pytest.mark.parametrize(("content", "said"), [(b"", "no key was given"), (b"\xff\xfe", "it is no text")])
def test_a_file_without_a_key_is_said(tmp_path, content, said):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(OptionError, match=said):
        typed_key(str(tmp_path / "key"))


def test_from_a_pipe_it_is_the_first_line():
    program = "from burst_magic.magics.typed_key import typed_key; print(typed_key('-'))"
    done = subprocess.run(
        [sys.executable, "-c", program], input=f"{KEY}\nmore", capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{KEY}\n"


def test_no_repr_shows_it():
    assert KEY not in repr(calls.AttachCall(id="fit", key=KEY))
