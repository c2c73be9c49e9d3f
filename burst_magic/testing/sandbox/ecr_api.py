"""moto's ECR with what it lacks: pull-through cache rules, and images that come through them."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ecr.responses import ECRResponse

from burst_magic.testing.sandbox.aws_call import AskedRight
from burst_magic.testing.sandbox.orders import EcsRefusal
from burst_magic.testing.sandbox.roles import Roles

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class _RuleExists(ServiceException):
    code = "PullThroughCacheRuleAlreadyExistsException"


class _NoRule(ServiceException):
    code = "PullThroughCacheRuleNotFoundException"


class EcrApi(ECRResponse):
    """What differs."""

    rules: dict[str, dict[str, Any]]
    roles: Roles

    def create_pull_through_cache_rule(self) -> ActionResult:
        """CreatePullThroughCacheRule."""
        prefix = self._get_param("ecrRepositoryPrefix")
        if prefix in self.rules:
            raise _RuleExists(f"A pull through cache rule with prefix '{prefix}' already exists in the registry")
        self.rules[prefix] = {
            "ecrRepositoryPrefix": prefix,
            "upstreamRegistryUrl": self._get_param("upstreamRegistryUrl"),
            "upstreamRepositoryPrefix": self._get_param("upstreamRepositoryPrefix") or "ROOT",
            "createdAt": datetime.now(timezone.utc),
            "registryId": self.current_account,
        }
        return ActionResult(self.rules[prefix])

    def describe_pull_through_cache_rules(self) -> ActionResult:
        """DescribePullThroughCacheRules."""
        return ActionResult({"pullThroughCacheRules": list(self.rules.values())})

    def delete_pull_through_cache_rule(self) -> ActionResult:
        """DeletePullThroughCacheRule."""
        prefix = self._get_param("ecrRepositoryPrefix")
        if prefix not in self.rules:
            raise _NoRule(f"The pull through cache rule '{prefix}' does not exist")
        return ActionResult(self.rules.pop(prefix))

    def batch_get_image(self) -> Any:
        """BatchGetImage. What is asked for the first time comes through a cache, if the caller may fill it."""
        name = self._get_param("repositoryName")
        cached = any(name.startswith(f"{prefix}/") or prefix == "ROOT" for prefix in self.rules)
        if name not in self.ecr_backend.repositories and cached:
            try:
                self._pull_through(name)
            except EcsRefusal as refused:
                return 400, {"status": 400}, json.dumps({"__type": refused.code, "message": refused.message})
        return super().batch_get_image()

    def _pull_through(self, name: str) -> None:
        place = f"arn:{self.partition}:ecr:{self.region}:{self.current_account}:repository/{name}"
        for action in ("ecr:CreateRepository", "ecr:BatchImportUpstreamImage"):
            right = AskedRight(access=self.access_key, action=action, resources=(place,))
            self.roles.check_right(right, dict(self.headers))
        backend: Any = self.ecr_backend
        backend.create_repository(name, None, None, None, "MUTABLE", [])
        for ident in self._get_param("imageIds"):
            manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": {}, "layers": [], "of": ident}
            backend.put_image(name, json.dumps(manifest), ident.get("imageTag"))

    def get_download_url_for_layer(self) -> Any:
        """GetDownloadUrlForLayer; behind it is nothing."""
        return ActionResult({"downloadUrl": "https://layers.invalid/", "layerDigest": self._get_param("layerDigest")})
