# SPDX-License-Identifier: GPL-3.0-or-later
"""A network as somebody asks for it, before it has what is left to the service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import macvlan
from .bounds import shown
from .errors import InvalidArgs
from .macvlan import Macvlan
from .networking import ROOT_UID, check_address, check_address6, check_mtu, check_new_network, parse_subnet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Network, IPv6Network

BRIDGE, MACVLAN = DRIVERS = ("bridge", "macvlan")
_OF_MACVLAN = ("Parent", "Mode", "Subnet6", "Gateway", "Gateway6", "AddressRange", "Shared")


@dataclass(frozen=True, slots=True)
class Draft:
    """subnet, subnet6: None leaves them to the service, as 0 does mtu."""

    name: str
    subnet: IPv4Network | None = None
    subnet6: IPv6Network | None = None
    internal: bool = False
    macvlan: Macvlan | None = None
    mtu: int = 0


def drafted(name: str, uid: int, values: Mapping[str, Any]) -> Draft:
    """From parsed options of CreateNetwork. Raises InvalidArgs."""
    check_new_network(name)
    driver = values.get("Driver", BRIDGE)
    if driver not in DRIVERS:
        raise InvalidArgs(f"Driver {shown(driver)} is not known: use one of {', '.join(DRIVERS)}")
    if driver == MACVLAN:
        return _macvlan(name, uid, values)
    for key in _OF_MACVLAN:
        if key in values:
            raise InvalidArgs(f"{key} goes with Driver {MACVLAN} alone")
    subnet = parse_subnet(values["Subnet"]) if "Subnet" in values else None
    mtu = check_mtu(values["MTU"]) if "MTU" in values else 0
    return Draft(name, subnet, internal=bool(values.get("Internal", False)), mtu=mtu)


def _macvlan(name: str, uid: int, values: Mapping[str, Any]) -> Draft:
    if values.get("Internal", False):
        raise InvalidArgs(f"Internal and Driver {MACVLAN} exclude each other: the host is not between it and others")
    if "MTU" in values:
        raise InvalidArgs(f"MTU and Driver {MACVLAN} exclude each other: it has that of its Parent")
    for key, what in (("Parent", "the interface of this host that is on the link"), ("Subnet", "that of the link")):
        if not values.get(key, ""):
            raise InvalidArgs(f"Driver {MACVLAN} needs {key}: {what}")
    shared = bool(values.get("Shared", False))
    if shared and uid != ROOT_UID:
        raise InvalidArgs("Shared is for networks of root: another user's are that user's")
    subnet = macvlan.parse_subnet(values["Subnet"])
    subnet6 = macvlan.parse_subnet6(values["Subnet6"]) if "Subnet6" in values else None
    gateway, gateway6 = values.get("Gateway", ""), values.get("Gateway6", "")
    made = Macvlan(
        values["Parent"],
        check_address("Gateway", gateway) if gateway else subnet.network_address + 1,
        check_address6("Gateway6", gateway6) if gateway6 else None,
        values.get("Mode", macvlan.MODES[0]),
        macvlan.parse_range(values["AddressRange"]) if "AddressRange" in values else None,
        shared=shared,
    )
    made.check_within(subnet, subnet6)
    return Draft(name, subnet, subnet6, macvlan=made)
