# SPDX-License-Identifier: GPL-3.0-or-later
"""A network's bridge on the host: made when first needed, mended when somebody has meddled with it."""

from __future__ import annotations

import errno
import hashlib
from ipaddress import IPv4Interface, IPv6Interface
from typing import TYPE_CHECKING

from ..errors import SubnetInUse
from . import kernel_settings, messages, routes
from .links import find_link

if TYPE_CHECKING:
    from ..networking import Network
    from .links import Link
    from .netlink import Netlink

def find_bridge(netlink: Netlink, network: Network) -> Link | None:
    """None where it is missing. Raises SubnetInUse where something else has its name."""
    found = find_link(netlink, network.interface)
    if found and found.kind != "bridge":
        raise SubnetInUse(f"network {network.name!r} needs the name {network.interface}, which another interface has")
    if found and not found.up:
        netlink.do(*_rising(network, found.index))
    return found


def make_bridge(netlink: Netlink, network: Network) -> Link:
    routes.check_free(netlink, network)
    netlink.do(messages.add_bridge(network.interface, _mac(network), routes.outer_mtu(netlink)))
    kernel_settings.rely_on_ours(network.interface)
    kernel_settings.write(f"ipv4/conf/{network.interface}/route_localnet", "1")  # why: see ruleset
    made = find_link(netlink, network.interface)
    if made is None:
        raise OSError(errno.ENODEV, f"the bridge {network.interface} was removed while it was made")
    netlink.do(*_rising(network, made.index))
    return made


def _rising(network: Network, index: int) -> list[messages.Request]:
    """Going down loses IPv6 addresses and routes, so all is set anew."""
    requests = [
        messages.add_address(index, IPv4Interface((network.gateway, network.subnet.prefixlen))),
        messages.raise_link(index, network.interface),
    ]
    if kernel_settings.has_ipv6():
        requests.append(messages.add_address(index, IPv6Interface((network.subnet6[1], network.subnet6.prefixlen))))
    return requests


def _mac(network: Network) -> str:
    """Its own and always the same, so that nobody who knows the host takes it for another after a reboot."""
    digest = hashlib.sha256(f"{network.subnet6}".encode()).digest()
    return "02:6e:" + ":".join(f"{byte:02x}" for byte in digest[:4])
