# SPDX-License-Identifier: GPL-3.0-or-later
"""org.mctl1.Network: one object for each network. Root's are everybody's to see and use; others' are their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..draft import BRIDGE, MACVLAN
from ..errors import UnknownObject
from . import options
from .paths import network_path
from .question import INSPECT, Question
from .target import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..macvlan import Macvlan
    from ..networking import Network
    from .contract import Interface, Method
    from .engine import Networks
    from .question import Call

INTERFACE = "org.mctl1.Network"


def network_details(network: Network) -> dict[str, str]:
    """What a polkit rule may judge by."""
    known = {"network": network.name, "owner": str(network.owner_uid), "subnet": str(network.subnet)}
    return known | link_details(network.macvlan)


def link_details(macvlan: Macvlan | None) -> dict[str, str]:
    if macvlan is None:
        return {"driver": BRIDGE}
    return {
        "driver": MACVLAN, "parent": macvlan.parent, "mode": macvlan.mode, "shared": "yes" if macvlan.shared else "no"
    }  # fmt: skip


class NetworkObject(Target):
    """Also stands for a path at which there is no network: only who is authorized learns that."""

    def __init__(
        self, networks: Networks, interfaces: Sequence[Interface], name: str, network: Network | None = None
    ) -> None:
        super().__init__(network_path(name), interfaces)
        self._networks = networks
        self._name = name
        self._network = network or networks.get(name)

    @property
    def network(self) -> Network:
        if self._network is None:
            raise UnknownObject(f"there is no network {self._name!r}")
        return self._network

    def ask(self, call: Call, actions: tuple[str, ...], args: tuple[object, ...], verb: str) -> Question:
        found = self._network
        shared = found is not None and found.is_visible_to(call.uid) and actions == (INSPECT,)
        return Question(
            actions,
            args,
            verb,
            f"{verb} the network $(network)",
            self._name,
            (call.uid if shared else found.owner_uid) if found else None,
            network_details(found) if found else {},
            found,
            lambda: self._networks.get(self._name),
            noun="network",
        )

    def ask_own(self, call: Call, method: Method, args: Sequence[object]) -> Question:
        match method.name, args:
            case "Remove", [int(flags)]:
                options.check_flags(flags, {})
                return self.ask(call, (method.action,), (), "remove")
        return super().ask_own(call, method, args)

    def introspection_actions(self) -> tuple[str, ...]:
        return (INSPECT,)

    async def introspect(self, call: Call) -> str:
        _ = self.network  # raises where there is none
        return await super().introspect(call)

    async def remove(self, call: Call) -> None:
        del call
        await self._networks.remove(self.network)

    def name(self) -> str:
        return self.network.name

    def owner_uid(self) -> int:
        return self.network.owner_uid

    def interface(self) -> str:
        return self.network.interface

    def subnet(self) -> str:
        return str(self.network.subnet)

    def subnet6(self) -> str:
        return str(self.network.subnet6)

    def gateway(self) -> str:
        return str(self.network.gateway)

    def gateway6(self) -> str:
        return str(self.network.gateway6 or "")

    def driver(self) -> str:
        return MACVLAN if self.network.macvlan else BRIDGE

    def mode(self) -> str:
        return self.network.macvlan.mode if self.network.macvlan else ""

    def address_range(self) -> str:
        pool = self.network.macvlan.pool if self.network.macvlan else None
        return str(pool or self.network.subnet)

    def shared(self) -> bool:
        return self.network.is_shared

    def internal(self) -> bool:
        return self.network.internal

    def mtu(self) -> int:
        return self.network.mtu

    def containers(self) -> int:
        return self._networks.users(self.network)

    def create_timestamp(self) -> int:
        return self.network.created_usec
