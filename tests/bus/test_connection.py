# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection: floods, descriptors, forged messages, and the end of the bus."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from bus.conftest import open_fds
from bus.house import BOB, CONTAINER, NAME, Client, House
from mctld.bus.codec import NO_REPLY_EXPECTED, Header, Kind, Unmarshallable
from mctld.bus.connection import BUS, BUS_PATH, BusGone, Connection, RemoteError
from mctld.bus.paths import ROOT, container_path
from mctld.bus.peers import Credentials
from mctld.bus.transport import QUEUE_MAX, Transport, socket_path

if TYPE_CHECKING:
    from mctld.bus.codec import Message

SYSTEMD = "org.freedesktop.systemd1"


async def test_20000_signals_in_one_loop_turn(house: House, client: Client) -> None:
    """dbus-next's own writer loses the bus after about 300."""
    for number in range(20_000):
        assert house.connection.signal(client.name, ROOT, "org.mctl1.Test", "Tick", "ts", [number, "x" * 100])
    await house.connection.drain()
    assert await house.owns_its_name()
    while len(client.signals) < 20_000:
        await asyncio.sleep(0)
    assert [body[0] for _, _, body in client.signals] == list(range(20_000))


async def test_5000_messages_with_descriptors_leave_none(house: House, client: Client) -> None:
    house.registry.add("web", 0)
    await client.settled()
    before = open_fds()
    with open("/dev/null", "rb") as null:
        fds = [null.fileno()] * 4
        for batch in range(50):
            waiting = [_with_fds(client, kind, fds) for kind in range(3) for _ in range(20)]
            for _ in range(40):
                client.connection._write(_signal(house.connection.unique_name, len(fds)), [], map(os.dup, fds))
            for answer in await asyncio.gather(*waiting, return_exceptions=True):
                assert isinstance(answer, RemoteError) or not answer, batch
    await client.settled()
    assert open_fds() == before
    assert await house.owns_its_name()


def _signal(destination: str, fds: int) -> Header:
    return Header(Kind.SIGNAL, 0, 0, ROOT, "org.example.Any", "Thing", destination=destination, descriptors=fds)


async def _with_fds(client: Client, kind: int, fds: list[int]) -> Any:
    if kind == 0:  # a handled method that does not want them
        return await client.container("web", "Kill", "it", 10, 0, fds=fds)
    if kind == 1:  # an unknown method
        return await client.manager("Nonsense", "s", "x", fds=fds)
    header = Header(Kind.CALL, NO_REPLY_EXPECTED, 0, ROOT, "", "Ping", destination=NAME)
    client.connection._write(header, [], map(os.dup, fds))
    return None


async def test_a_call_given_up_before_it_began_closes_its_descriptors(house: House, client: Client) -> None:
    before = open_fds()
    reader, writer = os.pipe()
    message = _message(client, [reader])
    assert house.connection.on_call is not None
    house.connection.on_call(message)
    for callback in house.connection.peers._gone:
        callback(client.name)
    async with asyncio.timeout(30):
        while open_fds() > before + 1:
            await asyncio.sleep(0.01)
    assert open_fds() == before + 1
    os.close(writer)


def _message(client: Client, fds: list[int]) -> Message:
    from mctld.bus.codec import Message, decode_header, encode
    from mctld.bus.descriptors import Descriptors
    from mctld.bus.wire import Framer

    header = Header(
        Kind.CALL,
        NO_REPLY_EXPECTED,
        7,
        ROOT,
        "org.freedesktop.DBus.Peer",
        "Ping",
        "",
        0,
        NAME,
        client.name,
        "",
        len(fds),
    )
    (frame,) = Framer().feed(encode(header, []))
    return Message(decode_header(frame), frame, Descriptors(fds))


async def test_replies_with_many_descriptors_arrive_whole(house: House, client: Client) -> None:
    house.registry.add("web", 0)
    answers = await asyncio.gather(
        *(client.exchange(container_path("web"), CONTAINER, "OpenLog", "a{sv}t", {}, 0) for _ in range(60))
    )
    for answer in answers:
        assert os.read(answer.fds.peek(0), 100) == b"one line\n"
        answer.fds.close()


async def test_forged_signals_are_ignored(bus: str) -> None:
    """Any peer may send us any signal (CVE-2024-34397)."""
    ours, systemd, alice = [await Connection.open(bus) for _ in range(3)]
    heard: list[str] = []
    await ours.on_signal(SYSTEMD, f"{SYSTEMD}.Manager", "JobRemoved", lambda _, body: heard.append(body[0]))
    await ours.on_signal(BUS, BUS, "NameLost", lambda _, body: heard.append(body[0]))

    def send(peer: Connection, text: str) -> None:
        peer.signal(ours.unique_name, "/org", f"{SYSTEMD}.Manager", "JobRemoved", "s", [text])

    send(systemd, "before it owns the name")
    await systemd.request_name(SYSTEMD)
    await ours.call(BUS, BUS_PATH, BUS, "GetId")  # NameOwnerChanged has come
    send(alice, "forged")
    alice.signal(ours.unique_name, BUS_PATH, BUS, "NameLost", "s", ["forged"])
    alice.signal(ours.unique_name, BUS_PATH, BUS, "NameOwnerChanged", "sss", [SYSTEMD, "", alice.unique_name])
    send(alice, "forged again")
    await alice.drain()
    await alice.call(BUS, BUS_PATH, BUS, "GetId")
    send(systemd, "true")
    await systemd.call(BUS, BUS_PATH, BUS, "GetId")
    await ours.call(BUS, BUS_PATH, BUS, "GetId")
    assert heard == ["true"]
    await systemd.release_name(SYSTEMD)
    await ours.call(BUS, BUS_PATH, BUS, "GetId")
    send(systemd, "after it lost the name")
    await systemd.call(BUS, BUS_PATH, BUS, "GetId")
    await ours.call(BUS, BUS_PATH, BUS, "GetId")
    assert heard == ["true"]
    for connection in (ours, systemd, alice):
        await connection.close()


async def test_a_forged_reply_is_ignored(house: House, client: Client) -> None:
    bob = await house.client(BOB)
    pending: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    house.connection._pending[99_999] = client.name, pending
    reply = Header(Kind.RETURN, 0, 5, sender=bob.name, reply_serial=99_999)
    assert house.connection._expecting(reply) is None
    reply = Header(Kind.RETURN, 0, 5, sender=client.name, reply_serial=99_999)
    assert house.connection._expecting(reply) is pending
    del house.connection._pending[99_999]


async def test_credentials_are_asked_once_and_forgotten_with_the_peer(bus: str) -> None:
    ours, peer = await Connection.open(bus), await Connection.open(bus)
    gone: list[str] = []
    ours.on_peer_gone(gone.append)
    found = await asyncio.gather(*(ours.credentials_of(peer.unique_name) for _ in range(5)))
    assert found == [Credentials(os.getuid(), frozenset({os.getgid(), *os.getgroups()}), os.getpid())] * 5
    assert list(ours.peers._credentials) == [peer.unique_name]
    await peer.close()
    with pytest.raises(RemoteError):
        await ours.credentials_of(peer.unique_name + "9")
    await ours.call(BUS, BUS_PATH, BUS, "GetId")
    assert gone == [peer.unique_name]
    assert not ours.peers._credentials
    with pytest.raises(RemoteError):
        await ours.credentials_of(peer.unique_name)
    await ours.close()


async def test_a_name_has_one_owner(bus: str) -> None:
    first, second = await Connection.open(bus), await Connection.open(bus)
    await first.request_name("org.example.Name")
    with pytest.raises(BusGone, match="belongs to another process"):
        await second.request_name("org.example.Name")
    with pytest.raises(BusGone, match="belongs to another process"):
        await second.expect_free("org.example.Name", within=0)
    waiting = asyncio.create_task(second.expect_free("org.example.Name"))
    await asyncio.sleep(0)
    await first.close()  # as one that was killed, of whom the bus has not heard yet
    await waiting
    await second.close()


async def test_the_end_of_the_bus_ends_every_call(narrow_bus: str) -> None:
    ours, silent = await Connection.open(narrow_bus), await Connection.open(narrow_bus)
    silent.on_call = lambda message: message.fds.close()
    waiting = asyncio.create_task(ours.call(silent.unique_name, "/x", "", "Never"))
    await ours.call(BUS, BUS_PATH, BUS, "GetId")
    os.kill(await _daemon_pid(ours), 9)
    with pytest.raises(BusGone):
        await waiting
    assert "cannot be" in await ours.closed
    with pytest.raises(BusGone):
        await ours.call(BUS, BUS_PATH, BUS, "GetId")
    await silent.closed


async def test_the_door_closes_in_order_when_the_bus_is_gone(narrow_bus: str, caplog: pytest.LogCaptureFixture) -> None:
    house = House(narrow_bus)
    await house.__aenter__()
    web = house.registry.add("web", 0)
    web.hold = asyncio.Event()
    root = await house.client(0)
    starting = asyncio.create_task(root.container("web", "Start", "t", 0))
    while not web.done:
        await root.settled()
    os.kill(await _daemon_pid(house.connection), 9)
    await house.connection.closed
    web.hold.set()
    await house.door.close()
    assert web.main_pid  # what was being changed came to its end
    with pytest.raises(BusGone):
        await starting
    assert not [r for r in caplog.records if r.levelno >= 30]


async def _daemon_pid(ours: Connection) -> int:
    (pid,) = await ours.call(BUS, BUS_PATH, BUS, "GetConnectionUnixProcessID", "s", [BUS])
    return int(pid)


async def test_what_the_bus_would_not_take_is_never_written(client: Client, house: House) -> None:
    for signature, value in [("s", "a\0b"), ("s", "\udcff"), ("u", -1), ("as", ("tuple",)), ("o", "no path"), ("s", 5)]:
        with pytest.raises(Unmarshallable):
            house.connection.signal(client.name, ROOT, "org.mctl1.Test", "Tick", signature, [value])
    with pytest.raises(Unmarshallable, match="the bus takes"):
        house.connection.signal(client.name, ROOT, "org.mctl1.Test", "Tick", "s", ["x" * (33 << 20)])
    await client.settled()
    assert await house.owns_its_name()


async def test_only_droppable_messages_are_dropped(bus: str, caplog: pytest.LogCaptureFixture) -> None:
    """The other end of this socket never reads."""
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    lost: list[str] = []
    transport = Transport(ours, lambda _: None, lost.append)
    block = b"x" * (1 << 20)
    while transport.write(block, droppable=True):
        assert transport.queued <= QUEUE_MAX + len(block)
    assert transport.dropped == 1
    assert transport.write(block)
    assert not transport.write(block, [os.dup(0)], droppable=True)
    transport.close("test")
    await asyncio.sleep(0)
    assert lost == ["test"]
    theirs.close()


async def test_a_log_line_tells_of_dropped_signals(
    house: House, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    house.connection._transport.queued += QUEUE_MAX + 1
    for _ in range(5):
        assert not house.connection.signal(client.name, ROOT, "org.mctl1.Test", "Tick", "", [])
    house.connection._transport.queued -= QUEUE_MAX + 1
    assert sum("does not keep up" in r.getMessage() for r in caplog.records) == 3  # the 1st, 2nd and 4th
    caplog.clear()


def test_addresses() -> None:
    assert socket_path("unix:path=/run/dbus/system_bus_socket") == "/run/dbus/system_bus_socket"
    assert socket_path("tcp:host=x;unix:abstract=/tmp/a%20b,guid=1") == "\0/tmp/a b"
    with pytest.raises(ConnectionError):
        socket_path("tcp:host=x")
