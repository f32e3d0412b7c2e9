# SPDX-License-Identifier: GPL-3.0-or-later
"""What creating a container asks polkit, for which options, in which words; and what is refused before it is asked."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from dbus_next.signature import Variant

from bus.house import ALICE, BOB, MANAGER, ROOT_UID, Client, House
from bus.polkit import NO, YES
from mctld.bus import openings
from mctld.bus.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="giving files to others takes root")

DENIED = "org.freedesktop.DBus.Error.AccessDenied"
INVALID = "org.freedesktop.DBus.Error.InvalidArgs"
PLEASE, NO_MORE = Variant("b", value=True), Variant("b", value=False)
CREATE, PRIVILEGED = "org.mctl1.create", "org.mctl1.create-privileged"


def strings(*found: str) -> Variant:
    return Variant("as", list(found))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[list[int]]:
    """Alice's root directory, a directory and a file of hers, a file of root's, one of hers in a strange group."""
    names = ("root", "hers", "file", "roots", "group")
    for name in names:
        (tmp_path / name).touch() if name in ("file", "roots") else (tmp_path / name).mkdir()
        os.chown(tmp_path / name, 0 if name == "roots" else ALICE, 8 if name == "group" else ALICE)
    found = [os.open(tmp_path / name, os.O_PATH) for name in names]
    yield found
    for descriptor in found:
        os.close(descriptor)


async def create(client: Client, opened: list[int], options: dict[str, Variant]) -> str:
    """The name of the error, empty where the container was made."""
    given = {"Rootfs": Variant("h", 0), "Command": strings("true"), **options}
    try:
        await client.call(ROOT, MANAGER, "CreateContainer", "sa{sv}t", "new", given, 0, fds=opened)
    except Exception as error:
        return getattr(error, "name", repr(error))
    return ""


ON_CALL = Variant("a(ssqqq)", [["tcp", "", 8080, 80, 1]])
HARMLESS: dict[str, dict[str, Variant]] = {
    "nothing": {},
    "fewer-capabilities": {"DropCapabilities": strings("ALL"), "AddCapabilities": strings("CHOWN")},
    "a-stricter-filter": {"Seccomp": Variant("s", "strict")},
    "set-user-id-inside": {"NoNewPrivileges": NO_MORE},
    "auto": {"UserNamespace": Variant("s", "auto")},
    "first-to-be-killed": {"OOMScoreAdjust": Variant("i", 500)},
    "lower-limits": {"Rlimits": Variant("a{s(tt)}", {"NOFILE": [10, 20]})},
    "own-parameters": {"Sysctls": Variant("a{ss}", {"net.ipv4.ip_forward": "1"})},
    "read-only": {"ReadOnly": PLEASE, "Init": PLEASE},
    "memory": {"Tmpfs": Variant("a{ss}", {"/run": "size=1g"}), "ShmSize": Variant("t", 1 << 30)},
    "own-directory": {"Mounts": Variant("a(hss)", [[1, "/a", ""], [2, "/b", "ro"]])},
    "names": {"Hosts": Variant("a{ss}", {"db": "10.0.0.1"}), "NameServers": strings("1.1.1.1")},
    "a-port-on-call": {"ActivatedPorts": ON_CALL, "IdleUSec": Variant("t", 10**6), "IdleAction": Variant("s", "stop")},
    "a-user": {"User": Variant("s", "www-data:33")},
}
DANGERS: dict[str, tuple[dict[str, Variant], str]] = {
    "capability": ({"AddCapabilities": strings("net_raw", "CAP_CHOWN")}, "capabilities NET_RAW"),
    "no-filter": ({"Seccomp": Variant("s", "unconfined")}, "no system call filter"),
    "own-filter": ({"Seccomp": Variant("s", "{}")}, "a system call filter of the caller's own"),
    "unmask": ({"Unmask": strings("/proc/kcore")}, "access to /proc/kcore"),
    "host-users": ({"UserNamespace": Variant("s", "host")}, "the host's user ids"),
    "chosen-users": ({"UserNamespace": Variant("s", "100000")}, "user ids from 100000 on"),
    "protected": ({"OOMScoreAdjust": Variant("i", -1)}, "protection from the OOM killer"),
    "higher-limits": ({"Rlimits": Variant("a{s(tt)}", {"nice": [1, 1]})}, "a resource limit NICE of 1"),
    "file-of-root": ({"Mounts": Variant("a(hss)", [[3, "/a", "ro"]])}, "files of other users in {}/roots (read-only)"),
    "file-of-a-group": ({"Mounts": Variant("a(hss)", [[4, "/a", ""]])}, "files of other users in {}/group"),
    "root-of-a-group": ({"Rootfs": Variant("h", 4)}, "files of other users in {}/group"),
    "machine": ({"Machine": PLEASE}, "a place among the host's machines (systemd-machined)"),
    "a-low-port-on-call": (
        {"ActivatedPorts": Variant("a(ssqqq)", [["tcp", "", 80, 80, 1]])}, "the host's port 80:80/tcp",
    ),
    "two": (
        {"Seccomp": Variant("s", "unconfined"), "UserNamespace": Variant("s", "host")},
        "no system call filter; the host's user ids",
    ),
}


@pytest.mark.parametrize("which", HARMLESS)
async def test_what_everybody_may(house: House, opened: list[int], which: str) -> None:
    alice = await house.client(ALICE)
    house.polkit.decide = lambda asked: YES if asked.action == CREATE else NO
    assert await create(alice, opened, HARMLESS[which]) == ""
    (asked,) = house.polkit.asked
    assert asked.action == CREATE
    assert asked.details["privileged"] == "no"
    assert "dangers" not in asked.details
    assert "$(dangers)" not in asked.details["polkit.message"]
    assert house.registry.containers["new"].owner_uid == ALICE


async def test_a_refusal_names_what_takes_consent(house: House, opened: list[int]) -> None:
    alice = await house.client(ALICE)
    house.polkit.decide = lambda _: NO
    given = {"Rootfs": Variant("h", 0), "Command": strings("true"), "Seccomp": Variant("s", "unconfined")}
    body = (ROOT, MANAGER, "CreateContainer", "sa{sv}t")
    refused = await alice.error(*body, "new", given, 0, fds=opened)
    assert "needs authorization, since the container would have no system call filter" in refused.text
    given["Seccomp"] = Variant("s", "default")
    refused = await alice.error(*body, "new", given, 0, fds=opened)
    assert refused.text == "this call (create) needs authorization (org.mctl1.create)"


@pytest.mark.parametrize("which", DANGERS)
async def test_what_takes_more(house: House, opened: list[int], tmp_path: Path, which: str) -> None:
    options, words = DANGERS[which]
    alice, root = await house.client(ALICE), await house.client(ROOT_UID)
    house.polkit.decide = lambda asked: YES if asked.action == CREATE else NO
    assert await create(alice, opened, options) == DENIED
    (asked,) = house.polkit.asked
    assert asked.action == PRIVILEGED
    assert (asked.details["privileged"], asked.details["dangers"]) == ("yes", words.format(tmp_path))
    assert asked.details["polkit.message"].endswith("that has $(dangers).")
    assert "new" not in house.registry.containers
    house.polkit.decide = lambda asked: YES if asked.action == PRIVILEGED else NO
    assert await create(alice, opened, options) == ""
    house.registry.containers.clear()
    house.polkit.asked.clear()
    assert await create(root, opened, options) == ""
    assert house.polkit.asked == []


async def test_paths_are_told(house: House, opened: list[int], tmp_path: Path) -> None:
    alice = await house.client(ALICE)
    await create(alice, opened, {"Mounts": Variant("a(hss)", [[1, "/a", ""], [3, "/b", ""]])})
    (asked,) = house.polkit.asked
    assert asked.details["host_paths"] == f"{tmp_path}/hers {tmp_path}/roots"


WRONG: dict[str, dict[str, Variant]] = {
    "AddCapabilities as a string": {"AddCapabilities": Variant("s", "NET_RAW")},
    "Seccomp as an array": {"Seccomp": strings("default")},
    "NoNewPrivileges as a number": {"NoNewPrivileges": Variant("u", 0)},
    "UserNamespace as a number": {"UserNamespace": Variant("u", 100_000)},
    "OOMScoreAdjust as 64 bits": {"OOMScoreAdjust": Variant("x", -5)},
    "Rlimits with one number": {"Rlimits": Variant("a{st}", {"NOFILE": 5})},
    "Sysctls with numbers": {"Sysctls": Variant("a{st}", {"net.ipv4.ip_forward": 1})},
    "Mounts as strings": {"Mounts": Variant("a(sss)", [["/etc", "/etc", ""]])},
    "Mounts without options": {"Mounts": Variant("a(hs)", [[1, "/x"]])},
    "Tmpfs as a list": {"Tmpfs": strings("/run")},
    "ShmSize as text": {"ShmSize": Variant("s", "64m")},
    "a capability twice": {"AddCapabilities": strings("KILL"), "DropCapabilities": strings("CAP_KILL")},
    "a filter of nonsense": {"Seccomp": Variant("s", "none")},
    "a limit in two spellings": {"Rlimits": Variant("a{s(tt)}", {"core": [1, 1], "CORE": [2, 2]})},
    "a limit beyond numbers": {"Rlimits": Variant("a{s(tt)}", {"CORE": [1 << 63, 1 << 63]})},
    "a parameter of the host": {"Sysctls": Variant("a{ss}", {"kernel.core_pattern": "|/bin/sh"})},
    "a path to unmask that is none": {"Unmask": strings("/proc/../etc")},
    "ids of the host": {"UserNamespace": Variant("s", "0")},
    "a mount over /proc": {"Mounts": Variant("a(hss)", [[1, "/proc", ""]])},
    "a mount with ..": {"Mounts": Variant("a(hss)", [[1, "/a/../proc", ""]])},
    "a mount that propagates": {"Mounts": Variant("a(hss)", [[1, "/a", "rshared"]])},
    "a descriptor that is not there": {"Mounts": Variant("a(hss)", [[9, "/a", ""]])},
    "two in one place": {"Mounts": Variant("a(hss)", [[1, "/a", ""], [2, "/a/", ""]])},
    "memory without bounds": {"Tmpfs": Variant("a{ss}", {"/x": "size=0"})},
    "memory over /sys": {"Tmpfs": Variant("a{ss}", {"/sys/fs/cgroup": ""})},
    "a name with a line": {"Hosts": Variant("a{ss}", {"a\n1.2.3.4 b": "1.2.3.4"})},
    "an address with a line": {"Hosts": Variant("a{ss}", {"a": "1.2.3.4\n1.2.3.4 b"})},
    "a server that is a name": {"NameServers": strings("dns.example")},
    "too many servers": {"NameServers": strings("1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4")},
    "a port on call of udp": {"ActivatedPorts": Variant("a(ssqqq)", [["udp", "", 8080, 80, 1]])},
    "silence of nothing": {"IdleUSec": Variant("t", 10**6)},
    "a port on call of what is removed": {"ActivatedPorts": ON_CALL, "AutoRemove": PLEASE},
    "a user with a space": {"User": Variant("s", "0 ")},
    "a user of another container": {"User": Variant("s", "65536")},
}


@pytest.mark.parametrize("which", WRONG)
async def test_what_nobody_may(house: House, opened: list[int], which: str) -> None:
    """Refused before anybody is asked, root's calls too."""
    for client in (await house.client(ALICE), await house.client(ROOT_UID)):
        assert await create(client, opened, WRONG[which]) == INVALID
    assert house.polkit.asked == []
    assert house.registry.containers == {}


async def test_a_file_system_that_hangs_holds_up_its_user_alone(
    house: House, opened: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of a network's does, or one of a user's own laid over the path: whoever looks at the path waits."""
    house.polkit.decide = lambda _: YES
    hangs, looked, there = threading.Event(), threading.Event(), os.stat

    def stat(path: Any, **how: Any) -> os.stat_result:
        if path == str(tmp_path / "root"):
            looked.set()
            assert hangs.wait(30)
        return there(path, **how)

    monkeypatch.setattr(os, "stat", stat)
    alice, bob = await house.client(ALICE), await house.client(BOB)
    waiting = asyncio.ensure_future(create(alice, opened, {}))
    try:
        assert await asyncio.to_thread(looked.wait, 60)
        assert await asyncio.wait_for(bob.manager("ListContainers", "a{sv}t", {}, 0), 60) == [[]]
        assert not waiting.done()
    finally:
        hangs.set()
    assert await waiting == ""


async def test_a_pipe_is_no_mount(house: House, opened: list[int]) -> None:
    alice, (reader, writer) = await house.client(ALICE), os.pipe()
    try:
        opened = [opened[0], reader]
        assert await create(alice, opened, {"Mounts": Variant("a(hss)", [[1, "/a", ""]])}) == INVALID
        opened = [opened[0], os.open("/dev/null", os.O_PATH)]
        assert await create(alice, opened, {"Mounts": Variant("a(hss)", [[1, "/a", ""]])}) == INVALID
        os.close(opened[1])
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize(
    ("key", "kind", "entry", "most"), [("Mounts", "a(hss)", [1, "/a", ""], 128), ("Devices", "a(hss)", [1, "", ""], 12)]
)
async def test_a_long_list_is_not_even_looked_at(
    house: House, opened: list[int], monkeypatch: pytest.MonkeyPatch, key: str, kind: str, entry: list[Any], most: int
) -> None:
    """One descriptor may be named as often as fits into a message: 40,000 looks would take seconds."""
    looked: list[int] = []
    monkeypatch.setattr(openings, "mount_source", lambda fd, _: looked.append(fd))
    monkeypatch.setattr(openings, "device", lambda fd, *_: looked.append(fd))
    alice = await house.client(ALICE)
    assert await create(alice, opened, {key: Variant(kind, [entry] * (most + 1))}) == INVALID
    assert looked == []
