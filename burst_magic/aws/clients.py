"""One boto3 session and its clients, each created once. The only module that creates either."""

from __future__ import annotations

import threading
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from burst_magic import config
from burst_magic.errors import Denied, OptionError

if TYPE_CHECKING:
    from boto3.session import Session

DEFAULT_REGION = "us-east-1"  # for a custom server, which has no regions
CONNECTIONS = 32  # kept open by one client: as many threads may ask at a time
_REGION = "set AWS_REGION, the region of your AWS profile, or aws.region (%burst_config aws.region=...)"
_TIMEOUT = (5.0, 30.0)  # seconds to connect, and to wait for a reply


class Clients:
    """boto3 clients by service name, using profile, region and endpoint from AWS's own environment and files.

    Args:
        session: a boto3 session to use instead of the default.
        endpoint: a server for all services, instead of the configured one.
        region: instead of the configured one.
        otherwise: the region where none is configured.
        timeout: seconds to connect, and to wait for a reply.
    """

    def __init__(
        self,
        session: Session | None = None,
        *,
        endpoint: str = "",
        region: str = "",
        otherwise: str = "",
        timeout: tuple[float, float] = _TIMEOUT,
    ) -> None:
        self._given = session
        self._endpoint, self._region, self._otherwise, self._timeout = endpoint, region, otherwise, timeout
        self._made: dict[str, Any] = {}
        self._lock = threading.Lock()

    @cached_property
    def session(self) -> Session:
        """The boto3 session; raises ``Denied`` if its profile doesn't exist."""
        if self._given is not None:
            return self._given
        import boto3
        from botocore.exceptions import BotoCoreError
        from botocore.session import get_session

        try:
            core = get_session()
            core.register_component("data_loader", _descriptions(core.get_config_variable("data_path")))
            # boto3 reads only AWS_DEFAULT_REGION; AWS's other tools, and burst_magic, prefer AWS_REGION.
            return boto3.Session(botocore_session=core, region_name=config.environment().get("AWS_REGION"))
        except BotoCoreError as error:
            raise Denied(str(error), way_out="check AWS_PROFILE and the files in ~/.aws") from None

    def anew(self) -> Clients:
        """A copy with a new boto3 session, which rereads AWS's files."""
        return Clients(
            self._given,
            endpoint=self._endpoint,
            region=self._region,
            otherwise=self._otherwise,
            timeout=self._timeout,
        )

    def of(self, service: str) -> Any:
        """The client of a service, e.g. ``"s3"``. In boto3, creating one is not thread-safe; using it is.

        Raises:
            OptionError: no region is configured, and the service is AWS's own: its region is not guessed.
            Denied: profile or endpoint cannot be used.
        """
        with self._lock:
            if service not in self._made:
                self._made[service] = self._make(service)
            return self._made[service]

    def _make(self, service: str) -> Any:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        try:
            make = cast("Any", self.session).client  # its stubs accept only literal names
            calm = Config(
                retries={"total_max_attempts": 1},  # aws/patience.py repeats calls, at the account's rate
                max_pool_connections=CONNECTIONS,
                connect_timeout=self._timeout[0],
                read_timeout=self._timeout[1],
            )
            region = self.region or DEFAULT_REGION
            made = make(service, region_name=region, endpoint_url=self._endpoint or None, config=calm)
        except (BotoCoreError, ValueError) as error:
            raise Denied(str(error), way_out="check AWS_PROFILE, AWS_ENDPOINT_URL and the files in ~/.aws") from None
        if not self.region and not _other_server(made.meta.endpoint_url):
            raise OptionError("no AWS region is configured", context=f"AWS service {service}", way_out=_REGION)
        return made

    @property
    def region(self) -> str:
        """The given or the configured region, or ""."""
        return self._region or self.session.region_name or self._otherwise

    def endpoint(self, service: str) -> str:
        """The server of a service if it is not AWS's own, else ""; raises as ``of`` does."""
        return _other_server(self.of(service).meta.endpoint_url)


@cache
def _descriptions(folders: str | None) -> Any:
    """Reads the descriptions of AWS's services and endpoints, once for all sessions: it takes a tenth of a second."""
    from botocore.loaders import create_loader

    return create_loader(folders)


def _other_server(url: str) -> str:
    """The URL, unless it is AWS's own."""
    host = urlsplit(url).hostname or ""
    return "" if host.endswith((".amazonaws.com", ".amazonaws.com.cn")) else url
