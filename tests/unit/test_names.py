# SPDX-License-Identifier: GPL-3.0-or-later
"""The name server: what it answers to whom, and that it stays up whatever it is sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from mctld.names import allowance, entry, message, streams, upstream
from mctld.names.entry import Entry, Place
from mctld.names.listening import Listening
from mctld.names.server import Server
from mctld.names.table import Table
from mctld.names.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from pathlib import Path

    from mctld.names.message import Question

ALICE, BOB = 1000, 1001


def query(name: str, kind: int = message.A, *, identity: int = 7, flags: int = 0x0100) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part)
    return struct.pack("!HHHHHH", identity, flags, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def made(names: str, number: int, *networks: str, owner: int = ALICE, outside: bool = True) -> Entry:
    places = [
        Place(n, f"127.{i + 9}.0.1", f"10.9.{ord(n[0])}.{number}", f"fd00::{number}") for i, n in enumerate(networks)
    ]
    return Entry(owner, tuple(names.split()), tuple(places), (), outside)


def asked_by(number: int, network: str = "n") -> str:
    return f"10.9.{ord(network[0])}.{number}"


class NoUpstream(Upstream):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.hold: asyncio.Event | None = None

    async def ask(self, query: bytes, question: Question, servers: Sequence[str], *, stream: bool) -> bytes | None:
        self.asked.append((question.name, tuple(servers)))
        if self.hold:
            await self.hold.wait()
        return b"\0\0from outside"


class Told:
    """A server that knows some entries; nothing is listened on."""

    def __init__(self, **entries: Entry) -> None:
        self.upstream = NoUpstream()
        self.server = Server(self.upstream, 0)
        for identity, each in entries.items():
            self.server._table.put(identity, each)

    def ask(self, asker: str, name: str, kind: int = message.A) -> tuple[int, list[str]]:
        """The code, and addresses or names."""
        return read(asyncio.run(self.server.answer(query(name, kind), asker, message.UDP_MAX)))


def read(data: bytes) -> tuple[int, list[str]]:
    identity, flags, questions, count, _, _ = struct.unpack_from("!HHHHHH", data)
    assert (identity, bool(flags & 0x8000), questions) == (7, True, 1)
    at = data.index(b"\0", 12) + 5
    found = []
    for _ in range(count):
        _, kind, _, ttl, length = struct.unpack_from("!HHHIH", data, at)
        value = data[at + 12 : at + 12 + length]
        assert ttl <= 10
        found.append(value[1:-1].decode() if kind == message.PTR else str(ip_address(value)))
        at += 12 + length
    assert at == len(data)
    return flags & 15, found


def test_names_are_known_on_common_networks() -> None:
    told = Told(
        a=made("web", 2, "n"),
        b=made("db Sql", 3, "n", "back"),
        c=made("store sql", 4, "back"),
        d=made("sql2 sql", 5, "n"),
    )
    assert told.ask(asked_by(2), "db") == (0, ["10.9.110.3"])
    assert told.ask(asked_by(2), "DB.") == (0, ["10.9.110.3"])
    assert told.ask(asked_by(2), "db", message.AAAA) == (0, ["fd00::3"])
    assert told.ask(asked_by(2), "db", 15) == (0, [])
    assert told.ask(asked_by(2), "sql") == (0, ["10.9.110.3", "10.9.110.5"])
    assert told.ask(asked_by(2), "store") == (message.NO_SUCH_NAME, [])
    assert told.ask(asked_by(3, "back"), "store") == (0, ["10.9.98.4"])
    assert told.ask(asked_by(2), "3.110.9.10.in-addr.arpa", message.PTR) == (0, ["db"])
    assert told.upstream.asked == []


def test_owners_do_not_see_each_others_names() -> None:
    told = Told(a=made("web", 2, "n"), b=made("web secret", 3, "n", owner=BOB), c=made("db", 4, "n", owner=BOB))
    assert told.ask(asked_by(2), "secret") == (message.NO_SUCH_NAME, [])
    assert told.ask(asked_by(2), "web") == (0, ["10.9.110.2"])
    assert told.ask(asked_by(4), "web") == (0, ["10.9.110.3"])
    assert asyncio.run(told.server.answer(query("3.110.9.10.in-addr.arpa", 12), asked_by(2), message.UDP_MAX)) != b""
    assert told.upstream.asked == [("3.110.9.10.in-addr.arpa", ())]


def test_who_is_no_container_is_refused() -> None:
    told = Told(a=made("web", 2, "n"))
    assert told.ask("10.9.110.77", "web") == (message.REFUSED, [])
    assert told.ask("10.9.110.77", "example.org") == (message.REFUSED, [])
    assert told.upstream.asked == []


def test_what_others_know_is_asked_of_them_unless_the_network_is_internal() -> None:
    own = Entry(ALICE, ("own",), made("own", 3, "n").places, ("9.9.9.9",))
    told = Told(a=made("web", 2, "n"), b=own, c=made("inner", 4, "n", outside=False))
    for number in (2, 3):
        assert (
            asyncio.run(told.server.answer(query("example.org"), asked_by(number), message.UDP_MAX))
            == b"\0\0from outside"
        )
    assert told.upstream.asked == [("example.org", ()), ("example.org", ("9.9.9.9",))]
    assert told.ask(asked_by(4), "example.org") == (message.NO_SUCH_NAME, [])
    assert told.ask(asked_by(2), "localhost") == (message.NO_SUCH_NAME, [])
    assert len(told.upstream.asked) == 2


def test_a_container_hurts_only_itself() -> None:
    asyncio.run(flooded())


async def flooded() -> None:
    told = Told(a=made("web", 2, "n"), b=made("other", 3, "n"))
    told.upstream.hold = asyncio.Event()
    flood = [
        asyncio.ensure_future(told.server.answer(query("x.org"), asked_by(2), message.UDP_MAX))
        for _ in range(allowance.OF_CONTAINER + 5)
    ]
    await asyncio.sleep(0)
    refused = [task.result() for task in flood if task.done()]
    assert [read(data)[0] for data in refused] == [message.SERVER_FAILURE] * 5
    other = asyncio.ensure_future(told.server.answer(query("x.org"), asked_by(3), message.UDP_MAX))
    await asyncio.sleep(0)
    assert not other.done()
    told.upstream.hold.set()
    assert await other == b"\0\0from outside"
    await asyncio.gather(*flood)
    assert not told.server._allowance._used


def test_an_owner_hurts_only_itself() -> None:
    asyncio.run(flooded_by_owner())


async def flooded_by_owner() -> None:
    """From as many containers as it likes."""
    each = {f"a{i}": made(f"a{i}", i, "n") for i in range(2, 42)}
    told = Told(**each, b=made("b", 99, "n", owner=BOB))
    told.upstream.hold = asyncio.Event()
    flood = [
        asyncio.ensure_future(told.server.answer(query("x.org"), asked_by(i), message.UDP_MAX))
        for i in range(2, 42)
        for _ in range(allowance.OF_CONTAINER)
    ]
    await asyncio.sleep(0)
    assert sum(not task.done() for task in flood) == allowance.OF_OWNER
    other = asyncio.ensure_future(told.server.answer(query("x.org"), asked_by(99), message.UDP_MAX))
    await asyncio.sleep(0)
    assert not other.done()
    told.upstream.hold.set()
    assert await other == b"\0\0from outside"
    await asyncio.gather(*flood)


STREAM = struct.Struct("!H")
PEERS = 1055


async def answered(data: bytes, asker: str, most: int) -> bytes:
    return data


class Streaming:
    """Streams of containers: those of 127.0.1.0/24 are alice's, 127.0.2.0/24 bob's, and no others are anybody's."""

    def __init__(self) -> None:
        owners = {"127.0.1": ALICE, "127.0.2": BOB}
        self.listening = Listening(answered, lambda address: owners.get(address.rpartition(".")[0]), PEERS)
        self.writers: list[asyncio.StreamWriter] = []

    async def open(self, asker: str) -> Callable[[], Coroutine[None, None, bool]]:
        """Whether its questions are answered."""
        reader, writer = await asyncio.open_connection("127.9.0.3", PEERS, local_addr=(asker, 0))
        self.writers.append(writer)

        async def ask() -> bool:
            try:
                writer.write(STREAM.pack(3) + b"one")
                return await reader.readexactly(5) == STREAM.pack(3) + b"one"
            except (OSError, asyncio.IncompleteReadError):
                return False

        await ask()
        return ask

    async def __aenter__(self) -> Streaming:
        assert await self.listening.become({"127.9.0.3"}) == {}
        return self

    async def __aexit__(self, *_: object) -> None:
        for writer in self.writers:
            writer.close()
        await self.listening.become(set())


def test_streams_of_one_hold_up_nobody_else() -> None:
    asyncio.run(crowded())


async def crowded() -> None:
    async with Streaming() as there:
        stranger = await there.open("127.0.3.1")
        assert not await stranger()
        bobs = await there.open("127.0.2.1")
        first = [await there.open("127.0.1.1") for _ in range(streams.OF_CONTAINER)]
        ninth = await there.open("127.0.1.1")
        assert [await ask() for ask in (*first, ninth)] == [False, *[True] * streams.OF_CONTAINER]
        for number in range(2, 30):
            for _ in range(streams.OF_CONTAINER):
                last = await there.open(f"127.0.1.{number}")
        assert await last()
        assert await bobs()
        assert await (await there.open("127.0.2.2"))()
        assert len(there.listening._streams._open) == streams.ALL


def test_where_all_streams_are_being_answered_there_is_no_place() -> None:
    table = streams.Streams()
    held = [table.admit(ALICE, "a", lambda: None) for _ in range(streams.OF_CONTAINER)]
    with contextlib.ExitStack() as answering:
        for each in held:
            assert each is not None
            answering.enter_context(table.busy(each))
        assert table.admit(ALICE, "a", lambda: None) is None
        assert table.admit(ALICE, "b", lambda: None) is not None
    assert table.admit(ALICE, "a", lambda: None) is not None


def test_what_has_ended_is_forgotten() -> None:
    table = Table()
    table.put("a", made("web www", 2, "n"))
    table.put("b", made("www", 3, "n", "back"))
    table.put("a", made("web", 4, "n"))
    asker = table.asker(asked_by(3))
    assert asker is not None
    assert table.addresses(asker, "www") == tuple(map(ip_address, ("10.9.110.3", "fd00::3", "10.9.98.3")))
    assert table.asker(asked_by(2)) is None
    assert table.gateways() == {"127.9.0.1", "127.10.0.1"}
    for identity in ("a", "b", "b"):
        table.drop(identity)
    assert (len(table), table.gateways(), table._views, table._askers) == (0, set(), {}, {})


def test_too_many_addresses_for_a_datagram() -> None:
    told = Told(**{f"c{i}": made("all", i, "n") for i in range(2, 102)})
    short = asyncio.run(told.server.answer(query("all"), asked_by(2), message.UDP_MAX))
    assert len(short) <= message.UDP_MAX
    assert short[2] & 0x02  # truncated
    assert len(read(asyncio.run(told.server.answer(query("all"), asked_by(2), message.STREAM_MAX)))[1]) == 100


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\0" * 11, query("web", flags=0x8100), query("web", flags=0x2800), query("web")[:-1],
        query("web")[:4] + b"\0\2" + query("web")[6:], query("web")[:12] + b"\xc0\x0c\0\1\0\1",
        query("web")[:12] + b"\x03w.b\0\0\1\0\1", query("web")[:12] + b"\x3f" + b"a" * 20,
        query(".".join(["a" * 60] * 5)),
    ],
)  # fmt: skip
def test_what_is_no_question_is_no_harm(data: bytes) -> None:
    told = Told(a=made("web", 2, "n"))
    found = asyncio.run(told.server.answer(data, asked_by(2), message.UDP_MAX))
    assert found == b"" or found[3] & 15 in (message.FORMAT_ERROR, message.NOT_IMPLEMENTED)
    assert told.upstream.asked == []


def test_noise() -> None:
    told, dice = Told(a=made("web", 2, "n")), random.Random(6)
    for _ in range(20_000):
        data = bytearray(query("web.example"))
        for _ in range(dice.randrange(1, 6)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            found = message.question(bytes(data[: dice.randrange(len(data) + 1)]))
        except message.Malformed:
            continue
        assert message.answer(found, [ip_address("1.2.3.4")], 512)
    assert told.ask(asked_by(2), "web") == (0, ["10.9.110.2"])


def test_an_address_that_is_left_is_free_at_once() -> None:
    """One container goes and another comes before the loop turns: the last of a network and the first."""
    asyncio.run(left_and_taken())


async def left_and_taken() -> None:
    told = Server(NoUpstream(), 1053)
    one = made("one", 1, "n")
    said = [entry.put("a", one), *[entry.drop("a"), entry.put("a", one)] * 20, entry.drop("a")]
    for line in said:
        assert await told._obey(json.loads(line)) == {}


def test_lines_are_read_as_they_were_meant() -> None:
    each = made("web www", 2, "n", "back")
    said = json.loads(entry.put("x", each))
    assert (said["put"], entry.restored(said["entry"])) == ("x", each)
    with pytest.raises(ValueError, match="not an entry"):
        entry.restored({"owner": "root"})


class Elsewhere(asyncio.DatagramProtocol):
    """A server that first sends what is not the answer."""

    def connection_made(self, transport: object) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, sender: object) -> None:
        response = data[:2] + b"\x81\x80" + data[4:]
        for each in (b"\0\0" + response[2:] if data[:2] != b"\0\0" else b"\1\1" + response[2:],
                     response.replace(b"example", b"exbmple"), response + b"!"):  # fmt: skip
            self.transport.sendto(each, sender)  # type: ignore[attr-defined]


def test_only_the_answer_to_the_question_counts(tmp_path: Path) -> None:
    asyncio.run(forged(tmp_path))


async def forged(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Elsewhere, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    path = tmp_path / "resolv.conf"
    path.write_text("# nothing\nnameserver nonsense\nnameserver 127.0.0.1\n")
    upstream = Upstream(str(path), port)
    asked = query("example.org")
    found = await upstream.ask(asked, message.question(asked), (), stream=False)
    assert found is not None
    assert (found[:2], found[-1:]) == (asked[:2], b"!")
    transport.close()
    assert await upstream.ask(asked, message.question(asked), (), stream=False) is None
    path.unlink()
    assert await upstream.ask(asked, message.question(asked), (), stream=False) is None


def test_all_servers_together_have_less_time_than_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asked is told before it gives up; and one server that is silent leaves time for the others."""
    asyncio.run(silent(monkeypatch))


async def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    really = asyncio.timeout

    def timeout(delay: float) -> asyncio.Timeout:
        given.append(delay)
        return really(0.001)

    monkeypatch.setattr(asyncio, "timeout", timeout)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        asked = query("example.org")
        asking = Upstream("/nowhere", deaf.getsockname()[1])
        assert await asking.ask(asked, message.question(asked), ["127.0.0.1"] * 4, stream=False) is None
    assert len(given) == 4
    assert given[0] == pytest.approx(upstream.PATIENCE / 4, rel=0.2)
    assert given[3] <= upstream.PATIENCE < 5
