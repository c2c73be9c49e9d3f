"""What runs in the account, folded from the tags of its tasks."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from burst_magic.aws.ecs import Ecs
from burst_magic.errors import Denied
from burst_magic.launchers.account import by_session, running_sessions
from burst_magic.ui.text import account_table

NOW = datetime(2026, 11, 28, 12, tzinfo=timezone.utc).timestamp()
OPTIONS = {"region": "eu-west-1", "cluster": "science"}


def at(seconds):
    return datetime.fromtimestamp(NOW - seconds, timezone.utc)


def task(sid, *, provider="FARGATE", age=3600, status="RUNNING", cluster="science", **tags):
    said = {"session": sid, "owner": "ada", "deadline": "2026-11-28T18:00:00Z", **tags}
    return {
        "taskArn": f"arn:aws:ecs:eu-west-1:1:task/{cluster}/{sid}-{age}",
        "capacityProviderName": provider,
        "lastStatus": status,
        "cpu": "1024",
        "memory": "2048",
        "createdAt": at(age + 30),
        "pullStartedAt": at(age),
        "tags": [{"key": f"burst:{name}", "value": value} for name, value in said.items() if value],
    }


def test_tasks_are_grouped_by_session_with_their_capacity_and_their_cost():
    tasks = [task("s1"), task("s1", provider="FARGATE_SPOT", age=1800), task("s2", age=60, owner="bob")]
    first, second = by_session(tasks, now=NOW, options=OPTIONS)
    assert (first.sid, first.owner, first.workers, first.launchers) == ("s1", "ada", 2, ("fargate", "spot"))
    assert (second.sid, second.owner, second.launchers) == ("s2", "bob", ("fargate",))
    assert first.deadline == NOW + 6 * 3600
    assert first.since == NOW - 3630
    on_demand, spot = second.hourly, first.hourly - second.hourly
    assert 0 < spot < on_demand
    assert first.spend == on_demand + round(spot / 2)


def test_private_workers_pay_for_no_public_address():
    (public,), (private,) = (
        by_session([task("s1")], now=NOW, options={**OPTIONS, "public_ip": each}) for each in ("true", "false")
    )
    assert public.hourly - private.hourly == 5_000


def test_what_has_stopped_or_is_not_ours_is_left_out():
    stranger = {**task("x"), "tags": [{"key": "team", "value": "web"}]}
    assert by_session([stranger, task("s1", status="STOPPED")], now=NOW, options=OPTIONS) == []


def test_a_task_without_all_its_tags_is_still_found():
    (row,) = by_session([task("s1", owner="", deadline="soon")], now=NOW, options=OPTIONS)
    assert (row.owner, row.deadline) == ("", None)
    assert "none" in account_table([row], region="eu-west-1", now=NOW)


def test_one_that_is_not_billed_yet_costs_nothing_so_far():
    coming = {name: value for name, value in task("s1").items() if name not in {"pullStartedAt", "cpu", "memory"}}
    (row,) = by_session([{**coming, "cpu": "1024", "memory": "2048"}], now=NOW, options=OPTIONS)
    assert row.spend == 0
    assert row.hourly > 0


def test_the_table_fits_and_adds_up():
    rows = by_session([task(f"20261128-09000{n}-abcdefgh", age=60 * n) for n in range(1, 4)], now=NOW, options=OPTIONS)
    shown = account_table(rows, region="eu-west-1", now=NOW)
    assert max(map(len, shown.splitlines())) <= 100
    assert "3 workers" in shown
    nothing = account_table([], region="eu-west-1", now=NOW)
    assert nothing == "nothing of burst_magic runs in the account in eu-west-1 (no other region was searched)"


def plain(said):
    """As it goes over the wire."""
    return {name: value.timestamp() if isinstance(value, datetime) else value for name, value in said.items()}


@pytest.fixture
def ecs(aws):
    return lambda region: Ecs(region, aws.clients(region))


def test_every_cluster_that_may_be_listed_is_searched(aws, ecs):
    aws.script["ListClusters"] = [{"clusterArns": ["arn:aws:ecs:eu-west-1:1:cluster/other"]}]
    aws.script["ListTasks"] = [lambda asked: {"taskArns": [asked["cluster"]]}]
    aws.script["DescribeTasks"] = [
        lambda asked: {"tasks": [plain(task(asked["cluster"], cluster=asked["cluster"]))], "failures": []}
    ]
    found = running_sessions(OPTIONS, now=NOW, ecs=ecs)
    assert {row.sid for row in found.sessions} == {"other", "science"}
    assert (found.region, found.problems) == ("eu-west-1", ())
    assert aws.requests("DescribeTasks")[0]["include"] == ["TAGS"]


def test_a_cluster_that_is_configured_by_its_arn_is_counted_once(aws, ecs):
    arn = "arn:aws:ecs:eu-west-1:1:cluster/science"
    aws.script["ListClusters"] = [{"clusterArns": [arn]}]
    aws.script["ListTasks"] = [{"taskArns": ["a"]}]
    aws.script["DescribeTasks"] = [{"tasks": [plain(task("s"))], "failures": []}]
    found = running_sessions({**OPTIONS, "cluster": arn}, now=NOW, ecs=ecs)
    assert [row.workers for row in found.sessions] == [1]


def test_without_the_right_to_list_clusters_the_configured_one_is_searched(aws, ecs):
    aws.script["ListClusters"] = [("AccessDeniedException", "User: x is not authorized to perform: ecs:ListClusters")]
    aws.script["ListTasks"] = [{"taskArns": []}]
    assert running_sessions(OPTIONS, now=NOW, ecs=ecs).sessions == ()
    assert aws.requests("ListTasks")[0]["cluster"] == "science"
    with pytest.raises(Denied, match="ecs:ListClusters"):
        running_sessions({"region": "eu-west-1"}, now=NOW, ecs=ecs)


def test_a_cluster_that_may_not_be_searched_is_named_and_hides_no_other(aws, ecs):
    def some(asked):
        denied = "AccessDeniedException", "User: x is not authorized to perform: ecs:ListTasks"
        return denied if asked["cluster"] == "secret" else {"taskArns": ["a"]}

    aws.script["ListClusters"] = [{"clusterArns": ["arn:aws:ecs:eu-west-1:1:cluster/secret"]}]
    aws.script["ListTasks"] = [some]
    aws.script["DescribeTasks"] = [{"tasks": [plain(task("s"))], "failures": []}]
    found = running_sessions(OPTIONS, now=NOW, ecs=ecs)
    assert [row.sid for row in found.sessions] == ["s"]
    assert found.problems == ("cluster secret was not searched: you are not allowed to call ecs:ListTasks",)
    with pytest.raises(Denied, match="ecs:ListTasks"):
        running_sessions({**OPTIONS, "cluster": "secret"}, now=NOW, ecs=ecs)
