# SPDX-License-Identifier: GPL-3.0-or-later
"""What a caller may know of: one's own containers, and others' where polkit says so without asking anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InvalidArgs

if TYPE_CHECKING:
    from ..image import Image
    from ..networking import Network
    from .authority import Authority
    from .engine import Container, Exec, Registry
    from .question import Call

PREFIX_MIN = 4  # digits of an id


class Visible:
    """A view of the registry."""

    def __init__(self, registry: Registry, authority: Authority) -> None:
        self._registry = registry
        self._authority = authority

    async def all(self, call: Call) -> list[Container]:
        containers = list(self._registry.all())
        own = [c for c in containers if c.owner_uid == call.uid]
        if len(own) == len(containers) or await self._authority.sees_all(call):
            return list(self._registry.all())
        return own

    async def everything(self, call: Call) -> bool:
        """Also what belongs to others."""
        return await self._authority.sees_all(call)

    async def execs(self, call: Call) -> list[Exec]:
        execs = list(self._registry.execs.all())
        own = [e for e in execs if e.belongs_to(call.uid)]
        if len(own) == len(execs) or await self._authority.sees_all(call):
            return list(self._registry.execs.all())
        return own

    def networks(self, call: Call) -> list[Network]:
        return [network for network in self._registry.networks.all() if network.is_visible_to(call.uid)]

    async def images(self, call: Call) -> list[Image]:
        images = list(self._registry.images.all())
        own = [i for i in images if i.visible_to(call.uid)]
        if len(own) == len(images) or await self._authority.sees_all(call):
            return list(self._registry.images.all())
        return own

    def find(self, uid: int, name_or_id: str) -> Container | None:
        """Root's view is everything. Another's own come first: what others have must not make them ambiguous."""
        try:
            found = self._registry.find(name_or_id)
        except InvalidArgs:
            if uid == 0:
                raise
            found = None
        if uid == 0 or (found and found.owner_uid == uid):
            return found
        own = [c for c in self._registry.all() if c.owner_uid == uid and _begins(c, name_or_id)]
        return own[0] if len(own) == 1 else found


def _begins(container: Container, prefix: str) -> bool:
    return len(prefix) >= PREFIX_MIN and container.id.startswith(prefix)
