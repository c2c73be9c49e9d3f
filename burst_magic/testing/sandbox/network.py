"""Network interfaces of tasks, in moto's EC2: a subnet's free addresses run out."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends

from burst_magic.testing.sandbox.lives import Interface


class NoAddresses(Exception):
    """The subnets have no free address; the argument names the last of them."""


class Network:
    """The subnets of one account and region."""

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._region = region
        self._lock = threading.Lock()

    @property
    def _ec2(self) -> Any:
        return ec2_backends[self._account][self._region]

    def zones(self) -> dict[str, str]:
        """The availability zone of each subnet."""
        return {subnet.id: subnet.availability_zone for subnet in self._ec2.describe_subnets()}

    def groups(self) -> frozenset[str]:
        """The ids of the security groups."""
        return frozenset(group.id for group in self._ec2.describe_security_groups())

    def attach(self, subnets: tuple[str, ...], groups: tuple[str, ...]) -> Interface:
        """An interface in the first subnet that has a free address; raises ``NoAddresses``."""
        with self._lock:
            for ident in subnets:
                subnet = self._ec2.get_subnet(ident)
                if int(subnet.available_ip_address_count) > 0:
                    eni = self._ec2.create_network_interface(
                        subnet, "", group_ids=list(groups), description="an ECS task's"
                    )
                    address, mac = eni.private_ip_address, eni.mac_address
                    return Interface(eni=eni.id, subnet=ident, address=address, mac=mac)
        raise NoAddresses(subnets[-1])

    def detach(self, interface: Interface) -> None:
        """Give the address back."""
        with self._lock, contextlib.suppress(EC2ClientError):  # an administrator may have deleted it
            self._ec2.get_network_interface(interface.eni).delete()
