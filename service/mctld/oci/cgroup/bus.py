# SPDX-License-Identifier: GPL-3.0-or-later
"""One blocking conversation with PID 1, or a user's own manager, over D-Bus."""

from __future__ import annotations

import os
import socket

from ...errors import SetupFailed
from . import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .wire import Message

SYSTEM = "unix:path=/run/dbus/system_bus_socket"
DBUS, DBUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
NAME, PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
MANAGER = f"{NAME}.Manager"
MATCH = f"type='signal',sender='{NAME}',interface='{MANAGER}',member='JobRemoved'"
MESSAGE_MAX = 128 << 20  # the specification's
TIMEOUT = 90.0  # seconds for a job


class Refused(Exception):
    """An error from the other side, by its name."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


def address(*, user: bool) -> str:
    if not user:
        return os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", SYSTEM)
    directory = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    return os.environ.get("DBUS_SESSION_BUS_ADDRESS", f"unix:path={directory}/bus")


def place(*, user: bool) -> str:
    """Of the bus's socket; an abstract one begins with a zero byte."""
    return _place(address(user=user))


def _place(given: str) -> str:
    for entry in given.split(";"):
        kind, _, rest = entry.partition(":")
        values = dict(pair.partition("=")[::2] for pair in rest.split(","))
        if kind == "unix" and "path" in values:
            return values["path"]
        if kind == "unix" and "abstract" in values:
            return "\0" + values["abstract"]
    raise SetupFailed("reach systemd over D-Bus", f"the address {given!r} names no Unix socket")


class Manager:
    """systemd's manager."""

    def __init__(self, *, user: bool = False) -> None:
        self._place = place(user=user)
        self._serial = 0
        self._buffer = bytearray()
        self._greetings: list[int] = []  # what has not been answered yet
        self._ended: dict[tuple[str, str | None], str] = {}  # result by job and sender: anybody may send signals
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(TIMEOUT)
        try:
            self._socket.connect(self._place)
            # Who we are the kernel says (SO_PEERCRED); all that follows need not wait for the answer, as with sd-bus.
            self._socket.sendall(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")
            hello = self._send(DBUS, DBUS_PATH, DBUS, "Hello", "", ())
            self._greetings = [hello, self._send(DBUS, DBUS_PATH, DBUS, "AddMatch", "s", (MATCH,))]
        except OSError as error:
            self._socket.close()
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> SetupFailed:
        return SetupFailed("reach systemd over D-Bus", f"{error} ({self._place!r})")

    def close(self) -> None:
        self._socket.close()

    def start_scope(self, unit: str, properties: list[tuple[str, tuple[str, Any]]]) -> None:
        """And wait for its job. What is left of a failed one of that name is forgotten first."""
        try:
            self._start(unit, properties)
        except Refused as error:
            if error.name != f"{NAME}.UnitExists":
                raise SetupFailed(f"start {unit}", error) from error
            self.forget(unit)
            try:
                self._start(unit, properties)
            except Refused as again:
                raise SetupFailed(f"start {unit}", again) from again

    def _start(self, unit: str, properties: list[tuple[str, tuple[str, Any]]]) -> None:
        self._job(unit, "StartTransientUnit", "ssa(sv)a(sa(sv))", (unit, "fail", properties, []))

    def stop(self, unit: str) -> None:
        """And wait until it is gone. Nothing where there is none."""
        try:
            self._job(unit, "StopUnit", "ss", (unit, "replace"))
        except Refused as error:
            if error.name != f"{NAME}.NoSuchUnit":
                raise SetupFailed(f"stop {unit}", error) from error

    def forget(self, unit: str) -> None:
        try:
            self._call("ResetFailedUnit", "s", (unit,))
        except Refused:
            return

    def set_properties(self, unit: str, properties: list[tuple[str, tuple[str, Any]]]) -> None:
        try:
            self._call("SetUnitProperties", "sba(sv)", (unit, True, properties))
        except Refused as error:
            raise SetupFailed(f"change {unit}", error) from error

    def _job(self, unit: str, member: str, signature: str, arguments: Sequence[Any]) -> None:
        reply = self._call(member, signature, arguments)
        job, sender = reply.body[0], reply.fields.get(wire.SENDER)
        while (job, sender) not in self._ended:
            self._read()
        result = self._ended[job, sender]
        if result != "done":
            raise SetupFailed(f"{member} {unit}", f"systemd's job ended with {result!r}: see systemctl status {unit}")

    def _call(self, member: str, signature: str, arguments: Sequence[Any]) -> Message:
        try:
            return self._answer(self._send(NAME, PATH, MANAGER, member, signature, arguments))
        except OSError as error:
            raise SetupFailed(f"call systemd's {member}", error) from error

    def _send(self, name: str, path: str, interface: str, member: str, signature: str, arguments: Sequence[Any]) -> int:
        self._serial += 1
        self._socket.sendall(wire.call(self._serial, name, path, interface, member, signature, arguments))
        return self._serial

    def _greet(self) -> None:
        """What has gone ahead of the first call is answered ahead of it."""
        greetings, self._greetings = self._greetings, []
        try:
            self._authenticate()
            for serial in greetings:
                self._answer(serial)
        except (OSError, Refused) as error:
            raise self._unreachable(error) from error

    def _answer(self, serial: int) -> Message:
        if self._greetings:
            self._greet()
        while True:
            message = self._read()
            if message.reply_to != serial:
                continue
            if message.kind == wire.ERROR:
                text = str(message.body[0]) if message.body else ""
                raise Refused(message.fields[wire.ERROR_NAME], text)
            return message

    def _authenticate(self) -> None:
        """Two lines: DATA, which asks who we are besides what the kernel says, and OK."""
        lines = 0
        while lines < 2:
            end = self._buffer.find(b"\r\n")
            if end < 0:
                self._receive()
                continue
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 2]
            if not line.startswith((b"DATA", b"OK")):
                raise PermissionError(13, f"the bus refused us: {line.decode(errors='replace')}")
            lines += 1

    def _read(self) -> Message:
        while len(self._buffer) < wire.FIXED or len(self._buffer) < wire.size(bytes(self._buffer[: wire.FIXED])):
            self._receive()
        size = wire.size(bytes(self._buffer[: wire.FIXED]))
        message = wire.parse(bytes(self._buffer[:size]))
        del self._buffer[:size]
        if message.kind == wire.SIGNAL and message.fields.get(wire.MEMBER) == "JobRemoved":
            self._ended[message.body[1], message.fields.get(wire.SENDER)] = message.body[3]
        return message

    def _receive(self) -> None:
        data = self._socket.recv(64 << 10)
        if not data:
            raise ConnectionResetError(104, "the bus hung up")
        self._buffer += data
