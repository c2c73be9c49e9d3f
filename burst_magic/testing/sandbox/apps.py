"""moto's applications, one a service, with what is ours in them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, cast

from flask import Flask
from moto.core.utils import convert_to_flask_response
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from burst_magic.aws.clients import Clients
from burst_magic.testing.sandbox.builds import Builds
from burst_magic.testing.sandbox.cfn_api import CloudFormationApi
from burst_magic.testing.sandbox.cfn_stacks import Stacks
from burst_magic.testing.sandbox.codebuild_api import CodeBuildApi
from burst_magic.testing.sandbox.ecr_api import EcrApi
from burst_magic.testing.sandbox.ecs_api import EcsApi
from burst_magic.testing.sandbox.engine import Engine
from burst_magic.testing.sandbox.iam_api import IamApi
from burst_magic.testing.sandbox.network import Network
from burst_magic.testing.sandbox.pricing_api import PricingApi
from burst_magic.testing.sandbox.quota_api import QuotaApi, QuotaDesk, UsageApi
from burst_magic.testing.sandbox.roles import Roles
from burst_magic.testing.sandbox.s3_api import S3Api

# Found by the name in the signature: moto looks through folders.
_AT_ONCE = {
    *("cloudformation", "codebuild", "ec2", "ecr", "ecs", "iam", "logs"),
    *("monitoring", "pricing", "s3", "servicequotas", "sts"),
}
# Where a signature has another name than moto's folder; pricing is a class of ours at the same address as any other.
_MOTOS = {"monitoring": "cloudwatch", "pricing": "servicequotas"}


class Apps:
    """The applications of one sandbox.

    Args:
        engine: of ECS.
        roles: and keys of the account.
        network: of the account.
        desk: of quotas.
        stacks: of CloudFormation.
        builds: of CodeBuild.
        clients: of somebody, by access key and the headers of a request.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        roles: Roles,
        network: Network,
        desk: QuotaDesk,
        stacks: Stacks,
        builds: Builds,
        clients: Callable[[str, Mapping[str, str]], Clients],
    ) -> None:
        # moto makes one object a request, and knows its class only: what an object needs is the class's.
        callers = {"stacks": stacks, "clients": staticmethod(clients)}
        self._replaced = {
            "cloudformation": type("CloudFormationOfSandbox", (CloudFormationApi,), callers),
            "codebuild": type("CodeBuildOfSandbox", (CodeBuildApi,), {"builds": builds, "roles": roles}),
            "ecr": type("EcrOfSandbox", (EcrApi,), {"rules": {}, "roles": roles}),
            "ecs": type("EcsOfSandbox", (EcsApi,), {"engine": engine, "roles": roles, "network": network}),
            "s3": type("S3OfSandbox", (S3Api,), {"writing": threading.Lock()}),
            "iam": IamApi,
            "monitoring": type("CloudWatchOfSandbox", (UsageApi,), {"desk": desk}),
            "pricing": PricingApi,
            "servicequotas": type("ServiceQuotasOfSandbox", (QuotaApi,), {"desk": desk}),
        }
        self._lock = threading.Lock()
        self._made: dict[str, Flask] = {}
        self._others = DomainDispatcherApplication(self._of)

    def of(self, service: str) -> Any:
        """The WSGI application that answers for the service that a request is signed for."""
        return self._of(service) if service in _AT_ONCE else self._others

    def _of(self, service: str) -> Flask:
        with self._lock:
            if service not in self._made:
                self._made[service] = self._make(service)
            return self._made[service]

    def _make(self, service: str) -> Flask:
        app = create_backend_app(cast("Any", _MOTOS.get(service, service)))
        ours = self._replaced.get(service)
        if ours is not None:
            for endpoint, view in app.view_functions.items():
                name = cast("Any", view).callback.__name__  # a class method of moto's class
                app.view_functions[endpoint] = convert_to_flask_response(getattr(ours, name))
        return app
