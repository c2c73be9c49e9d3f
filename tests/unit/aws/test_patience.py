"""How AWS is asked: again after what passes, with jitter, and once more with renewed credentials."""

from __future__ import annotations

from random import Random

import pytest
from boto3.session import Session

from burst_magic.aws.clients import Clients
from burst_magic.aws.ecs import Ecs
from burst_magic.aws.patience import STARTING, Service, ask
from burst_magic.errors import Denied, Throttled, Unknown
from burst_magic.stores.retry import Retry

RETRY = Retry(first=1.0, longest=4.0, within=20.0)


class Script:
    """Answers or raises, one after the other; the last for ever."""

    def __init__(self, *said):
        self.said, self.calls = list(said), 0

    def __call__(self):
        self.calls += 1
        said = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        if isinstance(said, Exception):
            raise said
        return said


class Clock:
    """Time passes by sleeping only."""

    def __init__(self):
        self.now, self.pauses = 0.0, []

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += max(seconds, 0.01)


def patiently(call, clock, retry=RETRY):
    return ask(call, "ecs:RunTask", retry, sleep=clock.sleep, rng=Random(1), clock=lambda: clock.now)


def test_a_throttled_call_is_made_again_after_a_random_part_of_the_pause():
    clock = Clock()
    script = Script(Throttled("slow"), Throttled("slow"), Unknown("lost"), Throttled("slow"), "done")
    assert patiently(script, clock) == "done"
    assert len(clock.pauses) == 4
    assert all(0 <= pause <= most for pause, most in zip(clock.pauses, (1.0, 2.0, 4.0, 4.0), strict=True))
    assert len(set(clock.pauses)) == 4


@pytest.mark.parametrize("fault", [Throttled("slow"), Unknown("lost")])
def test_it_ends_in_time_with_the_last_fault(fault):
    clock = Clock()
    with pytest.raises(type(fault)):
        patiently(Script(fault), clock)
    assert RETRY.within <= clock.now <= RETRY.within + RETRY.longest


def test_a_denial_is_not_repeated():
    clock, script = Clock(), Script(Denied("no"))
    with pytest.raises(Denied):
        patiently(script, clock)
    assert (script.calls, clock.pauses) == (1, [])


def test_botocore_itself_repeats_nothing(aws):
    aws.script["ListClusters"] = [("ServerException", "down", 500)]
    with pytest.raises(Unknown):
        Service("ecs", clients=aws.clients()).ask(lambda ecs: ecs.list_clusters(), "ListClusters", Retry(tries=0))
    assert len(aws.calls) == 1


def test_credentials_that_were_renewed_are_read_anew(aws, tmp_path, monkeypatch):
    """As after `aws sso login` in a terminal: the kernel goes on."""
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = OLD\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    expired = ("ExpiredTokenException", "The security token included in the request is expired")
    seen = []

    def renewed(request):
        seen.append(request)
        file.write_text(file.read_text().replace("OLD", "NEW"))
        return expired

    aws.script["ListClusters"] = [renewed, {"clusterArns": ["c"]}]
    ecs = Ecs("eu-west-1", Clients(endpoint=aws.endpoint, region="eu-west-1"))
    assert ecs.list_clusters() == ["c"]
    assert len(aws.calls) == 2


def test_credentials_that_stay_expired_say_how_to_renew_them(aws):
    aws.script["ListClusters"] = [("ExpiredTokenException", "expired")]
    with pytest.raises(Denied, match="expired") as caught:
        Ecs("eu-west-1", aws.clients()).list_clusters()
    assert "aws sso login" in caught.value.way_out
    assert len(aws.calls) == 2


def test_a_given_region_is_used():
    session = Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-west-1")
    assert Clients(session, region="sa-east-1").anew().of("ecs").meta.region_name == "sa-east-1"
    assert Clients(session).region == "eu-west-1"


def test_a_cell_does_not_hang_for_an_aws_that_is_gone():
    assert STARTING.within <= 20.0
