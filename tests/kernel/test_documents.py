"""What the README and the guides show is what happens: every example runs, in order, and shows what stands below it.

A block is told by its language:

* ``python`` is a cell; ``python raises`` must end in an error, ``python kills`` ends its kernel, and the next has a new one;
* ``console`` holds ``$ burst`` commands of the same user, each with what it prints; ``NAME=value`` may stand before it;
* ``text`` right below one of them is what it shows: these lines, in this order, among others. ``…`` stands for
  anything; ids, clock times and what is a matter of milliseconds are not compared;
* ``sh`` (installing, variables) and blocks without a language (drawings) are only read.

All documents share one user and, until one of them kills it, one kernel, whose environment names a bucket on moto. What
is about AWS, a page or a section, shares another one, whose environment is the sandbox's; how to set up an account is
read by somebody whose account is empty.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import nbformat
import pytest

from burst_magic.testing.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
ON_AWS = {"costs.md", "ecs.md"}  # pages whose reader has an account: the sandbox's
ON_NOTHING = {"setup.md"}  # pages whose reader has an account in which nothing is set up
SECTION_ON_AWS = re.compile(r"^## On AWS\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)  # of other pages
RUN = {"python", "console"}
# What differs from run to run, and on whose machine: (pattern, what it is compared as).
VOLATILE = [
    (re.compile(r"\d{8}-\d{6}-[a-z2-7]{8}"), "SESSION"),
    (re.compile(r"\b[\w-]+-\d+-\d{4,}\b"), "WORKER"),
    (re.compile(r"\b\d\d:\d\d:\d\d(\.\d+)?\b"), "CLOCK"),
    (re.compile(r"\d{14}x[0-9a-f]{8}"), "CONTROL"),
    (re.compile(r"\bby \S+ on \S+, "), "by USER on HOST, "),
    (re.compile(r"(file|s3)://\S+?(?=[,\s]|$)"), "STORE"),
    (re.compile(r"\d+ (ms|bytes)\b"), r"N \1"),
    (re.compile(r"\bseed \d+"), "seed N"),
]


@dataclass(frozen=True)
class Step:
    """An example and what it shows."""

    code: str
    fate: str = ""  # "", "raises" or "kills"
    command: bool = False
    shown: str = ""


def part(page: Path, *, on_aws: bool) -> str:
    """What a page says to somebody with an account, or to everybody."""
    text = page.read_text(encoding="utf-8")
    if page.name in ON_NOTHING:
        return ""
    if page.name in ON_AWS:
        return text if on_aws else ""
    return "".join(SECTION_ON_AWS.findall(text)) if on_aws else SECTION_ON_AWS.sub("", text)


def steps(page: Path, *, on_aws: bool) -> list[Step]:
    """The examples of a part of a page, in order."""
    return steps_of(part(page, on_aws=on_aws), page.name)


def steps_of(said: str, page: str) -> list[Step]:
    """The examples in a text, in order."""
    found: list[Step] = []
    last = ""
    for language, fate, text in BLOCK.findall(said):
        if language == "python":
            found.append(Step(code=text, fate=fate))
        elif language == "console":
            found.extend(commands(text))
        elif language == "text":
            assert last in RUN, f"{page}: whose output is this?\n{text}"
            found[-1] = Step(**{**vars(found[-1]), "shown": text})
        last = language
    return found


def commands(text: str) -> Iterator[Step]:
    """``$ burst …`` lines with what they print."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        yield Step(code=line, command=True, shown=shown)


def told(text: str) -> list[str]:
    """Lines as they are compared."""
    for pattern, word in VOLATILE:
        text = pattern.sub(word, text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def missing(shown: str, text: str) -> str:
    """The first line that should be there, below the one before it, and is not."""
    lines = iter(told(text))
    for wanted in told(shown):
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.split("…")))
        if not any(pattern.fullmatch(line) for line in lines):
            return wanted
    return ""


class Reader:
    """Somebody who types what the pages show, into a notebook."""

    def __init__(self, home, start) -> None:
        self.home, self._start = home, start
        self._kernel = None
        self._notebook = home.work / "study.ipynb"
        nbformat.write(nbformat.v4.new_notebook(), self._notebook)

    @property
    def kernel(self):
        if self._kernel is None:
            self._kernel = self._start(JPY_SESSION_NAME=str(self._notebook))
        return self._kernel

    def follow(self, step: Step) -> str:
        """Does what an example says; what there was to see."""
        if step.command:
            return self.command(shlex.split(step.code))
        if step.fate == "kills":
            self.kernel.start(step.code)
            self.kernel.manager.provisioner.process.wait(60)
            self.close()
            return ""
        cell = self.kernel.fails(step.code) if step.fate else self.kernel.run(step.code)
        return cell.text

    def command(self, words: list[str]) -> str:
        """``NAME=value … burst verb …``; what it printed."""
        verb = words.index("burst")
        kept = self.home.extra
        self.home.extra = {**kept, **dict(word.split("=", 1) for word in words[:verb])}
        try:
            done = self.home.burst(*words[verb + 1 :])
        finally:
            self.home.extra = kept
        return done.stdout + done.stderr

    def forget(self) -> None:
        """Leaves nothing to the next page."""
        for path in set(self.home.work.iterdir()) - {self._notebook}:
            path.unlink()
        self.kernel.run(
            "import burst_magic as _burst\n"
            "for _row in _burst.sessions():\n"
            "    get_ipython().run_line_magic('burst_cleanup', f'{_row.id} --force --yes')\n"
        )
        self.kernel.run("%reset -f")

    def close(self) -> None:
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None


@pytest.fixture(scope="module")
def reader(tmp_path_factory, shared_home, moto_server):
    conftest = sys.modules[type(shared_home).__module__]
    moto_server.bucket("my-bucket")
    environ = {**moto_server.environ, "API_TOKEN": "t0p-secret"}
    home = conftest.Home(tmp_path_factory.mktemp("reader") / "home", extra=environ)
    reader = Reader(home, partial(conftest.Kernel, home, load=False))
    yield reader
    reader.close()
    home.none_left()


@pytest.fixture(scope="module")
def reader_on_aws(tmp_path_factory, shared_home):
    conftest = sys.modules[type(shared_home).__module__]
    with Sandbox(home=tmp_path_factory.mktemp("sandbox")) as cloud:
        home = conftest.Home(tmp_path_factory.mktemp("account") / "home", extra=cloud.environ())
        reader = Reader(home, partial(conftest.Kernel, home, load=False))
        yield reader
        reader.close()
    home.none_left()


def named(pages, *, on_aws):
    found = [page for page in pages if steps(page, on_aws=on_aws)]
    return pytest.mark.parametrize("page", found, ids=lambda page: page.name)


@named(PAGES, on_aws=False)
def test_the_examples_of_a_page_show_what_they_say(page, reader):
    read(page, reader, on_aws=False)


@named(PAGES, on_aws=True)
def test_the_examples_of_a_page_about_aws_show_what_they_say(page, reader_on_aws):
    read(page, reader_on_aws, on_aws=True)


@pytest.mark.parametrize("page", sorted(ON_NOTHING))
def test_the_examples_of_a_page_about_a_new_account_show_what_they_say(page, tmp_path, shared_home):
    conftest = sys.modules[type(shared_home).__module__]
    with Sandbox(home=tmp_path / "sandbox", empty=True, stop_timeout=5) as cloud:
        cloud.weather = replace(cloud.weather, full_images=True)  # installing what the tests need would take minutes
        home = conftest.Home(tmp_path / "home", extra={**cloud.environ(), "BURST_ENV": "image:burst-sandbox/python"})
        reader = Reader(home, partial(conftest.Kernel, home, load=False))
        try:
            follow(steps_of((ROOT / "docs" / page).read_text(encoding="utf-8"), page), page, reader)
            assert [task.id for task in cloud.tasks() if not task.is_over] == []
        finally:
            reader.close()
    home.none_left()


def read(page, reader, *, on_aws):
    try:
        follow(steps(page, on_aws=on_aws), page.name, reader)
    finally:
        reader.forget()


def follow(found, page, reader):
    for step in found:
        seen = reader.follow(step)
        unseen = missing(step.shown, seen)
        assert not unseen, f"{page} says\n\n{unseen}\n\nof\n\n{step.code}\nbut there was\n\n{seen}"


def test_an_example_that_shows_something_else_is_found():
    assert missing("3 of … done\nend", "begin\n3  of 4 done\nend") == ""
    assert missing("3 of 4 done", "2 of 4 done") == "3 of 4 done"
    assert missing("end\nbegin", "begin\nend") == "begin"
