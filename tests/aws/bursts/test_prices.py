"""A burst is planned with today's prices of its region, whether or not AWS tells them."""

from __future__ import annotations

import pytest

from burst_magic import launchers
from burst_magic.aws.prices import PriceFile
from burst_magic.errors import BudgetExceeded
from burst_magic.plan.planner import plan
from burst_magic.plan.prices import shipped
from burst_magic.session.outlook import price_list


@pytest.fixture
def planned(as_user, tmp_path, monkeypatch):
    """A plan as the magic makes it, with directories of its own; and what AWS was asked for it."""
    from burst_magic import config

    monkeypatch.setenv("BURST_DATA_DIR", str(tmp_path))

    def make(launcher: str = "spot", **options):
        settings = config.load({"launcher": launcher, **options})
        terms = launchers.traits(settings.launcher, fallback=settings.spot_fallback)
        return plan(settings, terms, tasks=4, price_list=price_list(settings, terms)), settings

    return make


def test_the_first_burst_asks_aws_for_its_prices_and_the_next_does_not(planned, cloud):
    made, settings = planned()
    known = PriceFile(settings.data_dir).listed().market("x86_64", "us-east-1").fargate
    assert (known.source, known.date) == ("AWS Pricing API", "2026-11-01")
    assert known.vcpu == shipped().market("x86_64", "us-east-1").fargate.vcpu

    written = (settings.data_dir / "prices.json").stat().st_mtime_ns
    assert planned()[0].rate == made.rate
    assert (settings.data_dir / "prices.json").stat().st_mtime_ns == written


def test_a_local_burst_asks_nobody(planned):
    _, settings = planned("local")
    assert not (settings.data_dir / "prices.json").exists()


def test_without_an_answer_what_is_shipped_counts(planned, cloud):
    cloud.expire()
    try:
        made, settings = planned()
    finally:
        cloud.renew()
    assert made.priced
    assert PriceFile(settings.data_dir).listed().market("x86_64", "us-east-1") == shipped().market(
        "x86_64", "us-east-1"
    )


def test_in_a_region_that_nobody_knows_a_budget_refuses_and_nothing_else_does(planned, monkeypatch):
    monkeypatch.setenv("BURST_AWS_REGION", "moon-1")
    with pytest.raises(BudgetExceeded, match="no price is known for x86_64 workers of spot in moon-1"):
        planned(budget=5)
    assert planned()[0].priced is False
