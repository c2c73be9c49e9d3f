"""Prices from AWS: what is read of an answer, how long it is kept, and what happens without one."""

from __future__ import annotations

import json

import pytest

from burst_magic.aws.prices import DAY, FILE, MONTH, PriceFile, parsed
from burst_magic.errors import Denied
from burst_magic.plan.prices import FargatePrice, shipped

NEW = {"x86_64": FargatePrice(vcpu=0.05, gb=0.006, source="AWS Pricing API", date="2026-11-01")}


def product(usage: str, dollars: float, *, currency: str = "USD", date: str = "2026-11-01") -> dict[str, object]:
    dimension = {"unit": "hours", "pricePerUnit": {currency: f"{dollars:.10f}"}}
    return {
        "product": {"productFamily": "Compute", "attributes": {"usagetype": usage, "regionCode": "eu-west-3"}},
        "terms": {"OnDemand": {"X.Y": {"priceDimensions": {"X.Y.Z": dimension}}}},
        "publicationDate": f"{date}T01:02:03Z",
    }


X86 = [product("EUW3-Fargate-vCPU-Hours:perCPU", 0.0486), product("EUW3-Fargate-GB-Hours", 0.0053)]
ARM = [product("EUW3-Fargate-ARM-vCPU-Hours:perCPU", 0.0389), product("EUW3-Fargate-ARM-GB-Hours", 0.0042)]


def test_each_architecture_has_its_price_and_the_date_of_the_list():
    found = parsed([*X86, *ARM])
    assert found["x86_64"] == FargatePrice(vcpu=0.0486, gb=0.0053, source="AWS Pricing API", date="2026-11-01")
    assert (found["arm64"].vcpu, found["arm64"].gb) == (0.0389, 0.0042)


@pytest.mark.parametrize(
    "usage",
    [
        "EUW3-SpotUsage-Fargate-vCPU-Hours:perCPU",
        "EUW3-Fargate-Windows-vCPU-Hours:perCPU",
        "EUW3-Fargate-EphemeralStorage-GB-Hours",
        "EUW3-ECS-EC2-GB-Hours",
        "EUW3-Fargate-Gold-vCPU-Hours:perCPU",
        "",
    ],
)
def test_what_is_no_worker_s_price_is_not_taken_for_one_wherever_it_stands(usage):
    other = product(usage, 9.99)
    assert parsed([other, *X86]) == parsed([*X86, other]) == parsed(X86)


def test_a_region_without_a_prefix_is_read_too():
    assert (
        parsed([product("Fargate-vCPU-Hours:perCPU", 0.04), product("Fargate-GB-Hours", 0.004)])["x86_64"].vcpu == 0.04
    )


@pytest.mark.parametrize("entries", [[], X86[:1], [*X86[:1], *ARM[1:]], [product("Fargate-GB-Hours", 0.0)]])
def test_half_a_price_is_none(entries):
    assert parsed(entries) == {}


def test_a_price_in_another_currency_is_none():
    assert parsed([product(each["product"]["attributes"]["usagetype"], 0.3, currency="CNY") for each in X86]) == {}


class Aws:
    """Answers, or refuses, and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = True

    def __call__(self, region: str) -> dict[str, FargatePrice]:
        self.asked.append(region)
        if not self.answers:
            raise Denied("you are not allowed to call pricing:GetProducts")
        return NEW


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def aws() -> Aws:
    return Aws()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path, aws, clock) -> PriceFile:
    return PriceFile(tmp_path / "data", ask=aws, clock=clock)


def test_aws_is_asked_once_a_month_for_each_region(file, aws, clock):
    assert file.current("eu-west-3").market("x86_64", "eu-west-3").fargate == NEW["x86_64"]
    clock.now += MONTH - 1
    file.current("eu-west-3")
    file.current("eu-north-1")
    assert aws.asked == ["eu-west-3", "eu-north-1"]
    clock.now += 1
    file.current("eu-west-3")
    assert aws.asked == ["eu-west-3", "eu-north-1", "eu-west-3"]


def test_what_was_answered_is_known_without_asking_and_the_rest_is_as_shipped(file, tmp_path, aws):
    file.current("eu-west-3")
    known = PriceFile(tmp_path / "data", ask=aws).listed()
    assert known.market("x86_64", "eu-west-3").fargate == NEW["x86_64"]
    assert known.market("x86_64", "us-east-1") == shipped().market("x86_64", "us-east-1")
    assert aws.asked == ["eu-west-3"]


def test_no_answer_leaves_what_is_known_and_is_asked_for_again_the_next_day(file, aws, clock):
    aws.answers = False
    assert file.current("eu-west-3") == shipped().with_region("eu-west-3", {})
    clock.now += DAY - 1
    file.current("eu-west-3")
    assert aws.asked == ["eu-west-3"]
    clock.now += 1
    file.current("eu-west-3")
    assert aws.asked == ["eu-west-3", "eu-west-3"]


def test_an_answer_outlives_its_month_when_aws_gives_no_newer_one(file, aws, clock):
    file.current("eu-west-3")
    clock.now += 2 * MONTH
    aws.answers = False
    assert file.current("eu-west-3").market("x86_64", "eu-west-3").fargate == NEW["x86_64"]


def test_asked_to_ask_it_asks_and_says_why_there_is_no_answer(file, aws):
    file.current("eu-west-3")
    file.refresh("eu-west-3")
    aws.answers = False
    with pytest.raises(Denied):
        file.refresh("eu-west-3")
    assert aws.asked == ["eu-west-3"] * 3


@pytest.mark.parametrize("text", ["", "{", "[]", '{"regions": {"eu-west-3": {"found": {}}}}', '{"regions": {"x": 3}}'])
def test_a_damaged_file_is_none(file, tmp_path, text):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / FILE).write_text(text)
    assert file.listed() == shipped()
    assert file.current("eu-west-3").market("x86_64", "eu-west-3").fargate == NEW["x86_64"]
    assert json.loads((tmp_path / "data" / FILE).read_text())["regions"].keys() == {"eu-west-3"}


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path, aws, clock):
    (tmp_path / "data").write_text("a file where the folder should be")
    PriceFile(tmp_path / "data", ask=aws, clock=clock).current("eu-west-3")
    assert aws.asked == ["eu-west-3"]
