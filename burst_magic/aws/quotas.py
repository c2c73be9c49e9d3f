"""Service Quotas, and what CloudWatch counts in use: read, requested, looked up."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from burst_magic.aws import patience
from burst_magic.aws.clients import Clients
from burst_magic.errors import BurstError, Missing
from burst_magic.plan.quota import QuotaIncrease, QuotaReading, VcpuQuota
from burst_magic.stores.retry import Retry

_WITHIN = (2.0, 5.0)  # seconds to connect, and for each reply: a user waits for the cell
_BACK = timedelta(minutes=15)  # usage is published every few minutes
_PERIOD = 60  # seconds


class Quotas:
    """Quotas of one account and region.

    Args:
        region: its name; "" for the configured one.
        clients: makes boto3 clients; the default reads AWS's environment and files.
        retry: how often AWS is asked; by default once.
    """

    def __init__(self, region: str = "", clients: Clients | None = None, *, retry: Retry = patience.ONCE) -> None:
        clients = clients or Clients(region=region, timeout=_WITHIN)
        self._quotas = patience.Service("service-quotas", clients=clients)
        self._usage = patience.Service("cloudwatch", clients=clients)
        self._retry = retry

    def read(self, quota: VcpuQuota) -> QuotaReading:
        """The limit, and as far as CloudWatch tells it, the use.

        Raises:
            BurstError: the limit cannot be read.
        """
        limit = self._limit(quota)
        try:
            return QuotaReading(quota=quota, limit=limit, used=self._used(quota))
        except BurstError as error:
            return QuotaReading(quota=quota, limit=limit, used=None, problem=error.problem)

    def _limit(self, quota: VcpuQuota) -> float:
        names = {"ServiceCode": quota.service, "QuotaCode": quota.code}

        def applied(client: Any) -> float:
            return float(client.get_service_quota(**names)["Quota"]["Value"])

        def default(client: Any) -> float:
            return float(client.get_aws_default_service_quota(**names)["Quota"]["Value"])

        try:
            return self._quotas.ask(applied, "GetServiceQuota", self._retry)
        except Missing:  # an account for which it was never changed may have no value of its own
            return self._quotas.ask(default, "GetAWSDefaultServiceQuota", self._retry)

    def _used(self, quota: VcpuQuota) -> float:
        """The latest count; where nothing has run, there is none."""
        now = datetime.now(timezone.utc)
        said = {"Service": "Fargate", "Type": "Resource", "Resource": "vCPU", "Class": quota.usage}
        dimensions = [{"Name": name, "Value": value} for name, value in said.items()]

        def call(client: Any) -> list[dict[str, Any]]:
            answer = client.get_metric_statistics(
                Namespace="AWS/Usage",
                MetricName="ResourceCount",
                Dimensions=dimensions,
                StartTime=now - _BACK,
                EndTime=now + timedelta(seconds=_PERIOD),
                Period=_PERIOD,
                Statistics=["Maximum"],
            )
            return list(answer["Datapoints"])

        points = self._usage.ask(call, "GetMetricStatistics", self._retry)
        latest = max(points, key=lambda point: point["Timestamp"], default=None)
        return 0.0 if latest is None else float(latest["Maximum"])

    def increases(self, quota: VcpuQuota) -> list[QuotaIncrease]:
        """Requests for a larger quota so far, newest first."""

        def call(client: Any) -> list[dict[str, Any]]:
            pages = client.get_paginator("list_requested_service_quota_change_history_by_quota").paginate(
                ServiceCode=quota.service, QuotaCode=quota.code
            )
            return [each for page in pages for each in page["RequestedQuotas"]]

        found = self._quotas.ask(call, "ListRequestedServiceQuotaChangeHistoryByQuota", self._retry)
        return sorted(map(_increase, found), key=lambda each: each.created, reverse=True)

    def request(self, quota: VcpuQuota, wanted: float) -> QuotaIncrease:
        """Ask AWS for a larger quota. Not repeated: AWS takes one open request for a quota."""

        def call(client: Any) -> dict[str, Any]:
            answer = client.request_service_quota_increase(
                ServiceCode=quota.service, QuotaCode=quota.code, DesiredValue=wanted
            )
            return dict(answer["RequestedQuota"])

        return _increase(self._quotas.ask(call, "RequestServiceQuotaIncrease", patience.ONCE))


def _increase(said: dict[str, Any]) -> QuotaIncrease:
    return QuotaIncrease(
        ident=said["Id"],
        wanted=float(said["DesiredValue"]),
        state=said["Status"],
        created=said["Created"].timestamp(),
        case=said.get("CaseId", ""),
    )
