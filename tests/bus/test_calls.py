# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of the contract, called over a real bus."""

from __future__ import annotations

import asyncio
import os
from dataclasses import fields, replace
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

import pytest
from dbus_next.signature import Variant

from bus.house import ALICE, BOB, CONTAINER, MANAGER, PROPERTIES, ROOT_UID, Client, House
from bus.polkit import NO, YES
from mctld.bounds import INFINITY
from mctld.bus.paths import ROOT, container_path
from mctld.bus.standard import OBJECT_MANAGER
from mctld.bus.stats import NUMBERS
from mctld.lifecycle.events import Exit
from mctld.lifecycle.logs import LogQuery
from mctld.limits import Limits
from mctld.networking import Lease, Networking
from mctld.spec import Rootfs
from mctld.state import State
from mctld.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Options = dict[str, Variant]
LEASE = Lease("bridge", "0" * 32, IPv4Address("172.20.0.2"), IPv6Address("fd00::2"), 0)


@pytest.fixture
def rootfs(tmp_path: Path) -> Iterator[int]:
    directory = tmp_path / "Busy_Box"
    directory.mkdir()
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def creation(**more: Variant) -> Options:
    return {"Rootfs": Variant("h", 0), "Command": Variant("as", ["/bin/sh", "-c", "exit 3"]), **more}


async def test_create(client: Client, house: House, rootfs: int) -> None:
    options = creation(
        Environment=Variant("as", ["A=1"]),
        Hostname=Variant("s", "host"),
        User=Variant("s", "5:6"),
        Labels=Variant("a{ss}", {"team": "web"}),
        MemoryMax=Variant("t", 64 << 20),
        CPUQuotaPerSecUSec=Variant("t", 500_000),
        TimeoutStopUSec=Variant("t", 7),
        StopSignal=Variant("i", 2),
        AutoRemove=Variant("b", value=True),
        Networks=Variant("as", ["front", "back"]),
        Address=Variant("s", "10.1.2.3"),
        Address6=Variant("s", "fd00:0:0::9"),
    )
    path, identity = await client.manager("CreateContainer", "sa{sv}t", "web-1", options, 0, fds=[rootfs])
    assert path == "/org/mctl1/container/web_2d1"
    made = house.registry.containers["web-1"]
    assert made.id == identity
    assert made.owner_uid == ROOT_UID
    assert made.spec.command == ("/bin/sh", "-c", "exit 3")
    assert made.spec.environment == ("A=1",)
    assert made.spec.hostname == "host"
    assert made.spec.networking == Networking(("front", "back"), "10.1.2.3", address6="fd00::9")
    assert str(made.spec.user) == "5:6"
    assert made.spec.labels == (("team", "web"),)
    assert made.spec.limits == Limits(memory_max=64 << 20, memory_swap_max=0, cpu_quota_per_sec_usec=500_000)
    assert (made.spec.timeout_stop_usec, made.spec.stop_signal, made.spec.auto_remove) == (7, 2, True)
    there = os.fstat(rootfs)
    assert isinstance(made.spec.rootfs, Rootfs)
    assert (made.spec.rootfs.device, made.spec.rootfs.inode) == (there.st_dev, there.st_ino)
    assert made.spec.rootfs.path.endswith("/Busy_Box")
    assert made.spec.rootfs.owner is None
    assert await client.get("web-1", "MemoryMax") == 64 << 20
    assert await client.get("web-1", "CPUWeight") == INFINITY
    assert await client.get("web-1", "User") == "5:6"


async def test_an_empty_name_is_chosen_and_is_the_host_name(client: Client, house: House, rootfs: int) -> None:
    path, _ = await client.manager("CreateContainer", "sa{sv}t", "", creation(), 0, fds=[rootfs])
    (made,) = house.registry.containers.values()
    assert made.name == "busy-box-0"
    assert made.spec.hostname == "busy-box-0"
    assert path == container_path("busy-box-0")


async def test_run_hands_over_streams_and_reads_stdin(client: Client, house: House, rootfs: int) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"hello")
    header_options = creation(Stdin=Variant("h", 1))
    message = await client.run("web", header_options, 1, [rootfs, reader])
    os.close(reader)
    os.close(writer)
    path, identity, streams, warnings = message.body()
    assert streams == [0, 1]
    assert warnings == []
    assert len(message.fds) == 2
    assert os.read(message.fds.peek(1), 10) == b""
    message.fds.close()
    assert house.registry.stdin == [b"hello"]
    made = house.registry.containers["web"]
    assert (container_path(made.name), made.id) == (path, identity)


async def test_run_detached_has_no_streams(client: Client, rootfs: int) -> None:
    message = await client.run("web", creation(), 0, [rootfs])
    assert message.body()[2] == []
    assert len(message.fds) == 0


async def test_the_life_of_a_container(client: Client, house: House) -> None:
    made = house.registry.add("web", ALICE)
    await client.container("web", "Start", "t", 0)
    assert await client.get("web", "State") == "running"
    await client.container("web", "Kill", "it", 10, 1)
    await client.container("web", "Stop", "a{sv}t", {"TimeoutUSec": Variant("t", 0)}, 0)
    await client.container("web", "Stop", "a{sv}t", {}, 0)
    assert await client.get("web", "ExitHow") == "killed"
    assert await client.get("web", "ExitStatus") == 15
    await client.container("web", "Remove", "t", 1)
    assert made.done == [("start",), ("kill", 10, True), ("stop", 0), ("stop", None), ("remove", True)]
    assert not house.registry.containers


async def test_open_log(client: Client, house: House) -> None:
    made = house.registry.add("web", ALICE)
    options = {"Follow": Variant("b", value=False), "Lines": Variant("t", 3), "Output": Variant("s", "json")}
    message = await client.exchange(container_path("web"), CONTAINER, "OpenLog", "a{sv}t", options, 0)
    assert message.body() == [0]
    assert os.read(message.fds.peek(0), 100) == b"one line\n"
    message.fds.close()
    assert made.done == [("open_log", LogQuery(lines=3, output="json"))]


async def test_follow_log(client: Client, house: House) -> None:
    made = house.registry.add("web", ALICE)
    options = {"Lines": Variant("t", 3), "Output": Variant("s", "export")}
    message = await client.exchange(container_path("web"), CONTAINER, "FollowLog", "a{sv}t", options, 0)
    assert message.body() == [0, 1]
    assert [os.read(message.fds.peek(number), 100) for number in (0, 1)] == [b"one line\n", b"s=1\n"]
    message.fds.close()
    assert made.done == [("follow_log", LogQuery(lines=3, output="export"))]
    follow = {"Follow": Variant("b", value=False)}
    error = await client.error(container_path("web"), CONTAINER, "FollowLog", "a{sv}t", follow, 0)
    assert error.name == "org.freedesktop.DBus.Error.InvalidArgs"


async def test_find(client: Client, house: House) -> None:
    made = house.registry.add("web", ALICE)
    for key in ("web", made.id, made.id[:6]):
        assert await client.manager("GetContainer", "s", key) == [container_path("web")]
    error = await client.error(ROOT, MANAGER, "GetContainer", "s", "nope")
    assert error.name == "org.mctl1.Error.NoSuchContainer"


async def test_list_and_filter(client: Client, house: House) -> None:
    house.registry.add("a", ALICE).state = State.RUNNING
    house.registry.add("b", ROOT_UID)

    async def names(**wanted: Variant) -> list[str]:
        (found,) = await client.manager("ListContainers", "a{sv}t", wanted, 0)
        return [c["Name"].value for c in found]

    assert await names() == ["a", "b"]
    assert await names(States=Variant("as", ["running"])) == ["a"]
    assert await names(OwnerUID=Variant("u", 0)) == ["b"]
    assert await names(Names=Variant("as", ["b", "c"])) == ["b"]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["team"], ["db", "web"]),
        (["team=a"], ["web"]),
        (["team", "tier"], ["db"]),
        (["team="], []),
        (["other"], []),
    ],
)
async def test_list_by_labels(house: House, labels: list[str], names: list[str]) -> None:
    house.registry.add("web", ALICE, labels=(("team", "a"),))
    house.registry.add("db", ALICE, labels=(("team", "b"), ("tier", "back")))
    house.registry.add("plain", ALICE)
    house.polkit.decide = lambda _: YES
    client = await house.client(ALICE)
    (found,) = await client.manager("ListContainers", "a{sv}t", {"Labels": Variant("as", labels)}, 0)
    assert sorted(each["Name"].value for each in found) == names


async def test_list_of_some_properties(house: House) -> None:
    house.registry.add("web", ALICE)
    house.polkit.decide = lambda _: YES
    client = await house.client(ALICE)
    wanted = {"Properties": Variant("as", ["State", "Name"])}
    (found,) = await client.manager("ListContainers", "a{sv}t", wanted, 0)
    assert [{name: variant.value for name, variant in each.items()} for each in found] == [
        {"Name": "web", "State": "created"}
    ]
    wanted = {"Properties": Variant("as", ["State", "Bogus"])}
    error = await client.error(ROOT, MANAGER, "ListContainers", "a{sv}t", wanted, 0)
    assert "Properties 'Bogus' is not known" in error.text


async def test_a_list_tells_what_is_so_now(house: House) -> None:
    """It is put together from bytes that were kept: none may be older than the container."""
    container = house.registry.add("web", ALICE)
    house.polkit.decide = lambda _: YES
    client = await house.client(ALICE)
    changes: list[dict[str, object]] = [
        {}, {"state": State.RUNNING, "main_pid": 7}, {"uid_shift": 9}, {"warnings": ("one",)}, {"created_usec": 2},
        {"started_usec": 3}, {"started_monotonic_usec": 4}, {"exited_usec": 5}, {"exited_monotonic_usec": 6},
        {"end": Exit("exited", 1)}, {"end": Exit("exited", 2)}, {"leases": (LEASE,)}, {"enabled": True},
        {"spec": replace(container.spec, hostname="other")}, {"owner_uid": ALICE, "state": State.EXITED},
    ]  # fmt: skip
    for change in changes:
        for name, value in change.items():
            setattr(container, name, value)
        (listed,) = await client.manager("ListContainers", "a{sv}t", {}, 0)
        (alone,) = await client.call(container_path("web"), PROPERTIES, "GetAll", "s", CONTAINER)
        (managed,) = await client.call(ROOT, OBJECT_MANAGER, "GetManagedObjects")
        assert plain(listed[0]) == plain(alone) == plain(managed[container_path("web")][CONTAINER])


def plain(values: dict[str, Variant]) -> dict[str, object]:
    return {name: variant.value for name, variant in values.items()}


async def test_wait(client: Client, house: House) -> None:
    made = house.registry.add("web", ALICE, auto_remove=True)
    assert await client.manager("WaitContainer", "s", "web") == ["never-started", 0]
    made.state = State.RUNNING
    waiting = asyncio.create_task(client.manager("WaitContainer", "s", "web"))
    await client.settled()
    assert not waiting.done()
    made.finish(Exit("exited", 3))
    assert await waiting == ["exited", 3]
    assert await client.manager("WaitContainer", "s", "web") == ["exited", 3]  # it is removed by now


async def test_an_owner_waits_while_it_ends_and_is_removed(house: House) -> None:
    """mctl run --rm: the end may come while polkit thinks."""
    alice = await house.client(ALICE)
    made = house.registry.add("web", ALICE, auto_remove=True)
    made.state = State.RUNNING
    house.polkit.decide = lambda _: None
    waiting = asyncio.create_task(alice.manager("WaitContainer", "s", "web"))
    await house.polkit.prompt()
    made.finish(Exit("exited", 3))
    house.polkit.answer(YES)
    assert await waiting == ["exited", 3]


async def test_version(client: Client) -> None:
    (values,) = await client.call(ROOT, "org.freedesktop.DBus.Properties", "GetAll", "s", MANAGER)
    assert set(values) == {"Version", "Features"}
    assert values["Features"].value == ["cgroup.pids", "userns"]


async def test_what_the_host_lacks(client: Client) -> None:
    (found,) = await client.manager("Check")
    assert [{key: value.value for key, value in finding.items()} for finding in found] == [
        {
            "Name": "userns", "Verdict": "ok", "Found": "one was made",
            "Meaning": "Root inside is nobody outside.", "Remedy": "",
        },
        {
            "Name": "cgroup.io", "Verdict": "missing", "Found": "not offered",
            "Meaning": "There are no limits.", "Remedy": "install a kernel",
        },
    ]  # fmt: skip
    assert {value.signature for finding in found for value in finding.values()} == {"s"}


async def test_stats(house: House) -> None:
    """Of what runs and may be seen; what nobody counts is no number."""
    for name, owner in (("web", ALICE), ("gone", ALICE), ("other", BOB), ("made", ALICE)):
        house.registry.add(name, owner).main_pid = 0 if name == "made" else 7
    nothing: dict[str, Any] = dict.fromkeys(field.name for field in fields(Usage))
    counted = nothing | {"monotonic_usec": 5, "cpu_usec": 3}
    house.registry.used = {name: Usage(**counted) for name in ("web", "other", "made")}
    house.polkit.decide = lambda asked: YES if asked.action == "org.mctl1.inspect-own" else NO
    client = await house.client(ALICE)
    ((found,),) = await client.manager("GetStats", "a{sv}t", {}, 0)
    values = plain(found)
    assert (values["Name"], values["CPUUsageUSec"], values["TimestampMonotonic"]) == ("web", 3, 5)
    assert {values[name] for name in NUMBERS if name not in ("CPUUsageUSec", "TimestampMonotonic")} == {INFINITY}
    chosen = {"Names": Variant("as", ["other"])}
    assert await client.manager("GetStats", "a{sv}t", chosen, 0) == [[]]
    error = await client.error(ROOT, MANAGER, "GetStats", "a{sv}t", {"Properties": Variant("as", ["Name"])}, 0)
    assert "'Properties' is not known" in error.text
