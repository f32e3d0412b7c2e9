# SPDX-License-Identifier: GPL-3.0-or-later
"""Which object is at which path: nothing is exported, every call looks anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UnknownObject
from . import container, manager
from .container import ContainerObject
from .paths import CONTAINERS, ROOT, decode_label, encode_label
from .standard import OBJECT_MANAGER, PEER
from .target import BASIC, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .contract import Contract, Interface, Method
    from .engine import Registry
    from .manager import Manager
    from .question import Call, Question
    from .visible import Visible

_ABOVE = {"/": "org", "/org": "mctl1"}


class Node(Target):
    """A path above the objects: it only tells what lies below."""

    def __init__(self, path: str, interfaces: Sequence[Interface], child: str) -> None:
        super().__init__(path, interfaces)
        self._child = child

    async def children(self, call: Call) -> list[str]:
        del call
        return [self._child]


class Containers(Target):
    """The node above the containers."""

    def __init__(self, interfaces: Sequence[Interface], visible: Visible) -> None:
        super().__init__(CONTAINERS, interfaces)
        self._visible = visible

    async def children(self, call: Call) -> list[str]:
        return sorted(encode_label(c.name) for c in await self._visible.all(call))


class Nothing(Target):
    """A path without object: there are no secrets here, only Peer answers (D-Bus specification)."""

    def question(self, call: Call, method: Method, args: Sequence[object]) -> Question:
        if method.interface == PEER:
            return super().question(call, method, args)
        raise UnknownObject(f"there is no object {self.path}")


class Objects:
    def __init__(self, contract: Contract, registry: Registry, visible: Visible, manager: Manager) -> None:
        self._registry = registry
        self._basic = [contract[name] for name in BASIC]
        self._container = [contract[container.INTERFACE], *self._basic]
        self._manager = manager
        self._containers = Containers(self._basic, visible)

    def find(self, path: str) -> Target:
        if path == ROOT:
            return self._manager
        if path == CONTAINERS:
            return self._containers
        if path in _ABOVE:
            return Node(path, self._basic, _ABOVE[path])
        parent, _, label = path.rpartition("/")
        if parent == CONTAINERS:
            name = decode_label(label)
            found = label if name is None else name
            return ContainerObject(self._registry, self._container, found, subscribe=self._manager.subscribe)
        return Nothing(path, self._basic)


def check(contract: Contract) -> None:
    """Raises ContractError where a member has no handler."""
    contract[container.INTERFACE].check(ContainerObject)
    contract[manager.INTERFACE].check(manager.Manager)
    contract[OBJECT_MANAGER].check(manager.Manager)
    for name in BASIC:
        contract[name].check(Target)
