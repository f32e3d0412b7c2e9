# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's end of a network, as a value: what it is called and which addresses it has."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..networking import Lease, Network

LINK_NAME = re.compile(r"mctl[0-9a-f]{10}")  # IFNAMSIZ leaves 15 characters


def link_name(container: str, network: str) -> str:
    return "mctl" + hashlib.sha256(f"{container} {network}".encode()).hexdigest()[:10]


@dataclass(frozen=True, slots=True)
class Connection:
    """`alias` tells people whose the host's end is."""

    network: Network
    lease: Lease
    alias: str
    leads_out: bool  # the default route goes here

    @property
    def inside(self) -> str:
        """The interface's name in the container."""
        return f"eth{self.lease.position}"

    @property
    def link(self) -> str:
        """The host's end; of container and network, so that after a crash it can be told whose it is."""
        return link_name(self.lease.container, self.network.name)

    @property
    def mac(self) -> str:
        """Locally administered. It follows from the address: what neighbours remember stays true after a restart."""
        return "02:6d:" + ":".join(f"{byte:02x}" for byte in self.lease.address.packed)

    @property
    def address(self) -> IPv4Interface:
        return IPv4Interface((self.lease.address, self.network.subnet.prefixlen))

    @property
    def address6(self) -> IPv6Interface:
        return IPv6Interface((self.lease.address6, self.network.subnet6.prefixlen))
