"""The table, and what is derived from it: help, reference, usage."""

import re
from dataclasses import fields
from inspect import signature

import pytest

from burst_magic import config
from burst_magic.magics.grammar import parse_argv, parse_line
from burst_magic.magics.helptext import default, help_text, overview, reference
from burst_magic.magics.options import OPTIONS, SIZE, options
from burst_magic.magics.verb_table import VERBS, verb

OF_THE_CELL = [
    "--workers",
    "--map",
    "--out",
    "--wait",
    "--sample",
    "--name",
    "--fresh",
    "--launcher",
    "--store",
    "--cpu",
    "--memory",
    "--arch",
    "--slots",
    "--threads",
    "--timeout",
    "--retries",
    "--deadline",
    "--idle",
    "--budget",
    "--env",
    "--include",
    "--setenv",
    "--seed",
    "--dry-run",
    "--session",
    "--help",
]
KNOWN_TO_BE_REFUSED = ["--gpus", "--instance-type"]
MAGICS = [
    "%%burst",
    "%burst_status",
    "%burst_collect",
    "%burst_attach",
    "%burst_sessions",
    "%burst_logs",
    "%burst_scale",
    "%burst_extend",
    "%burst_cancel",
    "%burst_cleanup",
    "%burst_cost",
    "%burst_quota",
    "%burst_config",
    "%burst_setup",
    "%burst_teardown",
    "%burst_doctor",
]
COMMAND_ONLY = ["burst inspect", "burst watch", "burst sandbox", "burst image", "burst key show"]
LATER = [
    "ec2",
    "batch",
    "burst_retry",
    "burst_debug",
    "joblib",
    "reuse",
]


def test_every_option_of_the_cell_is_there_and_no_other():
    assert sorted(option.name for option in options("burst") if option.shown) == sorted(OF_THE_CELL)
    assert [option.name for option in options("burst") if not option.shown] == KNOWN_TO_BE_REFUSED


def test_every_verb_is_there_and_no_other():
    assert [each.magic for each in VERBS if each.magic] == MAGICS
    assert [each.command for each in VERBS if not each.magic] == COMMAND_ONLY


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("status", ["--json"]),
        ("collect", ["--errors", "--nowait", "--pending", "--timeout"]),
        ("attach", ["--key"]),
        ("sessions", ["--account", "--all", "--json"]),
        ("logs", ["--follow", "--task", "--worker", "-n"]),
        ("extend", ["--budget"]),
        ("cleanup", ["--finished", "--force", "--older-than", "--yes"]),
        (
            "setup",
            [
                "--allow-read",
                "--allow-write",
                "--name",
                "--no-trial",
                "--plan",
                "--policy",
                "--region",
                "--repository",
                "--revoke",
                "--subnets",
                "--vpc",
                "--yes",
            ],
        ),
        ("teardown", ["--name", "--region", "--yes"]),
    ],
)
def test_every_option_of_a_line_magic_is_there_and_no_other(name, taken):
    assert sorted(option.name for option in options(name) if option.name != "--help") == taken


def test_blobs_is_for_the_command_only():
    assert "--blobs" in [option.name for option in options("cleanup", terminal=True)]


@pytest.mark.parametrize("each", VERBS, ids=lambda each: each.name)
def test_what_options_and_arguments_fill_are_fields_of_the_call(each):
    names = {field.name for field in fields(each.call)}
    filled = {argument.field for argument in each.arguments} | {each.more for each in each.arguments if each.more}
    for option in options(each.name, terminal=True):
        if option.name != "--help":
            filled.add("settings" if option.setting else option.target)
    assert filled | ({"changes"} if each.name == "config" else set()) == names


def test_what_is_not_given_is_the_calls_own_default():
    for each in VERBS:
        for option in options(each.name, terminal=True):
            if option.setting or not option.default or option.name == "--map":
                continue
            standing = signature(each.call).parameters[option.target].default
            assert str(standing).lower() == option.default, option.name


@pytest.mark.parametrize("option", [each for each in OPTIONS if each.setting], ids=lambda each: each.name)
def test_a_setting_is_named_as_its_option(option):
    assert option.setting in config.keys()
    assert option.setting == option.name.strip("-")
    assert default(option)


@pytest.mark.parametrize("key", config.keys())
def test_every_setting_has_an_option(key):
    assert (key in {option.setting for option in OPTIONS}) is (key not in config.OF_THE_ACCOUNT)


@pytest.mark.parametrize(
    ("name", "text"),
    [("--deadline", "24h"), ("--idle", "5m"), ("--slots", "1"), ("--retries", "0"), ("--launcher", "local")],
)
def test_a_default_is_that_of_the_settings(name, text):
    assert default(next(option for option in options("burst") if option.name == name)) == text


@pytest.mark.parametrize("each", VERBS, ids=lambda each: each.name)
@pytest.mark.parametrize("terminal", [False, True])
def test_help_names_every_shown_option_and_no_hidden_one(each, terminal):
    text = help_text(each, terminal=terminal)
    for option in options(each.name, terminal=terminal):
        assert (option.usage in text) == option.shown
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_one_group_of_options_among_others_has_no_heading():
    assert SIZE not in help_text(verb("image"), terminal=True)
    assert SIZE in help_text(verb("burst"))


def test_help_begins_with_how_it_is_typed():
    assert help_text(verb("scale")).startswith("%burst_scale N [ID]\n")
    assert help_text(verb("scale"), terminal=True).startswith("burst scale N [ID]\n")
    assert help_text(verb("key")).startswith("burst key show ID\n")
    assert help_text(verb("extend")).startswith("%burst_extend [D] [ID] [--budget DOLLARS]\n")


def test_the_overview_lists_every_subcommand():
    listed = re.findall(r"^  (\S+(?: \S+)?)  ", overview(), re.MULTILINE)
    assert listed == [each.command.removeprefix("burst ") for each in VERBS if each.command]


def test_the_reference_has_a_row_for_every_shown_option():
    text = reference()
    for each in VERBS:
        section = text.partition(f"### {each.magic or each.command}\n")[2].partition("\n### ")[0]
        rows = [line for line in section.splitlines() if line.startswith("| `-")]
        assert len(rows) == len([option for option in options(each.name, terminal=True) if option.shown])
        assert all(row.replace("\\|", "").count("|") == 4 for row in rows)


@pytest.mark.parametrize("word", LATER)
def test_what_later_versions_bring_is_not_mentioned(word):
    texts = [overview(), reference(), *(help_text(each, terminal=way) for each in VERBS for way in (False, True))]
    assert not [text for text in texts if word in text.lower().replace("fargate must", "")]


@pytest.mark.parametrize("each", VERBS, ids=lambda each: each.name)
def test_every_verb_has_its_help_in_both_places(each):
    if each.magic:
        assert parse_line(each.name, "--help").text.startswith(each.magic)
    if each.command:
        assert parse_argv([*each.command.split()[1:], "--help"]).text.startswith(each.command)
