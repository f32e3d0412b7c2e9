# SPDX-License-Identifier: GPL-3.0-or-later
"""The record: who was refused, and who did what not everybody may; no flood fills it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from dbus_next.signature import Variant

from bus.house import ALICE, BOB, CONTAINER, MANAGER, PROPERTIES, ROOT_UID, House
from bus.permissions import OPTIONS
from bus.polkit import CHALLENGE, NO, YES
from mctld.bus import audit, origin
from mctld.bus.authority import presentable
from mctld.bus.origin import Origin
from mctld.bus.paths import ROOT, container_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIXED = {"MESSAGE_ID": audit.MESSAGE_AUDIT.hex}


async def test_a_refusal_is_recorded(house: House) -> None:
    bob = await house.client(BOB)
    web = house.registry.add("web", ALICE)
    await bob.error(container_path("web"), CONTAINER, "Stop", "a{sv}t", {}, 0)
    assert house.record == [
        {
            "MESSAGE": "Refused to uid 1001: stop container web (org.mctl1.manage)",
            "PRIORITY": 5,
            "MCTL_VERDICT": "refused",
            "MCTL_ACTION": "org.mctl1.manage",
            "MCTL_VERB": "stop",
            "MCTL_OBJECT": "container web",
            "MCTL_CALLER_UID": "1001",
            "MCTL_CONTAINER_NAME": "web",
            "MCTL_CONTAINER_ID": web.id,
            "MCTL_OWNER_UID": "1000",
            **FIXED,
        }
    ]


async def test_a_prompt_leaves_a_trail(house: House) -> None:
    """A client asks without interaction first; what a person then says is another entry."""
    bob = await house.client(BOB)
    house.registry.add("web", ALICE)
    house.polkit.decide = lambda asked: YES if asked.interactive else CHALLENGE
    await bob.error(container_path("web"), CONTAINER, "Kill", "it", 15, 0)
    await bob.error(container_path("web"), CONTAINER, "Kill", "it", 15, 0, interactive=True)  # it does not run
    assert [(e["MCTL_VERDICT"], e["MESSAGE"]) for e in house.record] == [
        ("challenge", "Not without a password to uid 1001: kill container web (org.mctl1.manage)"),
        ("granted", "Granted to uid 1001: kill container web (org.mctl1.manage)"),
    ]


async def test_what_everybody_may_is_not_recorded(house: House) -> None:
    alice = await house.client(ALICE)
    house.polkit.decide = lambda _: YES
    house.registry.add("web", ALICE)
    house.registry.add("other", BOB)
    await alice.container("web", "Start", "t", 0)
    await alice.get("other", "State")
    await alice.manager("ListContainers", "a{sv}t", {}, 0)
    await alice.manager("GetContainer", "s", "other")
    await alice.container("other", "Can", "as", [])
    assert house.record == []
    house.polkit.decide = lambda _: NO
    await alice.container("other", "Can", "as", [])
    assert house.record == []


async def test_what_root_does_to_others_is_recorded(house: House) -> None:
    root = await house.client(ROOT_UID)
    house.registry.add("web", ALICE)
    house.registry.add("roots", ROOT_UID)
    await root.container("web", "Start", "t", 0)
    await root.container("roots", "Start", "t", 0)
    await root.call(container_path("web"), PROPERTIES, "GetAll", "s", CONTAINER)
    assert [(e["MESSAGE"], e["MCTL_ACTION"]) for e in house.record] == [
        ("Granted to uid 0: start container web (root)", "org.mctl1.manage")
    ]


async def test_privileges_are_recorded_with_what_they_are(house: House, tmp_path: Path) -> None:
    alice = await house.client(ALICE)
    house.polkit.decide = lambda _: YES
    rootfs = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    options = {**OPTIONS, "Seccomp": Variant("s", "unconfined")}
    await alice.manager("CreateContainer", "sa{sv}t", "mine", options, 0, fds=[rootfs])
    os.close(rootfs)
    (entry,) = house.record
    assert entry["MCTL_ACTION"] == "org.mctl1.create-privileged"
    assert "no system call filter" in str(entry["MCTL_DANGERS"])
    assert str(entry["MESSAGE"]).startswith("Granted to uid 1000: create container mine with no system call filter; ")
    strong = house.registry.add("strong", ALICE, owner=None)
    await strong.start()
    await alice.container("strong", "Exec", "asa{sv}t", ["/bin/sh", "-c", "a\nb"], {}, 0)
    assert house.record[1]["MESSAGE"] == (
        "Granted to uid 1000: exec container strong command /bin/sh -c 'a\ufffdb' (org.mctl1.exec)"
    )


async def test_no_value_holds_what_a_terminal_obeys(house: House) -> None:
    bob = await house.client(BOB)
    name = "x\n\x1b[2J\u202e" + "y" * 1000
    await bob.error(container_path(name), CONTAINER, "Start", "t", 0)
    await bob.error(ROOT, MANAGER, "GetContainer", "s", name)
    assert len(house.record) == 2
    for entry in house.record:
        for value in map(str, entry.values()):
            assert value.isprintable()
            assert len(value) < 600


async def test_a_flood_is_counted(house: House) -> None:
    bob, alice = await house.client(BOB), await house.client(ALICE)
    for number in range(500):
        await bob.error(container_path(f"c{number}"), CONTAINER, "Start", "t", 0)
    assert len(house.record) == audit.REFUSALS_MAX
    await bob.error(container_path("web"), CONTAINER, "Exec", "asa{sv}t", ["/bin/true"], {}, 0)
    assert house.record[-1]["MCTL_ACTION"] == "org.mctl1.exec"  # the first of its kind shows in any flood
    await alice.error(container_path("web"), CONTAINER, "Start", "t", 0)
    assert house.record[-1]["MCTL_CALLER_UID"] == "1000"
    before = len(house.record)
    await house.door.close(grace=0)
    (told,) = house.record[before:]
    left = 500 - audit.REFUSALS_MAX
    assert str(told["MESSAGE"]).startswith(
        f"Refused to uid 1001 {left} times more within 60 s (org.mctl1.manage): container c{audit.REFUSALS_MAX}, "
    )
    assert told["MCTL_TIMES"] == str(left)
    assert str(told["MCTL_OBJECT"]).count("container ") == audit.NAMES_MAX


async def test_a_flood_that_goes_on_is_told_once_a_window(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "WINDOW", 1.0)  # longer than any call takes, or one of them begins anew
    bob = await house.client(BOB)
    loop = asyncio.get_running_loop()
    until, calls = loop.time() + 2.2, 0
    while loop.time() < until:
        await bob.error(container_path("web"), CONTAINER, "Start", "t", 0)
        calls += 1
    while house.door._audit._windows:  # and then no timer is left
        await asyncio.sleep(0.05)
    singly = [e for e in house.record if "MCTL_TIMES" not in e]
    counted = sum(int(e["MCTL_TIMES"]) for e in house.record if "MCTL_TIMES" in e)
    assert len(singly) + counted == calls
    assert len(singly) == audit.REFUSALS_MAX
    assert len(house.record) <= audit.REFUSALS_MAX + 8


def test_the_origin_of_a_process() -> None:
    mine = origin.of(os.getpid(), os.getuid())
    with open("/proc/self/comm", encoding="utf-8") as file:
        assert mine.comm == file.read().rstrip("\n")
    assert origin.of(os.getpid(), os.getuid() + 1) == Origin()
    assert origin.of(0, 0) == origin.of(-1, 0) == origin.of(2**31 - 1, 0) == Origin()


@pytest.fixture
def gone() -> Iterator[int]:
    """The number of a process that has ended and is not reaped."""
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    yield child.pid
    child.wait()


def test_the_origin_of_a_process_that_has_ended(gone: int) -> None:
    assert origin.of(gone, os.getuid()).comm in ("true", "")


@pytest.mark.parametrize(
    ("group", "unit", "session"),
    [
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope", "3"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope", "user@1000.service", ""),
        ("/system.slice/cron.service", "cron.service", ""),
        ("/mctl.slice/mctl-u1000.slice/mctl-web.scope/inner/a.service", "mctl-web.scope", ""),
        ("/", "", ""),
    ],
)
def test_the_unit_is_the_outermost(monkeypatch: pytest.MonkeyPatch, group: str, unit: str, session: str) -> None:
    files = {"status": f"Name:\tx\nUid:\t{ALICE}\t{ALICE}\t0\t0\n", "cgroup": f"0::{group}\n", "comm": "x\n"}
    monkeypatch.setattr(origin, "_read", lambda _, name: files.get(name, "4294967295"))
    assert origin.of(os.getpid(), ALICE) == Origin("x", unit, session, "")


def test_values_cannot_dress_up_a_prompt_or_the_record() -> None:
    assert presentable("a\x1b[2J\nb\u202ec\u2028") == "a\ufffd[2J\ufffdb\ufffdc\ufffd"
    assert len(presentable("x" * 5000)) == 256
    assert presentable("plain ünïcode") == "plain ünïcode"
