# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to a message bus: calls, replies, signals from whom they claim to be from, credentials of peers.

When the bus goes away `closed` is done: every pending call fails with BusGone and nothing can be sent any more. The
daemon then exits and systemd starts it again, because names, matches and subscribers are lost with the connection.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from typing import TYPE_CHECKING, Any

from ..errors import MctlError
from .codec import NO_AUTO_START, NO_REPLY_EXPECTED, Header, Kind, Message, decode_header, encode
from .descriptors import Descriptors, duplicates
from .peers import Credentials, Peers
from .transport import Transport, open_socket, system_bus_address

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Sequence

    from .wire import Frame

BUS = "org.freedesktop.DBus"
BUS_PATH = "/org/freedesktop/DBus"
TEXT_MAX = 4096  # characters of an error's sentence
_DO_NOT_QUEUE = 4
_OWNER = (1, 4)  # DBUS_REQUEST_NAME_REPLY_PRIMARY_OWNER, _ALREADY_OWNER

log = logging.getLogger(__name__)


class RemoteError(MctlError):
    """A peer answered with an error. Its text is the peer's, not ours."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{text or 'no text'} ({name})")
        self.name = name
        self.text = text


class BusGone(MctlError, ConnectionError):
    """The connection to the bus is lost."""


class Connection:
    """Made by `open`."""

    def __init__(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[str] = loop.create_future()  # why
        self.unique_name = ""
        self.peers = Peers(self)
        self.on_call: Callable[[Message], None] | None = None  # takes over the message's descriptors
        self.on_sent: Callable[[str, int], None] = lambda _receiver, _size: None
        self._pending: dict[int, tuple[str, asyncio.Future[Message]]] = {}
        self._serials = itertools.count(1)
        self._transport = Transport(sock, self._received, self._lost)

    @classmethod
    async def open(cls, address: str | None = None) -> Connection:
        """Of the system bus if no address is given."""
        self = cls(await open_socket(address or system_bus_address()))
        (self.unique_name,) = await self.call(BUS, BUS_PATH, BUS, "Hello")
        await self.peers.watch()
        return self

    async def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[object] = (),
        *,
        fds: Sequence[int] = (),
        flags: int = 0,
    ) -> list[Any]:
        """The body of the reply. `fds` stay the caller's; a value of type h is an index into them."""
        reply = await self.exchange(
            Header(Kind.CALL, flags, 0, path, interface, member, destination=destination, signature=signature),
            body,
            fds,
        )
        reply.fds.close()
        return reply.body()

    async def exchange(self, header: Header, body: Sequence[object] = (), fds: Sequence[int] = ()) -> Message:
        """Sends a call; the reply and its descriptors are the caller's."""
        serial, future = next(self._serials), asyncio.get_running_loop().create_future()
        self._pending[serial] = header.destination, future
        try:
            self._write(header, body, duplicates(fds), serial)
            reply: Message = await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and not future.exception():
                future.result().fds.close()
            raise
        finally:
            self._pending.pop(serial, None)
        if reply.header.kind == Kind.ERROR:
            reply.fds.close()
            raise RemoteError(reply.header.error_name, _text(reply))
        return reply

    def send(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[object] = (),
    ) -> None:
        """A call whose answer does not matter, to one who is there."""
        flags = NO_REPLY_EXPECTED | NO_AUTO_START
        header = Header(Kind.CALL, flags, 0, path, interface, member, "", 0, destination, "", signature)
        self._write(header, body)

    def signal(
        self, destination: str, path: str, interface: str, member: str, signature: str, body: Sequence[object]
    ) -> bool:
        """To one peer. False where it was dropped because the bus daemon does not keep up."""
        header = Header(Kind.SIGNAL, 0, 0, path, interface, member, "", 0, destination, "", signature)
        return self._write(header, body, droppable=True)

    def reply(self, call: Header, signature: str, body: Sequence[object], fds: Iterable[int] = ()) -> None:
        """Takes over the descriptors. Raises Unmarshallable, having sent nothing."""
        self._write(_answer(Kind.RETURN, call, signature), body, fds)

    def error(self, call: Header, name: str, text: str) -> None:
        self._write(_answer(Kind.ERROR, call, "s", name), [_sendable(text)])

    async def on_signal(
        self, sender: str, interface: str, member: str, callback: Callable[[str, list[Any]], None], path: str = ""
    ) -> None:
        """callback(path, body) for each such signal that really comes from the owner of the name `sender`."""
        await self.peers.on_signal(sender, interface, member, callback, path)

    async def credentials_of(self, sender: str) -> Credentials:
        return await self.peers.credentials_of(sender)

    def on_peer_gone(self, callback: Callable[[str], None]) -> None:
        """callback(unique name) whenever a peer has left the bus."""
        self.peers.on_gone(callback)

    async def request_name(self, name: str) -> None:
        """Without queueing behind another owner."""
        (answer,) = await self.call(BUS, BUS_PATH, BUS, "RequestName", "su", [name, _DO_NOT_QUEUE])
        if answer not in _OWNER:
            raise BusGone(f"the name {name} belongs to another process")

    async def expect_free(self, name: str, *, within: float = 5.0) -> None:
        """Raises BusGone where another process has it. `within`: seconds for the bus to hear that one was killed."""
        deadline = time.monotonic() + within
        while True:
            (taken,) = await self.call(BUS, BUS_PATH, BUS, "NameHasOwner", "s", [name])
            if not taken:
                return
            if time.monotonic() > deadline:
                raise BusGone(f"the name {name} belongs to another process")
            await asyncio.sleep(0.1)

    async def release_name(self, name: str) -> None:
        await self.call(BUS, BUS_PATH, BUS, "ReleaseName", "s", [name])

    async def drain(self) -> None:
        await self._transport.drain()

    async def close(self) -> None:
        await self.drain()
        self._transport.close("closed by us")
        await self.closed

    @property
    def queued(self) -> int:
        """Bytes that the bus daemon has not taken yet."""
        return self._transport.queued

    def _write(
        self,
        header: Header,
        body: Sequence[object],
        fds: Iterable[int] = (),
        serial: int = 0,
        *,
        droppable: bool = False,
    ) -> bool:
        owned = list(fds)
        try:
            data = encode(_numbered(header, serial or next(self._serials), len(owned)), body)
        except BaseException:
            Descriptors(owned).close()
            raise
        if self._transport.write(data, owned, droppable=droppable):
            self.on_sent(header.destination, len(data))
            return True
        if not self._transport.open:
            if header.kind == Kind.CALL:
                raise BusGone("the bus is gone")
            return False
        if self._transport.dropped & (self._transport.dropped - 1) == 0:  # 1, 2, 4, 8, ...: the log must not flood too
            log.warning("the bus daemon does not keep up: %d messages dropped so far", self._transport.dropped)
        return False

    def _received(self, frame: Frame) -> None:
        header = decode_header(frame)
        message = Message(header, frame, self._transport.claim(header.descriptors))
        try:
            self._route(message)
        except Exception:
            log.exception("a message of %s could not be handled", header.sender)
            message.fds.close()

    def _route(self, message: Message) -> None:
        kind = message.header.kind
        if kind == Kind.CALL and self.on_call:
            self.on_call(message)
            return
        if kind in (Kind.RETURN, Kind.ERROR) and (future := self._expecting(message.header)):
            future.set_result(message)
            return
        try:
            if kind == Kind.SIGNAL:
                self.peers.deliver(message)
            elif kind == Kind.CALL and not message.header.flags & NO_REPLY_EXPECTED:
                self.error(message.header, "org.freedesktop.DBus.Error.UnknownObject", "nothing is served here")
        finally:
            message.fds.close()

    def _expecting(self, header: Header) -> asyncio.Future[Message] | None:
        destination, future = self._pending.get(header.reply_serial, ("", None))
        known = destination == BUS or destination.startswith(":")
        forged = known and header.sender != destination
        return None if forged or future is None or future.done() else future

    def _lost(self, why: str) -> None:
        for _, future in self._pending.values():
            if not future.done():
                future.set_exception(BusGone(why))
        self._pending.clear()
        self.closed.set_result(why)


def _answer(kind: Kind, call: Header, signature: str, error_name: str = "") -> Header:
    return Header(kind, NO_REPLY_EXPECTED, 0, "", "", "", error_name, call.serial, call.sender, "", signature)


def _numbered(header: Header, serial: int, descriptors: int) -> Header:
    return Header(
        header.kind, header.flags, serial, header.path, header.interface, header.member, header.error_name,
        header.reply_serial, header.destination, "", header.signature, descriptors,
    )  # fmt: skip


def _sendable(text: str) -> str:
    return text[:TEXT_MAX].encode(errors="replace").decode().replace("\0", "")


def _text(error: Message) -> str:
    body = error.body() if error.header.signature.startswith("s") else []
    return str(body[0]) if body else ""
