# SPDX-License-Identifier: GPL-3.0-or-later
"""NetworkContainer: whose network may be shared, and what is asked about it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from dbus_next.signature import Variant

from bus.house import ALICE, BOB, CONTAINER, MANAGER, PROPERTIES, ROOT_UID, Client, House
from bus.polkit import NO, YES
from mctld.bus.paths import ROOT, container_path
from mctld.networking import Networking
from mctld.security import Security

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="giving files to others takes root")

CREATE, PRIVILEGED = "org.mctl1.create", "org.mctl1.create-privileged"


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    os.chown(tmp_path, ALICE, ALICE)
    opened = os.open(tmp_path, os.O_PATH)
    yield opened
    os.close(opened)


async def create(client: Client, directory: int, other: str, **more: Variant) -> str:
    """What went wrong, or nothing."""
    given = {"Rootfs": Variant("h", 0), "Command": Variant("as", ["true"]), "NetworkContainer": Variant("s", other)}
    try:
        await client.call(ROOT, MANAGER, "CreateContainer", "sa{sv}t", "new", {**given, **more}, 0, fds=[directory])
    except Exception as error:
        return str(getattr(error, "text", repr(error)))
    return ""


async def test_ones_own_by_name_or_id_and_kept_by_id(house: House, directory: int) -> None:
    house.polkit.decide = lambda asked: YES if asked.action != PRIVILEGED else NO
    web = house.registry.add("web", ALICE)
    alice = await house.client(ALICE)
    for key in ("web", web.id, web.id[:8]):
        assert await create(alice, directory, key) == ""
        (found,) = await alice.call(container_path("new"), PROPERTIES, "Get", "ss", CONTAINER, "NetworkContainer")
        assert found.value == web.id
        assert house.registry.containers.pop("new").spec.networking == Networking((), container=web.id)
    asked = next(asked for asked in house.polkit.asked if asked.action == CREATE)
    assert asked.details["network"] == f"container:{web.id}"


async def test_anothers_and_nobodys_are_refused_alike_before_anybody_is_asked(house: House, directory: int) -> None:
    alice, root = await house.client(ALICE), await house.client(ROOT_UID)
    missing = await create(alice, directory, "his")
    house.registry.add("his", BOB)
    assert await create(alice, directory, "his") == missing
    assert "there is no such container of yours" in missing
    assert house.polkit.asked == []
    assert await create(root, directory, "his") == ""


async def test_what_an_administrator_has_agreed_to_is_asked_again(house: House, directory: int) -> None:
    house.registry.add("strong", ALICE, security=Security(oom_score_adjust=-1))
    alice = await house.client(ALICE)
    house.polkit.decide = lambda asked: YES if asked.action == CREATE else NO
    assert "create-privileged" in await create(alice, directory, "strong")
    (asked,) = house.polkit.asked
    danger = "the network of container strong, which has protection from the OOM killer"
    assert (asked.details["dangers"], asked.details["privileged"]) == (danger, "yes")


@pytest.mark.parametrize(
    ("networking", "more", "sentence"),
    [
        (Networking((), host=True), {}, "has the host's network: ask for that one instead"),
        (Networking((), container="f" * 32), {}, f"has the network of container {'f' * 12} itself"),
        (Networking(), {"Networks": Variant("as", ["bridge"])}, "Networks and NetworkContainer exclude"),
        (Networking(), {"HostNetwork": Variant("b", value=True)}, "HostNetwork and NetworkContainer exclude"),
        (Networking(), {"NetworkAliases": Variant("as", ["x"])}, "NetworkAliases and NetworkContainer exclude"),
        (Networking(), {"Address": Variant("s", "172.20.0.9")}, "Address 172.20.0.9 needs a network"),
        (Networking(), {"Sysctls": Variant("a{ss}", {"net.ipv4.ip_forward": "1"})}, "would be another's"),
        (Networking(), {"UserNamespace": Variant("s", "host")}, "UserNamespace host and NetworkContainer exclude"),
    ],
)
async def test_what_does_not_go_together(
    house: House, directory: int, networking: Networking, more: dict[str, Variant], sentence: str
) -> None:
    house.registry.add("web", ALICE, networking=networking)
    assert sentence in await create(await house.client(ALICE), directory, "web", **more)
    assert house.polkit.asked == []
