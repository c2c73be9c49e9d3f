"""Completion: what is offered, and that a real IPython shell offers it."""

import pytest
from IPython.core.completer import provisionalcompleter

from burst_magic.magics.complete import register, session_ids, unregister
from burst_magic.magics.offer import offer
from burst_magic.session import session_list
from burst_magic.session.session_list import ListedJob

IDS = ["20260102-000000-abcdefgh", "fit"]


def words(line, **more):
    made = offer(line, ids=lambda: IDS, names=lambda word: ["xs", "xylophones", "items"], **more)
    return made and (made.fragment, *made.words)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%%burst --wo", ("--wo", "--workers")),
        ("%%burst --workers 4 --o", ("--o", "--out")),
        ("%%burst --map x in xs if x --o", ("--o", "--out")),
        ("%%burst --map x", ("x", "xs", "xylophones")),
        ("%%burst --map=x", ("x", "xs", "xylophones")),
        ("%%burst --map i, x in enumerate(xy", ("xy", "xylophones")),
        ("%%burst --launcher ", ("", "local", "fargate", "spot")),
        ("%%burst --arch a", ("a", "arm64")),
        ("%%burst --arch=", ("", "x86_64", "arm64")),
        ("%%burst --env s", ("s", "sync")),
        ("%%burst --session ", ("", *IDS)),
        ("%%burst --session=f", ("f", "fit")),
        ("%burst_status ", ("", *IDS, "--json", "--help")),
        ("%burst_status 2026", ("2026", IDS[0])),
        ("%burst_status --", ("--", "--json", "--help")),
        ("  x = %burst_collect --errors r", ("r", "raise", "return")),
        ("x=%burst_collect --errors=s", ("s", "skip")),
        ("%burst_collect fit --n", ("--n", "--nowait")),
        ("%burst_logs -", ("-", "--task", "--worker", "--follow", "-n", "--help")),
        ("%burst_config wo", ("wo", "workers=")),
        ("%burst_config workers=4 arch=a", ("a", "arm64")),
        ("%burst_config launcher=", ("", "local", "fargate", "spot")),
        ("%burst_sessions ", ("", "--all", "--json", "--account", "--help")),
    ],
)
def test_what_fits_is_offered(line, offered):
    assert words(line) == offered


@pytest.mark.parametrize(
    "line",
    [
        "%%burst",  # IPython completes the names of magics
        "%burst_st",
        "%%burst --map ",  # any name may follow
        "%%burst --map xs.",
        "%%burst --map xs.x",
        "%%burst --map 1x",
        "%%burst --out r",
        "%%burst --workers ",
        "%%burst --gp",  # hidden
        "%%burst --launcher x",
        "%%timeit --wo",
        "%burst_debug --",
        "%burst_inspect ",
        "%%burst_status ",
        "burst_status ",
        "print('%burst_status",
        "",
    ],
)
def test_where_nothing_of_ours_fits_nothing_is_offered(line):
    assert words(line) is None


def test_everything_is_offered_after_the_cells_name_and_nothing_twice():
    offered = words("%%burst ")
    assert "--workers" in offered
    assert "--gpus" not in offered
    assert "--workers" not in words("%%burst --workers 4 --")
    assert "--include" in words("%%burst --include a --")


def test_the_cell_magic_stands_in_the_first_line_only():
    assert words("%%burst --wo", first=False) is None
    assert words("%burst_collect --no", first=False) == ("--no", "--nowait")


def test_ids_and_names_are_read_from_the_session_list_newest_first_and_once(tmp_path):
    path = tmp_path / "sessions.jsonl"
    assert session_ids(path) == []
    for sid, job, name in [("a", "0", "fit"), ("b", "0", ""), ("b", "1", ""), ("c", "0", "fit")]:
        session_list.append(path, ListedJob(id=sid, job=job, store="memory://x", created=0.0, name=name))
    assert session_ids(path) == ["c", "fit", "b", "a"]


@pytest.fixture
def shell(make_shell):
    """A real IPython shell with the matcher."""
    made = make_shell()
    register(made)
    made.user_ns["itemlist"] = [1]
    return made


def completions(shell, text):
    """What a kernel answers to a complete_request: (start, text)."""
    with provisionalcompleter():
        return [(each.start, each.text) for each in shell.Completer.completions(text, len(text))]


@pytest.mark.filterwarnings(
    "ignore:.*Completer.complete:PendingDeprecationWarning"
)  # what `shell.complete` still calls
@pytest.mark.parametrize("jedi", [True, False])
@pytest.mark.parametrize(
    ("line", "fragment", "first"),
    [
        ("%%burst --wo", "--wo", "--workers"),
        ("%%burst --arch=a", "a", "arm64"),
        ("x = %burst_collect --errors s", "s", "skip"),
        ("%burst_config wo", "wo", "workers="),
    ],
)
def test_a_real_shell_completes_options_and_values(shell, jedi, line, fragment, first):
    shell.Completer.use_jedi = jedi
    assert shell.complete(None, line, len(line)) == (fragment, [first])
    assert completions(shell, line) == [(len(line) - len(fragment), first)]


@pytest.mark.parametrize("jedi", [True, False])
def test_a_real_shell_completes_names_in_the_expression_of_map_and_in_the_cell(shell, jedi):
    shell.Completer.use_jedi = jedi
    assert (14, "itemlist") in completions(shell, "%%burst --map itemli")
    assert (15, "itemlist") in completions(shell, "%%burst --wait\nitemli")


def test_registering_twice_offers_once_and_unregistering_nothing(shell):
    register(shell)
    assert len(shell.Completer.custom_matchers) == 1
    assert completions(shell, "%%burst --wo") == [(8, "--workers")]
    unregister(shell)
    assert "--workers" not in [text for _, text in completions(shell, "%%burst --wo")]


def test_a_real_shell_completes_the_users_sessions_and_names_that_no_python_token_holds(shell, tmp_path, monkeypatch):
    monkeypatch.setenv("BURST_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("BURST_CONFIG_DIR", str(tmp_path))
    sid = "20260102-000000-abcdefgh"
    session_list.append(
        tmp_path / "sessions.jsonl", ListedJob(id=sid, job="0", store="memory://x", created=0.0, name="fit:one")
    )
    assert completions(shell, "%burst_status 20260102-0") == [(14, sid)]
    assert completions(shell, "%burst_status fit:o") == [(14, "fit:one")]
