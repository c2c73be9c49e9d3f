"""The list of prices: each with its source, none that stands in for another region's."""

import pytest

from burst_magic.plan.prices import FargatePrice, shipped

KNOWN = [(region, arch) for region, arches in shipped().fargate.items() for arch in arches]


@pytest.mark.parametrize(("region", "arch"), KNOWN)
def test_what_the_list_says_of_a_region_is_no_slip_of_a_digit(region, arch):
    """Everywhere a vCPU costs nine times a GB, ARM less than x86, and no region twice the cheapest."""
    price, cheapest = shipped().fargate[region][arch], shipped().fargate["us-east-1"][arch]
    assert price.vcpu / price.gb == pytest.approx(9.1, abs=0.1)
    assert 0.7 <= price.vcpu / cheapest.vcpu < 2
    assert 0.5 < price.vcpu / shipped().fargate[region]["x86_64"].vcpu <= 1


@pytest.mark.parametrize(("region", "arch"), KNOWN)
def test_every_price_says_where_it_is_from_and_when_it_was_so_or_that_nobody_says_when(region, arch):
    price = shipped().fargate[region][arch]
    assert price.source
    assert price.date.startswith("2026-") or "without" in price.source


def test_a_region_has_its_own_prices():
    listed = [shipped().market("x86_64", region).fargate for region in ("us-east-1", "eu-central-1", "sa-east-1")]
    assert [price.vcpu for price in listed] == [0.04048, 0.04656, 0.0696]


@pytest.mark.parametrize(("region", "arch"), [("moon-1", "x86_64"), ("eu-west-3", "arm64")])
def test_a_price_that_is_not_listed_is_not_known(region, arch):
    assert shipped().market(arch, region).fargate is None


def test_to_compare_with_an_unlisted_region_shows_the_default_one_by_its_name():
    assert shipped().example("arm64", "eu-west-3") == shipped().market("arm64", "us-east-1")
    assert shipped().example("x86_64", "eu-west-3").region == "eu-west-3"


def test_without_a_region_the_default_one_counts():
    assert shipped().market("arm64") == shipped().market("arm64", "us-east-1")


def test_a_new_price_replaces_its_own_and_no_other():
    new = FargatePrice(vcpu=1.0, gb=0.1)
    listed = shipped().with_region("us-east-1", {"arm64": new})
    assert listed.market("arm64", "us-east-1").fargate == new
    assert listed.market("x86_64", "us-east-1") == shipped().market("x86_64", "us-east-1")
    assert listed.market("arm64", "eu-west-1") == shipped().market("arm64", "eu-west-1")
