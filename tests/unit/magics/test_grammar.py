"""The grammar of `%%burst`, the line magics and the command: what is typed, and what it means or why not."""

import pytest

from burst_magic import launchers
from burst_magic.config import load
from burst_magic.errors import OptionError, PlanError
from burst_magic.magics import calls
from burst_magic.magics.grammar import parse_argv, parse_line
from burst_magic.plan.planner import refuse


@pytest.mark.parametrize(
    ("line", "expression", "out"),
    [
        ("--map items --out r", "items", "r"),
        ("--map x in xs --out r", "x in xs", "r"),
        ("--map i, row in df.iterrows() --out r", "i, row in df.iterrows()", "r"),
        ("--out r --map [x for x in xs if x > 1]", "[x for x in xs if x > 1]", "r"),
        ('--map "x in xs" --out r', "x in xs", "r"),
        ("--map 'x in xs' --out=r", "x in xs", "r"),
        ("--map=range(4) --out r", "range(4)", "r"),
        ("--map = range(4) --out r", "range(4)", "r"),
        ('--map="x in xs" --out r', "x in xs", "r"),
        ('--map "a" + "b --workers 4" --out r', '"a" + "b --workers 4"', "r"),
        ("--map open('a b.txt').read().split() --out r", "open('a b.txt').read().split()", "r"),
        ("--map ['it\\'s', 'two'] --out r", "['it\\'s', 'two']", "r"),
        ("--map x - -y --out r", "x - -y", "r"),
        ("--map x-- y --out r", "x-- y", "r"),
        ("--map [5 --1] --out r", "[5 --1]", "r"),
        ("--map   range( 3 )   --out   r  ", "range( 3 )", "r"),
        ("--map a\t--out\tr", "a", "r"),
        ("--map files['$HOME'] --out r", "files['$HOME']", "r"),
    ],
)
def test_the_text_of_map_runs_to_the_next_option_outside_quotes(line, expression, out):
    call = parse_line("burst", line)
    assert (call.map, call.out) == (expression, out)


def test_a_whole_line_is_read():
    line = (
        "--workers 32 --map items --out squares --wait --name fit --cpu 4 --memory 8GB --arch arm64 --slots 2"
        " --timeout 5m --retries 1 --deadline 2d --idle 60 --budget 5.00 --env sync --include a.csv --include 'b c.csv'"
        " --setenv A=1 --setenv B --seed 7 --dry-run --launcher local --store file:///dir"
    )
    assert parse_line("burst", line) == calls.BurstCall(
        map="items",
        out="squares",
        wait=True,
        name="fit",
        include=("a.csv", "b c.csv"),
        setenv=(("A", "1"), ("B", None)),
        dry_run=True,
        settings={
            "workers": "32",
            "cpu": "4",
            "memory": "8GB",
            "arch": "arm64",
            "env": "sync",
            "slots": "2",
            "timeout": "5m",
            "retries": "1",
            "deadline": "2d",
            "idle": "60",
            "budget": "5.00",
            "seed": "7",
            "launcher": "local",
            "store": "file:///dir",
        },
    )


def test_an_empty_line_is_a_cell_that_runs_once():
    assert parse_line("burst", "") == parse_line("burst", "   ") == calls.BurstCall()


def test_what_was_typed_is_above_every_other_layer(tmp_path):
    call = parse_line("burst", "--budget 5 --timeout none --memory 8")
    settings = load(call.settings, environ={"BURST_TIMEOUT": "1h"}, config_dir=tmp_path, data_dir=tmp_path)
    assert (settings.budget, settings.timeout, settings.memory) == (5_000_000, None, 8192)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--wrokers 4", "--wrokers: unknown option; did you mean --workers?"),
        ("--work 4", "--work: unknown option; did you mean --workers?"),
        ("--Workers 4", "--Workers: unknown option; did you mean --workers?"),
        ("--retry 4", "--retry: unknown option; did you mean --retries?"),
        ("--gpu 1", "--gpu: unknown option; did you mean --gpus?"),
        ("--dryrun", "--dryrun: unknown option; did you mean --dry-run?"),
        ("--no-reuse", "--no-reuse: unknown option (see %%burst --help)"),
        ("--xyzzy", "--xyzzy: unknown option (see %%burst --help)"),
        ("-w 4", "-w: unknown option (see %%burst --help)"),
        ("--", "--: unknown option (see %%burst --help)"),
        ("--workers", "--workers: missing value (--workers N)"),
        ("--workers --wait", "--workers: missing value (--workers N)"),
        ("--workers=", "--workers: missing value (--workers N)"),
        ("--map", "--map: missing value (--map EXPR)"),
        ("--map --out x", "--map: missing value (--map EXPR)"),
        ("--map=", "--map: missing value (--map EXPR)"),
        ("--name ''", "--name: missing value (--name LABEL)"),
        ("--wait=yes", "--wait: takes no value (got 'yes')"),
        ("--workers four", "--workers: 'four' is not an integer of at least 1"),
        ("--workers 0", "--workers: '0' is not an integer of at least 1"),
        ("--workers -1", "--workers: '-1' is not an integer of at least 1"),
        ("--cpu lots", "--cpu: 'lots' is not a number above 0"),
        ("--memory 8TB", "--memory: '8TB' is not a size (8GB, 512MB or a number of GB)"),
        ("--timeout soon", "--timeout: 'soon' is not a duration (300, 300s, 5m, 24h or 2d)"),
        ("--deadline 22d", "--deadline: 22d is more than 21d"),
        ("--budget cheap", "--budget: 'cheap' is not a dollar amount (5 or 5.00)"),
        ("--store /dir", "--store: '/dir' is not a store (file:///dir or s3://bucket/prefix)"),
        ("--timeout 1 minute", "--timeout: write a duration as one word: 1m, not 1 minute"),
        ("--map x --deadline 2 Hours --wait", "--deadline: write a duration as one word: 2h, not 2 Hours"),
        ("--launcher fargat", "--launcher: fargat: did you mean fargate?"),
        ("--launcher nonsense", "--launcher: nonsense: not available (choose from local, fargate, spot)"),
        ("--arch x86", "--arch: x86: did you mean x86_64?"),
        ("--env conda", "--env: conda: not available (choose from sync, image)"),
        (
            "--env image:Bad/Name",
            "--env: 'Bad/Name' is not the name of an image ([HOST/]NAME[:TAG], the name in lower case)",
        ),
        ("--out 3x", "--out: '3x' is not a variable name"),
        ("--out class", "--out: 'class' is not a variable name"),
        ("--out a.b", "--out: 'a.b' is not a variable name"),
        (
            "--name a/b",
            "--name: 'a/b' is not a valid label (no slashes, no spaces at its ends, no session id, no option)",
        ),
        (
            "--name '-n'",
            "--name: '-n' is not a valid label (no slashes, no spaces at its ends, no session id, no option)",
        ),
        ("--setenv 1=2", "--setenv: '1=2' is not NAME or NAME=VALUE"),
        ("--workers 3 --workers 4", "--workers: given twice"),
        ("--map a --map b", "--map: given twice"),
        ("--wait --wait", "--wait: given twice"),
        ("items", "%%burst accepts options only, not 'items'; did you mean --map items?"),
        ("--wait items", "%%burst accepts options only, not 'items'; did you mean --map items?"),
        ("status", "%%burst accepts options only, not 'status'; did you mean %burst_status, or --map status?"),
        ("burst", "%%burst accepts options only, not 'burst'; did you mean --map burst?"),
        ("--map don't --out x", "a quote is not closed: 't --out x"),
        ("--name 'my label", "a quote is not closed: 'my label"),
        ('--map "x in xs --out r', 'a quote is not closed: "x in xs --out r'),
        ("--map x --memory 8 GB", "--memory: write a size as one word: 8GB, not 8 GB"),
        ("--memory 512 megabytes", "--memory: write a size as one word: 512MB, not 512 megabytes"),
        ("--timeout 5 minutes", "--timeout: write a duration as one word: 5m, not 5 minutes"),
        ("x in xs --out r", "%%burst accepts options only, not 'x in xs'; did you mean --map \"x in xs\"?"),
        ("--cpu 4 vCPU", "--cpu takes one word, and 'vCPU' is left over; if it is what to run for: --map vCPU"),
        (
            "--out r x in xs",
            "--out takes one word, and 'x in xs' is left over; if it is what to run for: --map \"x in xs\"",
        ),
        ("--name a b", "--name takes one word, and 'b' is left over; with blanks, write --name \"a b\""),
        (
            "--include my file",
            "--include takes one word, and 'file' is left over; with blanks, write --include \"my file\"",
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_the_option(line, says):
    with pytest.raises(OptionError) as caught:
        parse_line("burst", line)
    assert str(caught.value) == says


@pytest.mark.parametrize(
    ("line", "fixed"),
    [
        ("--session s --budget 4", "--budget"),
        ("--deadline 1h --session s", "--deadline"),
        ("--session s --setenv A=1", "--setenv"),
        ("--session s --env image", "--env"),
        ("--session s --cpu 4 --workers 3", "--workers and --cpu"),
        ("--session s --memory 4GB --workers 3 --idle 5", "--idle, --workers and --memory"),
    ],
)
def test_all_that_only_a_new_session_can_have_is_named(line, fixed):
    with pytest.raises(OptionError, match="fixed when a session starts, and --session s has started") as caught:
        parse_line("burst", line)
    assert caught.value.problem.startswith(f"{fixed} ")
    assert caught.value.way_out.startswith(f"leave out {fixed}, or leave out --session")


@pytest.mark.parametrize("line", ["--gpus 1", "--instance-type c7g.xlarge", "--env image:repo/x"])
def test_what_only_a_cloud_can_do_is_read_and_then_refused_by_the_plan(line):
    call = parse_line("burst", line)
    env = call.settings.get("env", "sync")
    with pytest.raises(PlanError, match="processes of this machine"):
        refuse("local", launchers.traits("local")["local"], call.wishes, env=env)


def test_a_session_takes_what_belongs_to_a_job():
    call = parse_line("burst", "--session s --map xs --timeout 5 --retries 1 --seed 3")
    assert call.session == "s"
    assert set(call.settings) == {"timeout", "retries", "seed"}


@pytest.mark.parametrize(
    ("name", "line", "call"),
    [
        ("status", "", calls.StatusCall()),
        ("status", "20260101-000000-abcdefgh/j1", calls.StatusCall(id="20260101-000000-abcdefgh/j1")),
        ("status", "'my fit'", calls.StatusCall(id="my fit")),
        ("collect", "", calls.CollectCall()),
        (
            "collect",
            "x --nowait --timeout 5m --errors skip",
            calls.CollectCall(id="x", nowait=True, timeout=300.0, errors="skip"),
        ),
        ("collect", "--errors=return x", calls.CollectCall(id="x", errors="return")),
        ("attach", "x --key abc=", calls.AttachCall(id="x", key="abc=")),
        ("sessions", "", calls.SessionsCall()),
        (
            "logs",
            "x --task 0 --worker h-1 --follow -n 5",
            calls.LogsCall(id="x", task=0, worker="h-1", follow=True, lines=5),
        ),
        ("logs", "", calls.LogsCall(lines=100)),
        ("scale", "4", calls.ScaleCall(workers=4)),
        ("scale", "0 x", calls.ScaleCall(workers=0, id="x")),
        ("scale", "x 3", calls.ScaleCall(workers=3, id="x")),
        ("scale", "3 5", calls.ScaleCall(workers=3, id="5")),
        ("extend", "x 1h", calls.ExtendCall(duration=3600.0, id="x")),
        ("extend", "1h", calls.ExtendCall(duration=3600.0)),
        ("extend", "1h x --budget 10", calls.ExtendCall(duration=3600.0, id="x", budget=10_000_000)),
        ("extend", "x --budget $2.50", calls.ExtendCall(id="x", budget=2_500_000)),
        ("cancel", "x/j2", calls.CancelCall(id="x/j2")),
        ("cleanup", "x --force --yes", calls.CleanupCall(id="x", force=True, yes=True)),
        ("cleanup", "x y --force z", calls.CleanupCall(id="x", more=("y", "z"), force=True)),
        ("cleanup", "--finished --older-than 7d", calls.CleanupCall(finished=True, older_than=604800.0)),
        ("cost", "x", calls.CostCall(id="x")),
        ("config", "", calls.ConfigCall()),
        ("config", "workers=4 store=s3://b/a=1", calls.ConfigCall(changes={"workers": "4", "store": "s3://b/a=1"})),
        ("config", "budget=", calls.ConfigCall(changes={"budget": ""})),
        ("doctor", "", calls.DoctorCall()),
    ],
)
def test_a_line_magic_is_read(name, line, call):
    assert parse_line(name, line) == call


@pytest.mark.parametrize(
    ("name", "line", "says"),
    [
        ("status", "a b", "%burst_status: 'b' is an unexpected argument (usage: %burst_status [ID] [--json])"),
        (
            "sessions",
            "a",
            "%burst_sessions: 'a' is an unexpected argument (usage: %burst_sessions [--all] [--json] [--account])",
        ),
        ("attach", "x KEY", "%burst_attach: 'KEY' is an unexpected argument (usage: %burst_attach [ID] [--key KEY])"),
        ("status", "--nowait", "--nowait: unknown option (an option of %burst_collect; see %burst_status --help)"),
        ("collect", "--error skip", "--error: unknown option; did you mean --errors?"),
        ("collect", "--errors rise", "--errors: rise: did you mean raise?"),
        ("collect", "--errors skips", "--errors: skips: did you mean skip?"),
        ("collect", "--errors ignore", "--errors: ignore: not available (choose from raise, return, skip)"),
        ("collect", "--timeout", "--timeout: missing value (--timeout D)"),
        ("scale", "", "%burst_scale: N is missing (usage: %burst_scale N [ID])"),
        ("extend", "x 1 hour", "%burst_extend: write a duration as one word: 1h, not 1 hour"),
        ("scale", "many", "%burst_scale N: 'many' is not an integer of at least 0"),
        ("extend", "", "%burst_extend: give a duration (1h), --budget, or both"),
        ("extend", "x", "%burst_extend: give a duration (1h), --budget, or both"),
        ("extend", "1 hour", "%burst_extend: write a duration as one word: 1h, not 1 hour"),
        (
            "extend",
            "x y",
            "%burst_extend: 'y' is an unexpected argument (usage: %burst_extend [D] [ID] [--budget DOLLARS])",
        ),
        ("logs", "-n 0", "-n: '0' is not an integer of at least 1"),
        ("logs", "--worker -n 5", "--worker: missing value (--worker W)"),
        ("logs", "-n", "-n: missing value (-n N)"),
        ("logs", "--task x", "--task: 'x' is not an integer of at least 0"),
        ("config", "workers", "'workers' is not key=value; did you mean workers=VALUE?"),
        ("config", "workers 3", "'workers' is not key=value; did you mean workers=3?"),
        ("config", "set workers 3", "'set' is not key=value; did you mean workers=3?"),
        ("config", "wrokers", "'wrokers' is not key=value"),
        ("config", "=4", "'=4' is not key=value"),
        ("cleanup", "--blobs", "--blobs: unknown option (see %burst_cleanup --help)"),
        ("cleanup", "x --finished", "--finished and --older-than choose sessions: omit ID"),
        ("cleanup", "x --older-than 1h", "--finished and --older-than choose sessions: omit ID"),
        ("image", "--all", "--older-than and --all choose the images that --prune deletes: add --prune"),
        (
            "image",
            "--older-than 2d --remote",
            "--older-than and --all choose the images that --prune deletes: add --prune",
        ),
        ("image", "--prune --remote", "--prune builds no image: omit --base and --remote"),
        ("image", "--base python:3.11 --prune", "--prune builds no image: omit --base and --remote"),
        (
            "image",
            "--base 'python 3.11'",
            "--base: 'python 3.11' is not the name of an image ([HOST/]NAME[:TAG], the name in lower case)",
        ),
        ("cleanup", "--older-than soon", "--older-than: 'soon' is not a duration (300, 300s, 5m, 24h or 2d)"),
        ("cleanup", "--forse", "--forse: unknown option; did you mean --force?"),
    ],
)
def test_a_mistake_in_a_line_magic_is_one_line(name, line, says):
    with pytest.raises(OptionError) as caught:
        parse_line(name, line)
    assert str(caught.value) == says


@pytest.mark.parametrize(
    ("argv", "call"),
    [
        (["status"], calls.StatusCall()),
        (["collect", "my fit", "--timeout", "5m"], calls.CollectCall(id="my fit", timeout=300.0)),
        (["logs", "-n", "3", "x"], calls.LogsCall(id="x", lines=3)),
        (["config", "workers=4"], calls.ConfigCall(changes={"workers": "4"})),
        (["inspect", "x"], calls.InspectCall(id="x")),
        (["watch", "x"], calls.WatchCall(id="x")),
        (["watch"], calls.WatchCall()),
        (["key", "show", "x"], calls.KeyCall(id="x")),
        (["cleanup", "--blobs", "--yes"], calls.CleanupCall(blobs=True, yes=True)),
    ],
)
def test_the_command_has_the_same_grammar(argv, call):
    assert parse_argv(argv) == call


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["statsu"], "burst statsu: unknown verb; did you mean burst status?"),
        (["burst"], "burst burst: unknown verb"),
        (["retry"], "burst retry: unknown verb (burst --help lists them)"),
        (["debug"], "burst debug: unknown verb (burst --help lists them)"),
        (["key"], "burst key: unknown verb; did you mean burst key show?"),
        (["ls"], "burst ls: unknown verb; did you mean burst sessions?"),
        (["rm", "fit"], "burst rm: unknown verb; did you mean burst cleanup?"),
        (["stop", "fit"], "burst stop: unknown verb; did you mean burst cancel?"),
        (["results"], "burst results: unknown verb; did you mean burst collect?"),
        (["%burst_status"], "burst %burst_status: unknown verb; did you mean burst status?"),
        (["inspect"], "burst inspect: ID is missing (usage: burst inspect ID)"),
        (["key", "show"], "burst key show: ID is missing (usage: burst key show ID)"),
        (["status", "--xyzzy"], "--xyzzy: unknown option (see burst status --help)"),
        (
            ["watch", "--json"],
            "--json: unknown option (an option of burst status, burst collect, burst sessions, burst cost,",
        ),
        (["status", "--workers", "3"], "--workers: unknown option (an option of %%burst; see burst status --help)"),
        (["cleanup", "x", "--blobs"], "--blobs applies to the whole store: omit ID and --force"),
        (["sandbox", "--demo", "--empty"], "--demo runs on an account that is set up: omit --empty"),
    ],
)
def test_a_mistake_in_the_command_is_one_line(argv, says):
    with pytest.raises(OptionError) as caught:
        parse_argv(argv)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["--help", "-h", "--workers 4 --help", "--help --nonsense"])
def test_help_is_asked_for_anywhere_and_before_any_mistake(line):
    call = parse_line("burst", line)
    assert isinstance(call, calls.Help)
    assert call.text.startswith("%%burst [options]")
