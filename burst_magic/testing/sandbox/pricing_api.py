"""Pricing: GetProducts for AmazonECS, in the shape that the price list has. moto has no such service."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from moto.core.responses import ActionResult, BaseResponse

from burst_magic.plan.prices import FargatePrice, shipped

_PAGE = 3  # entries of one answer: AWS's own is a hundred, and a region has more
_PUBLISHED = "2026-11-01"  # so that an answer differs from what is shipped
_PREFIX = "SBX1"  # stands for the region in usage types
_OTHERS = (  # what the price list of a region says beside what workers cost
    (f"{_PREFIX}-SpotUsage-Fargate-vCPU-Hours:perCPU", 0.0127),
    (f"{_PREFIX}-Fargate-Windows-vCPU-Hours:perCPU", 0.046552),
    (f"{_PREFIX}-Fargate-Windows-GB-Hours", 0.00511175),
    (f"{_PREFIX}-Fargate-EphemeralStorage-GB-Hours", 0.000111),
    (f"{_PREFIX}-ECS-EC2-GB-Hours", 0.0),
)
_BUILDS = (  # dollars a minute: examples, since nobody quotes all
    ("Global-Build-Min:Linux:g1.small", 0.0),
    (f"{_PREFIX}-Build-Min:Linux:g1.small", 0.005),
    (f"{_PREFIX}-Build-Min:Linux:g1.medium", 0.01),
    (f"{_PREFIX}-Build-Min:ARM:g1.small", 0.004),
)


class PricingApi(BaseResponse):
    """The one action."""

    def __init__(self) -> None:
        super().__init__(service_name="pricing")
        self.automated_parameter_parsing = True

    def get_products(self) -> Any:
        """GetProducts: what is asked of one region of AmazonECS or CodeBuild; nothing of all else."""
        said = dict(self.params)
        asked = {each["Field"]: each["Value"] for each in said.get("Filters", ())}
        first = int(said.get("NextToken") or 0)
        region, service = asked.get("regionCode", ""), said.get("ServiceCode", "")
        usages = _of_ecs(region) if service == "AmazonECS" else _of_codebuild(region) if service == "CodeBuild" else []
        entries = [self._entry(region, usage, dollars) for usage, dollars in usages]
        more = {"NextToken": str(first + _PAGE)} if len(entries) > first + _PAGE else {}
        page = [json.dumps(each) for each in entries[first : first + _PAGE]]
        return ActionResult({"FormatVersion": "aws_v1", "PriceList": page, **more})

    def _entry(self, region: str, usage: str, dollars: float) -> dict[str, Any]:
        sku = hashlib.sha256(f"{region} {usage}".encode()).hexdigest()[:16].upper()
        dimension = {
            "unit": "hours",
            "endRange": "Inf",
            "description": f"${dollars:.10f} per {usage}",
            "appliesTo": [],
            "rateCode": f"{sku}.JRTCKXETXF.6YS6EN2CT7",
            "beginRange": "0",
            "pricePerUnit": {"USD": f"{dollars:.10f}"},
        }
        term = {
            "priceDimensions": {dimension["rateCode"]: dimension},
            "sku": sku,
            "effectiveDate": f"{_PUBLISHED[:7]}-01T00:00:00Z",
            "offerTermCode": "JRTCKXETXF",
            "termAttributes": {},
        }
        attributes = {
            "regionCode": region,
            "servicecode": "AmazonECS",
            "tenancy": "Shared",
            "usagetype": usage,
            "locationType": "AWS Region",
            "servicename": "Amazon Elastic Container Service",
            "operation": "",
        }
        return {
            "product": {"productFamily": "Compute", "attributes": attributes, "sku": sku},
            "serviceCode": "AmazonECS",
            "terms": {"OnDemand": {f"{sku}.JRTCKXETXF": term}},
            "version": _PUBLISHED.replace("-", "") + "000000",
            "publicationDate": f"{_PUBLISHED}T00:00:00Z",
        }


def _of_ecs(region: str) -> list[tuple[str, float]]:
    arches = shipped().fargate.get(region, {})
    of_workers = [each for arch, price in arches.items() for each in _usages(arch, price)]
    return [*_OTHERS, *of_workers] if of_workers else []


def _of_codebuild(region: str) -> list[tuple[str, float]]:
    return list(_BUILDS) if region in shipped().fargate else []


def _usages(arch: str, price: FargatePrice) -> list[tuple[str, float]]:
    kind = "ARM-" if arch == "arm64" else ""
    return [
        (f"{_PREFIX}-Fargate-{kind}vCPU-Hours:perCPU", price.vcpu),
        (f"{_PREFIX}-Fargate-{kind}GB-Hours", price.gb),
    ]
