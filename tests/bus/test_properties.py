# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may read what: each property of the contract, played over the bus like the table of test_authorization.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bus.house import ALICE, BOB, CONTRACT, PROPERTIES, ROOT_UID
from bus.permissions import PUBLIC_PROPERTIES
from bus.polkit import CHALLENGE, NO, YES
from bus.test_authorization import DENIED, INTERACTIVE, path_of
from mctld.bus.connection import RemoteError
from mctld.bus.contract import Contract, Property

if TYPE_CHECKING:
    from bus.house import Client, House

PROPERTIES_OF_ALL = [m for i in Contract(CONTRACT).interfaces.values() for m in i.members if isinstance(m, Property)]


@pytest.mark.parametrize("wanted", PROPERTIES_OF_ALL, ids=str)
async def test_every_property_is_guarded(house: House, wanted: Property) -> None:
    """Root, its owner and another user, whatever polkit says, with an agent, without, and no polkit."""
    house.registry.add("web", ALICE)
    house.registry.execs.add("web", "web", ALICE, ALICE)
    house.registry.networks.add("web", ALICE)
    house.registry.images.add("web", ALICE)
    house.registry.transfers.add("web", ALICE)
    house.registry.volumes.add("web", ALICE)
    owner, other, root = [await house.client(uid) for uid in (ALICE, BOB, ROOT_UID)]
    public = str(wanted) in PUBLIC_PROPERTIES

    async def read(client: Client, *, interactive: bool = False) -> str:
        path = path_of(wanted.interface, "web")
        try:
            await client.call(path, PROPERTIES, "Get", "ss", wanted.interface, wanted.name, interactive=interactive)
        except RemoteError as error:
            return error.name
        return ""

    for client, action in ((owner, "org.mctl1.inspect-own"), (other, "org.mctl1.inspect-all")):
        house.polkit.asked.clear()
        for decide, interactive, error in (
            (lambda _: NO, False, DENIED),
            (lambda _: NO, True, DENIED),
            (lambda _: CHALLENGE, False, INTERACTIVE),
            (lambda _: CHALLENGE, True, DENIED),
            (lambda asked: YES if asked.interactive else CHALLENGE, True, ""),
            (lambda asked, action=action: YES if asked.action == action else NO, False, ""),
        ):
            house.polkit.decide = decide
            assert await read(client, interactive=interactive) == ("" if public else error)
        assert {(a.sender, a.action) for a in house.polkit.asked} == (set() if public else {(client.name, action)})
    house.polkit.decide = lambda _: NO
    assert await read(root) == ""
    await house.polkit.connection.release_name("org.freedesktop.PolicyKit1")
    assert [await read(client) for client in (root, owner, other)] == ["", *(["" if public else DENIED] * 2)]
