# SPDX-License-Identifier: GPL-3.0-or-later
"""A network's bridge on the host: made when first needed, mended when somebody has meddled with it."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import replace
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
    return _raised(netlink, network, found) if found and not found.up else found


def make_bridge(netlink: Netlink, network: Network) -> Link:
    routes.check_free(netlink, network)
    netlink.do(messages.add_bridge(network.interface, _mac(network)))
    kernel_settings.rely_on_ours(network.interface)
    kernel_settings.write(f"ipv4/conf/{network.interface}/route_localnet", "1")  # why: see ruleset
    made = find_link(netlink, network.interface)
    if made is None:
        raise OSError(errno.ENODEV, f"the bridge {network.interface} was removed while it was made")
    return _raised(netlink, network, made)


def _raised(netlink: Netlink, network: Network, bridge: Link) -> Link:
    """Going down loses IPv6 addresses and routes, so all is set anew."""
    mtu = network.mtu or routes.outer_mtu(netlink)
    requests = [
        messages.set_mtu(bridge.index, network.interface, mtu),
        messages.add_address(bridge.index, IPv4Interface((network.gateway, network.subnet.prefixlen))),
        messages.raise_link(bridge.index, network.interface),
    ]
    if kernel_settings.has_ipv6():
        interface6 = IPv6Interface((network.subnet6[1], network.subnet6.prefixlen))
        requests.append(messages.add_address(bridge.index, interface6))
    netlink.do(*requests)
    return replace(bridge, mtu=mtu)


def _mac(network: Network) -> str:
    """Its own and always the same, so that nobody who knows the host takes it for another after a reboot."""
    digest = hashlib.sha256(f"{network.subnet6}".encode()).digest()
    return "02:6e:" + ":".join(f"{byte:02x}" for byte in digest[:4])
