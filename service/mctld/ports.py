# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of a container that the host answers for."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .bounds import check_range, shown
from .errors import InvalidArgs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Address, IPv6Address

PROTOCOLS = ("tcp", "udp", "sctp")
PORT_MAX = 65_535
PORTS_MAX = 1_024  # of one container, every port of a range counted
FIRST_UNPRIVILEGED = 1_024


@dataclass(frozen=True, slots=True)
class Port:
    """`count` consecutive ports, `host` and up outside, `container` and up inside.

    address: of the host, or empty for all addresses of both families. host 0: the service chooses one.
    """

    protocol: str
    address: str
    host: int
    container: int
    count: int = 1

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise InvalidArgs(f"Ports protocol {shown(self.protocol)} is not known: use {', '.join(PROTOCOLS)}")
        check_range("Ports count", self.count, 1, PORTS_MAX)
        if self.host or self.count > 1:
            check_range("Ports host port", self.host, 1, PORT_MAX + 1 - self.count)
        check_range("Ports container port", self.container, 1, PORT_MAX + 1 - self.count)
        if self.address:
            self._check_address()

    def _check_address(self) -> None:
        try:
            address = ipaddress.ip_address(self.address)
        except ValueError:
            raise InvalidArgs(f"Ports address {shown(self.address)} is not an IPv4 or IPv6 address") from None
        if str(address) != self.address or getattr(address, "scope_id", None):
            raise InvalidArgs(f"Ports address {shown(self.address)} has to be written {str(address).partition('%')[0]}")
        if address.is_unspecified or address.is_multicast or address == ipaddress.ip_address("::1"):
            raise InvalidArgs(f"Ports address {self.address} cannot be published on: leave it out for all addresses")

    @property
    def bound(self) -> IPv4Address | IPv6Address | None:
        return ipaddress.ip_address(self.address) if self.address else None

    @property
    def is_privileged(self) -> bool:
        return 0 < self.host < FIRST_UNPRIVILEGED

    def overlaps(self, other: Port) -> bool:
        """Whether one packet could be meant for both."""
        if self.protocol != other.protocol or not (self.host and other.host):
            return False
        if self.address and other.address and self.address != other.address:
            return False
        return self.host < other.host + other.count and other.host < self.host + self.count

    def __str__(self) -> str:
        address = f"[{self.address}]:" if ":" in self.address else f"{self.address}:" if self.address else ""
        return f"{address}{self._range(self.host)}:{self._range(self.container)}/{self.protocol}"

    def _range(self, first: int) -> str:
        return f"{first}-{first + self.count - 1}" if self.count > 1 else str(first)


def check_ports(ports: Iterable[Port]) -> None:
    """Raises InvalidArgs where two of them are in each other's way, or they are too many."""
    checked: list[Port] = []
    for port in ports:
        for earlier in checked:
            if port.overlaps(earlier):
                raise InvalidArgs(f"Ports {earlier} and {port} overlap")
        checked.append(port)
    total = sum(port.count for port in checked)
    if total > PORTS_MAX:
        raise InvalidArgs(f"Ports has {total} ports: the most is {PORTS_MAX}")
