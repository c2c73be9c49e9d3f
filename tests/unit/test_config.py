"""Settings: four layers, one reader of the environment, errors that name where the mistake stands."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from burst_magic import config, host
from burst_magic.config import Settings, explain, load, save
from burst_magic.errors import OptionError


@pytest.fixture
def home(tmp_path):
    """Directories of the test's own, as keyword arguments of `load`."""
    return {"config_dir": tmp_path / "config", "data_dir": tmp_path / "data"}


def write(home, text):
    home["config_dir"].mkdir(parents=True, exist_ok=True)
    (home["config_dir"] / "config.toml").write_text(text, encoding="utf-8")


def test_without_any_layer_the_defaults_hold(home, tmp_path):
    settings = load(environ={}, **home)
    assert settings == Settings(store=(tmp_path / "data" / "store").as_uri(), workers=host.cores(), **home)
    assert (settings.launcher, settings.slots, settings.retries) == ("local", 1, 0)
    assert (settings.deadline, settings.idle, settings.timeout, settings.budget) == (86400, 300, None, None)


def test_each_layer_is_above_the_one_before(home):
    write(home, "workers = 2\nslots = 2\nretries = 2\n")
    settings = load({"retries": 4}, environ={"BURST_SLOTS": "3", "BURST_RETRIES": "3"}, **home)
    assert (settings.workers, settings.slots, settings.retries) == (2, 3, 4)


@pytest.mark.parametrize(
    ("key", "raw", "value"),
    [
        ("store", "s3://bucket/prefix", "s3://bucket/prefix"),
        ("store", "file:///dir", "file:///dir"),
        ("store", "memory://x", "memory://x"),
        ("launcher", "local", "local"),
        ("launcher", "spot,fargate", "spot,fargate"),
        ("workers", 8, 8),
        ("workers", "100_000", 100_000),
        ("cpu", 0.25, 0.25),
        ("cpu", "4", 4.0),
        ("memory", "8GB", 8192),
        ("memory", 8, 8192),
        ("arch", "arm64", "arm64"),
        ("arch", "aarch64", "arm64"),
        ("arch", "amd64", "x86_64"),
        ("slots", "2", 2),
        ("timeout", "5m", 300.0),
        ("timeout", "none", None),
        ("retries", 0, 0),
        ("deadline", 3600, 3600.0),
        ("deadline", "21d", 21 * 86400.0),
        ("idle", "300s", 300.0),
        ("budget", 5.0, 5_000_000),
        ("budget", "none", None),
        ("seed", 0, 0),
        ("interval", "0.2", 0.2),
        ("floor", 0.05, 0.05),
    ],
)
def test_a_call_is_written_in_the_units_of_the_user(home, key, raw, value):
    assert getattr(load({key: raw}, environ={}, **home), key) == value


@pytest.mark.parametrize(
    ("key", "raw", "says"),
    [
        ("store", "/dir", "is not a store"),
        ("store", "file://dir", "is not an absolute path"),
        ("store", "s3://", "is not a store"),
        ("store", "gs://bucket", "is not a store"),
        ("launcher", "Far gate", "'Far gate': expected NAME or NAME,FALLBACK"),
        ("launcher", "spot,fargate,local", "expected NAME or NAME,FALLBACK"),
        ("workers", 0, "is not an integer of at least 1"),
        ("workers", 2.5, "is not an integer"),
        ("workers", True, "is not an integer"),
        ("cpu", "many", "is not a number above 0"),
        ("cpu", "nan", "is not a number above 0"),
        ("memory", "8TB", "is not a size"),
        ("arch", "riscv", "riscv: not available (choose from x86_64, arm64)"),
        ("timeout", "soon", "is not a duration"),
        ("deadline", "22d", "22d is more than 21d"),
        ("deadline", "none", "is not a duration"),
        ("budget", "-1", "is not a dollar amount"),
        ("retries", [1], "is not an integer"),
    ],
)
def test_a_wrong_value_is_refused_naming_its_key(home, key, raw, says):
    with pytest.raises(OptionError) as caught:
        load({key: raw}, environ={}, **home)
    assert caught.value.problem.startswith(f"{key}: ")
    assert says in caught.value.problem


def test_a_value_of_none_counts_as_not_given(home):
    assert load({"workers": None}, environ={"BURST_WORKERS": "3"}, **home).workers == 3


@pytest.mark.parametrize(
    ("overrides", "environ", "toml", "where"),
    [
        ({"worker": 1}, {}, "", "worker"),
        ({}, {"BURST_WORKER": "1"}, "", "BURST_WORKER"),
        ({}, {}, "worker = 1\n", "config.toml"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_one_in_every_layer(home, overrides, environ, toml, where):
    write(home, toml)
    with pytest.raises(OptionError) as caught:
        load(overrides, environ=environ, **home)
    assert "did you mean" in caught.value.problem
    assert "workers" in caught.value.problem.lower()
    assert where in caught.value.context


def test_a_key_that_is_near_to_none_is_refused_with_the_whole_list(home):
    with pytest.raises(OptionError) as caught:
        load({"zzz": 1}, environ={}, **home)
    assert "workers" in caught.value.way_out


@pytest.mark.parametrize("key", ["interval", "floor", "data_dir", "config_dir"])
def test_what_is_not_the_users_business_cannot_stand_in_the_file(home, key):
    write(home, f'{key} = "1"\n')
    with pytest.raises(OptionError, match="unknown setting"):
        load(environ={}, **home)


def test_a_wrong_value_in_the_file_names_the_file(home):
    write(home, 'workers = "four"\n')
    with pytest.raises(OptionError) as caught:
        load(environ={}, **home)
    assert "workers in " in caught.value.problem
    assert "config.toml" in caught.value.problem


def test_a_file_that_is_not_toml_is_refused_naming_it(home):
    write(home, "workers = = 4\n")
    with pytest.raises(OptionError, match="is not TOML") as caught:
        load(environ={}, **home)
    assert caught.value.context.endswith("config.toml")


def test_hidden_times_for_tests_come_from_the_environment(home):
    settings = load(environ={"BURST_INTERVAL": "0.2", "BURST_FLOOR": "0.01"}, **home)
    assert (settings.interval, settings.floor) == (0.2, 0.01)


def test_the_directories_come_from_the_environment_and_are_made_absolute(tmp_path):
    settings = load(environ={"BURST_CONFIG_DIR": str(tmp_path / "c"), "BURST_DATA_DIR": "relative"})
    assert settings.config_file == tmp_path / "c" / "config.toml"
    assert settings.keys_dir == tmp_path / "c" / "keys"
    assert settings.sessions_file == Path.cwd() / "relative" / "sessions.jsonl"


def test_other_variables_are_nobodys_business(home):
    assert load(environ={"BURSTY": "1", "AWS_REGION": "x", "PATH": ""}, **home).launcher == "local"


def test_save_keeps_comments_and_order_and_writes_numbers_as_numbers(home):
    write(home, "# mine\nworkers = 2  # few\nstore = 's3://b/p'\n")
    save({"workers": "4", "budget": "2.50", "memory": "8GB"}, config_dir=home["config_dir"])
    assert (home["config_dir"] / "config.toml").read_text(encoding="utf-8") == (
        "# mine\nworkers = 4  # few\nstore = 's3://b/p'\nbudget = 2.5\nmemory = \"8GB\"\n"
    )
    settings = load(environ={}, **home)
    assert (settings.workers, settings.budget, settings.memory) == (4, 2_500_000, 8192)


def test_save_makes_the_directory_and_leaves_no_draft(home):
    path = save({"slots": "2"}, config_dir=home["config_dir"])
    assert [each.name for each in home["config_dir"].iterdir()] == [path.name]


def test_an_empty_value_removes_the_key(home):
    save({"slots": "2", "workers": "3"}, config_dir=home["config_dir"])
    save({"slots": "", "idle": ""}, config_dir=home["config_dir"])
    assert load(environ={}, **home).slots == 1
    assert load(environ={}, **home).workers == 3


@pytest.mark.parametrize("changes", [{"slots": "2", "workers": "no"}, {"slots": "2", "wokers": "3"}, {"floor": "1"}])
def test_one_wrong_change_writes_none_of_them(home, changes):
    with pytest.raises(OptionError):
        save(changes, config_dir=home["config_dir"])
    assert not (home["config_dir"] / "config.toml").exists()


def test_explain_says_for_each_key_what_holds_and_who_said_it(home):
    write(home, 'memory = "8GB"\nidle = 60\n')
    rows = {
        row.key: (row.text, row.source)
        for row in explain(
            environ={"BURST_IDLE": "2m", "BURST_DATA_DIR": str(home["data_dir"])}, config_dir=home["config_dir"]
        )
    }
    assert set(rows) == set(config.keys())
    assert rows["memory"] == ("8GB", "config.toml")
    assert rows["idle"] == ("2m", "BURST_IDLE")
    assert rows["deadline"] == ("24h", "default")
    assert rows["budget"] == ("none", "default")


@pytest.mark.parametrize("key", config.keys())
def test_what_is_shown_of_a_setting_can_be_typed_again(home, key):
    values = {"store": "s3://b/p", "launcher": "local", "cpu": 0.5, "memory": "1.5GB", "arch": "arm64", "budget": 2.5}
    values |= {"spot_fallback": "false", "aws.public_ip": "false", "env": "image"}
    once = load({key: values.get(key, 90)}, environ={}, **home)
    shown = next(
        row.text for row in explain(environ={config.variable(key): str(values.get(key, 90))}) if row.key == key
    )
    assert load({key: shown}, environ={}, **home) == once


@pytest.mark.parametrize(
    "name",
    [
        "python",
        "python:3.12-slim",
        "127.0.0.1:5000/burst",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com/lab/my_images.of--mine:0.1.0-py3.12_X",
        f"public.ecr.aws/docker/library/python@sha256:{'0a' * 32}",
        f"python:3@sha256:{'0a' * 32}",
        "Registry.Example/x",
    ],
)
def test_an_image_is_named_as_docker_names_it(name):
    assert config.image_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", " ", "bad image!!", "Upper", "a//b", "/a", "a/", "a:", "a:b:c", "-a", "a@", "a:tag/x", "s3://x/y", "a\n", "ä"],
)
def test_what_is_no_name_of_an_image_is_refused(name):
    with pytest.raises(ValueError, match="is not the name of an image"):
        config.image_name(name)


def test_no_file_and_given_directories_import_neither_tomlkit_nor_platformdirs(tmp_path):
    code = (
        "import json, sys; from burst_magic.config import load; load();"
        "print(json.dumps([name for name in ('tomlkit', 'platformdirs', 'difflib') if name in sys.modules]))"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BURST_")}
    environ |= {"BURST_CONFIG_DIR": str(tmp_path), "BURST_DATA_DIR": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == []


ACCOUNT = """
launcher = "fargate"
spot_fallback = false

[aws]
region = "eu-central-1"
cluster = "burst"
subnets = ["subnet-1", "subnet-2"]
"""


def test_where_workers_start_in_the_account_is_a_table_of_its_own(home):
    write(home, ACCOUNT)
    settings = load(environ={"BURST_AWS_CLUSTER": "another"}, **home)
    assert settings.aws == {"region": "eu-central-1", "cluster": "another", "subnets": "subnet-1,subnet-2"}
    assert (settings.launcher, settings.spot_fallback) == ("fargate", False)


def test_a_key_of_the_table_is_written_where_it_is_read(home):
    write(home, ACCOUNT)
    save(
        {"aws.cluster": "mine", "aws.subnets": "", "aws.security_groups": "sg-1", "workers": "3"},
        config_dir=home["config_dir"],
    )
    settings = load(environ={}, **home)
    assert settings.aws == {"region": "eu-central-1", "cluster": "mine", "security_groups": "sg-1"}
    shown = {origin.key: origin for origin in explain(environ={}, config_dir=home["config_dir"])}
    assert (shown["aws.cluster"].text, shown["aws.cluster"].source) == ("mine", "config.toml")
    assert (shown["aws.subnets"].text, shown["aws.subnets"].source) == ("none", "default")
    assert shown["spot_fallback"].text == "false"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[aws]\nclustre = 'x'\n", "aws.clustre: unknown setting; did you mean aws.cluster?"),
        ("[ecs]\ncluster = 'x'\n", "ecs.cluster: unknown setting; did you mean aws.cluster?"),
        ("[aws]\ncluster = 'two words'\n", "aws.cluster in"),
        ("spot_fallback = 'maybe'\n", "'maybe' is neither true nor false"),
    ],
)
def test_a_mistake_in_the_table_is_named_with_its_place(home, text, says):
    write(home, text)
    with pytest.raises(OptionError, match=re.escape(says)) as caught:
        load(environ={}, **home)
    assert "config.toml" in str(caught.value)
