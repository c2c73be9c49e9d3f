"""Service Quotas for Fargate's vCPUs, and CloudWatch's count of those in use. moto knows neither.

The quota is the weather's: what Service Quotas tells is what RunTask keeps to.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import field, replace
from datetime import datetime, timezone
from typing import Any

from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult
from moto.servicequotas.responses import ServiceQuotasResponse

from burst_magic.dataclass import dataclass
from burst_magic.testing.sandbox.limits import Limits
from burst_magic.testing.sandbox.orders import EcsRefusal

_UNLIMITED = 4000.0  # the default, where the weather sets no limit
_OPEN = ("PENDING", "CASE_OPENED")


@dataclass(frozen=True, slots=True, kw_only=True)
class FargateQuota:
    """One of the two quotas.

    Attributes:
        limit: the field of the weather.
        usage: its class in CloudWatch.
        provider: whose tasks count.
    """

    code: str
    name: str
    limit: str
    usage: str
    provider: str


QUOTAS = (
    FargateQuota(
        code="L-3032A538",
        name="Fargate On-Demand vCPU resource count",
        limit="vcpus",
        usage="Standard/OnDemand",
        provider="FARGATE",
    ),
    FargateQuota(
        code="L-36FBB829",
        name="Fargate Spot vCPU resource count",
        limit="spot_vcpus",
        usage="Standard/Spot",
        provider="FARGATE_SPOT",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaRequest:
    """A request for a larger quota."""

    ident: str
    quota: FargateQuota
    wanted: float
    status: str
    created: datetime
    updated: datetime


@dataclass(slots=True)
class QuotaDesk:
    """The requests of one account. Thread-safe.

    Args:
        used: vCPUs of a provider's tasks at the moment.
        now: seconds since the epoch.
    """

    limits: Limits
    used: Callable[[str], float]
    now: Callable[[], float]
    requests: list[QuotaRequest] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def limit(self, quota: FargateQuota) -> float:
        """The quota that counts now."""
        said = getattr(self.limits.weather, quota.limit)
        return _UNLIMITED if said is None else float(said)

    def has_own(self, quota: FargateQuota) -> bool:
        """Whether the account's value is not the default."""
        return getattr(self.limits.weather, quota.limit) is not None

    def ask(self, quota: FargateQuota, wanted: float) -> QuotaRequest:
        """Put a request on the desk; raises what Service Quotas answers for one that it doesn't take."""
        with self._lock:
            if any(each.quota == quota and each.status in _OPEN for each in self.requests):
                raise EcsRefusal("ResourceAlreadyExistsException", "Only one open request is allowed for a quota.")
            if wanted <= self.limit(quota):
                raise EcsRefusal("IllegalArgumentException", "The desired value must be above the current quota.")
            moment = self.moment()
            made = QuotaRequest(
                ident=f"{next(self._numbers):032x}",
                quota=quota,
                wanted=wanted,
                status="PENDING",
                created=moment,
                updated=moment,
            )
            self.requests.append(made)
            return made

    def decide(self, ident: str, status: str) -> None:
        """AWS's answer to a request. APPROVED changes the quota."""
        with self._lock:
            at = next(number for number, each in enumerate(self.requests) if each.ident == ident)
            self.requests[at] = replace(self.requests[at], status=status, updated=self.moment())
        if status == "APPROVED":
            changes: dict[str, Any] = {self.requests[at].quota.limit: self.requests[at].wanted}
            self.limits.weather = replace(self.limits.weather, **changes)

    def moment(self) -> datetime:
        """Now."""
        return datetime.fromtimestamp(self.now(), timezone.utc)


class QuotaApi(ServiceQuotasResponse):
    """The actions that are used."""

    desk: QuotaDesk

    def __init__(self) -> None:
        super().__init__()
        self.automated_parameter_parsing = True

    def get_service_quota(self) -> Any:
        """GetServiceQuota; a quota that was never changed has no value of its own."""

        def found(quota: FargateQuota) -> dict[str, Any]:
            if not self.desk.has_own(quota):
                raise EcsRefusal("NoSuchResourceException", "The quota has no applied value.")
            return {"Quota": self._told(quota)}

        return self._answered(found)

    def get_aws_default_service_quota(self) -> Any:
        """GetAWSDefaultServiceQuota."""
        return self._answered(lambda quota: {"Quota": {**self._told(quota), "Value": _UNLIMITED}})

    def request_service_quota_increase(self) -> Any:
        """RequestServiceQuotaIncrease."""
        wanted = float(dict(self.params)["DesiredValue"])
        return self._answered(lambda quota: {"RequestedQuota": self._requested(self.desk.ask(quota, wanted))})

    def list_requested_service_quota_change_history_by_quota(self) -> Any:
        """ListRequestedServiceQuotaChangeHistoryByQuota, newest first."""

        def found(quota: FargateQuota) -> dict[str, Any]:
            mine = [each for each in reversed(self.desk.requests) if each.quota == quota]
            return {"RequestedQuotas": [self._requested(each) for each in mine]}

        return self._answered(found)

    def _answered(self, call: Callable[[FargateQuota], dict[str, Any]]) -> Any:
        try:
            return ActionResult(call(self._quota()))
        except EcsRefusal as refused:
            body = json.dumps({"__type": refused.code, "message": refused.message})
            return 400, {"status": 400}, body

    def _told(self, quota: FargateQuota) -> dict[str, Any]:
        dimensions = {"Class": quota.usage, "Resource": "vCPU", "Service": "Fargate", "Type": "Resource"}
        return {
            **self._named(quota),
            "Value": self.desk.limit(quota),
            "Adjustable": True,
            "UsageMetric": {
                "MetricNamespace": "AWS/Usage",
                "MetricName": "ResourceCount",
                "MetricDimensions": dimensions,
                "MetricStatisticRecommendation": "Maximum",
            },
            "QuotaAppliedAtLevel": "ACCOUNT",
        }

    def _quota(self) -> FargateQuota:
        said = dict(self.params)
        for quota in QUOTAS:
            if (said.get("ServiceCode"), said.get("QuotaCode")) == ("fargate", quota.code):
                return quota
        raise EcsRefusal("NoSuchResourceException", "The specified service quota does not exist.")

    def _named(self, quota: FargateQuota) -> dict[str, Any]:
        place = f"arn:aws:servicequotas:{self.region}:{self.current_account}:fargate/{quota.code}"
        return {
            "ServiceCode": "fargate",
            "ServiceName": "AWS Fargate",
            "QuotaArn": place,
            "QuotaCode": quota.code,
            "QuotaName": quota.name,
            "Unit": "None",
            "GlobalQuota": False,
        }

    def _requested(self, asked: QuotaRequest) -> dict[str, Any]:
        return {
            **self._named(asked.quota),
            "Id": asked.ident,
            "DesiredValue": asked.wanted,
            "Status": asked.status,
            "Created": asked.created,
            "LastUpdated": asked.updated,
            "Requester": f'{{"accountId":"{self.current_account}"}}',
            "QuotaRequestedAtLevel": "ACCOUNT",
        }


class UsageApi(CloudWatchResponse):
    """GetMetricStatistics of ``AWS/Usage``; other metrics are moto's."""

    desk: QuotaDesk

    def get_metric_statistics(self) -> Any:
        """GetMetricStatistics; no point in time where nothing runs, as in CloudWatch."""
        said = dict(self.params)
        if said.get("Namespace") != "AWS/Usage":
            return super().get_metric_statistics()
        dimensions = {each["Name"]: each["Value"] for each in said.get("Dimensions", ())}
        points = []
        for quota in QUOTAS:
            used = self.desk.used(quota.provider)
            if (said.get("MetricName"), dimensions.get("Class")) == ("ResourceCount", quota.usage) and used:
                moment = self.desk.moment().replace(second=0, microsecond=0)
                points.append({"Timestamp": moment, "Unit": "None", **dict.fromkeys(said.get("Statistics", ()), used)})
        return ActionResult({"Label": said.get("MetricName"), "Datapoints": points})
