# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that start a container: what may be asked for, what PID 1 is told, and how the relay behaves."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mctld.activation import Activation
from mctld.dangers import dangers
from mctld.encoding import decode, encode
from mctld.errors import InvalidArgs
from mctld.networking import Networking
from mctld.ports import Port
from mctld.relaying import server
from mctld.relaying.destination import Destination, read
from mctld.spec import Rootfs, Spec
from mctld.systemd.activation import container_name, properties, socket_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

WEB = Port("tcp", "", 8080, 80)
SPEC = Spec("web", Rootfs("/srv/web", 1, 2), ("true",), activation=Activation((WEB,), 2_000_000, "freeze"))


def test_it_is_stored_and_specs_without_it_still_load() -> None:
    assert decode(encode(SPEC)) == SPEC
    older = {key: value for key, value in json.loads(encode(SPEC)).items() if key != "activation"}
    assert decode(json.dumps(older)).activation == Activation()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Activation((Port("udp", "", 8080, 80),)), "has to be of tcp"),
        (lambda: Activation((Port("tcp", "", 0, 80),)), "needs a host port"),
        (lambda: Activation((Port("tcp", "", 8000, 80, 65),)), "has 65 ports: the most is 64"),
        (lambda: Activation((WEB, WEB)), "overlap"),
        (lambda: Activation((WEB,), 999_999), "IdleUSec"),
        (lambda: Activation((), 2_000_000), "needs ActivatedPorts"),
        (lambda: Activation((WEB,), on_idle="kill"), "give stop or freeze"),
        (lambda: replace(SPEC, auto_remove=True), "exclude each other"),
        (lambda: replace(SPEC, networking=Networking(())), "needs a network"),
        (lambda: replace(SPEC, networking=Networking(ports=(Port("tcp", "", 8080, 81),))), "overlap"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(InvalidArgs, match=sentence):
        make()


def test_low_ports_take_consent() -> None:
    low = replace(SPEC, activation=Activation((Port("tcp", "", 80, 80),)))
    assert set(dangers(low)) - set(dangers(SPEC)) == {"the host's port 80:80/tcp"}


def test_what_pid_1_is_told() -> None:
    ports = (Port("tcp", "", 8080, 80, 2), Port("tcp", "192.0.2.1", 9, 9), Port("tcp", "fd00::1", 9, 9))
    told = {name: variant.value for name, variant in properties("web", ports)}
    assert [address for _, address in told["Listen"]] == ["8080", "8081", "192.0.2.1:9", "[fd00::1]:9"]
    assert container_name(socket_name("web")) == "web"


def test_no_destination_where_the_container_was_not_started(tmp_path: Path) -> None:
    assert read(str(tmp_path)) is None
    (tmp_path / "destination.json").write_text('{"address": "127.0.0.1", "ports": [[8080, 80]], "idle": null}')
    assert read(str(tmp_path)) == Destination("127.0.0.1", {8080: 80}, None)


@pytest.fixture
def front() -> socket.socket:
    """As PID 1 hands it over."""
    made = socket.create_server(("127.0.0.1", 0))
    made.settimeout(0)
    return made


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All that comes, once it has ended."""
    writer.write(await reader.read())
    await writer.drain()
    writer.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as made:
        port: int = made.getsockname()[1]
        return port


async def call(front: socket.socket, said: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*front.getsockname())
    try:
        writer.write(said)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


def relay(front: socket.socket, port: int, idle: float | None = None, patience: float = 20) -> Awaitable[int]:
    destination = Destination("127.0.0.1", {front.getsockname()[1]: port}, idle)
    return server.serve(destination, [front], patience)


def test_who_calls_before_the_program_listens_waits(front: socket.socket) -> None:
    async def play() -> None:
        port = free_port()
        serving = asyncio.ensure_future(relay(front, port))
        calling = asyncio.ensure_future(call(front, b"x" * 3_000_000))
        await asyncio.sleep(0.2)
        async with await asyncio.start_server(echo, "127.0.0.1", port):
            assert await calling == b"x" * 3_000_000
            assert await asyncio.gather(*(call(front, str(i).encode()) for i in range(50))) == [
                str(i).encode() for i in range(50)
            ]
        serving.cancel()

    asyncio.run(play())


def test_it_ends_when_nobody_has_called_for_so_long(front: socket.socket) -> None:
    async def play() -> None:
        async with await asyncio.start_server(echo, "127.0.0.1", port := free_port()):
            serving = asyncio.ensure_future(relay(front, port, idle=0.3))
            reader, writer = await asyncio.open_connection(*front.getsockname())
            await asyncio.sleep(0.6)
            assert not serving.done()
            writer.write_eof()
            assert await reader.read() == b""
            assert await serving == server.IDLE
            writer.close()

    asyncio.run(play())


def test_who_is_not_answered_in_time_is_sent_away(front: socket.socket) -> None:
    async def play() -> None:
        calling = asyncio.ensure_future(call(front, b"hello"))
        assert await relay(front, free_port(), patience=0.2) == server.UNANSWERED
        with pytest.raises(ConnectionResetError):  # with what it had sent unread
            await calling

    asyncio.run(play())


def test_silence_on_one_port_is_none_while_somebody_waits_at_another(front: socket.socket) -> None:
    async def play() -> None:
        with socket.create_server(("127.0.0.1", 0)) as second:
            second.settimeout(0)
            async with await asyncio.start_server(echo, "127.0.0.1", port := free_port()):
                ports = {front.getsockname()[1]: port, second.getsockname()[1]: (slow := free_port())}
                serving = asyncio.ensure_future(server.serve(Destination("127.0.0.1", ports, 0.2), [front, second]))
                waiting = asyncio.ensure_future(call(second, b"late"))
                assert await call(front, b"hello") == b"hello"
                await asyncio.sleep(0.6)
                assert not serving.done()
                async with await asyncio.start_server(echo, "127.0.0.1", slow):
                    assert await waiting == b"late"
                    assert await serving == server.IDLE

    asyncio.run(play())


def test_a_relay_that_cannot_go_on_ends(front: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(address: str, port: int) -> socket.socket:
        raise OSError(24, "Too many open files")

    async def play() -> None:
        monkeypatch.setattr(server, "_connected", full)
        calling = asyncio.ensure_future(call(front, b"hello"))
        with pytest.raises(OSError, match="Too many"):
            async with asyncio.timeout(20):
                await relay(front, free_port())
        calling.cancel()

    asyncio.run(play())


def test_a_container_that_has_ended_leaves_the_caller_to_pid_1(
    front: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(address: str, port: int) -> socket.socket:
        raise OSError(113, "No route to host")

    async def play() -> None:
        async with await asyncio.start_server(echo, "127.0.0.1", port := free_port()):
            serving = asyncio.ensure_future(relay(front, port))
            assert await call(front, b"hello") == b"hello"
        monkeypatch.setattr(server, "_connected", gone)
        calling = asyncio.ensure_future(call(front, b"again"))
        assert await serving == server.LOST
        assert not calling.done()
        waiting, _ = front.accept()  # as the next relay does
        waiting.close()
        await asyncio.gather(calling, return_exceptions=True)

    asyncio.run(play())
