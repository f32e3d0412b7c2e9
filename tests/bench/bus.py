# SPDX-License-Identifier: GPL-3.0-or-later
"""A blocking client of org.mctl1: what a start costs without the mctl command."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call
from jeepney.io.blocking import open_dbus_connection

from bench.command import FailedError
from bench.peer import TRUE

if TYPE_CHECKING:
    from bench.rootfs import Rootfs

MANAGER = DBusAddress("/org/mctl1", "org.mctl1", "org.mctl1.Manager")
SECONDS = 120.0
AHEAD = 8  # calls, sent ahead of the replies


class Bus:
    """One connection; calls are sent ahead of the replies."""

    def __init__(self, rootfs: Rootfs, *, bridged: bool = False) -> None:
        self._networks = ["bridge"] if bridged else []
        self._connection = open_dbus_connection("SYSTEM", enable_fds=True)
        self._root = os.open(rootfs.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._replies: dict[int, Any] = {}

    def __enter__(self) -> Bus:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        os.close(self._root)

    def start(self) -> str:
        return str(self._result(self._run())[1])

    def start_all(self, count: int) -> list[str]:
        return [str(self._result(serial)[1]) for serial in [self._run() for _ in range(count)]]

    def create_all(self, count: int) -> list[str]:
        """The ids of containers that never run; none is removed at its end."""
        options = {"Rootfs": ("h", self._root), "Command": ("as", list(TRUE))}
        made = []
        for begin in range(0, count, AHEAD):
            some = range(begin, min(begin + AHEAD, count))
            serials = [self._send("CreateContainer", "sa{sv}t", "", options, 0) for _ in some]
            made += [str(self._result(serial)[1]) for serial in serials]
        return made

    def wait(self, name_or_id: str) -> None:
        self._result(self._send("WaitContainer", "s", name_or_id))

    def execute(self, name: str) -> str:
        """The path of a command in a container, once it is executed."""
        path = f"/org/mctl1/container/{name.replace('-', '_2d')}"
        call = DBusAddress(path, "org.mctl1", "org.mctl1.Container")
        return str(self._result(self._send("Exec", "asa{sv}t", list(TRUE), {}, 0, to=call))[0])

    def wait_executed(self, path: str) -> None:
        self._result(self._send("Wait", "", to=DBusAddress(path, "org.mctl1", "org.mctl1.Exec")))

    def _run(self) -> int:
        options = {
            "Rootfs": ("h", self._root), "Command": ("as", list(TRUE)), "AutoRemove": ("b", True),
            "Networks": ("as", self._networks),
        }  # fmt: skip
        return self._send("RunContainer", "sa{sv}t", "", options, 0)

    def _result(self, serial: int) -> tuple[Any, ...]:
        while serial not in self._replies:
            message = self._connection.receive(timeout=SECONDS)
            self._replies[message.header.fields.get(HeaderFields.reply_serial, 0)] = message
        reply = self._replies.pop(serial)
        body: tuple[Any, ...] = reply.body
        if reply.header.message_type is MessageType.error:
            raise FailedError(f"{reply.header.fields.get(HeaderFields.error_name)}: {body}")
        return body

    def _send(self, member: str, signature: str, *body: object, to: DBusAddress = MANAGER) -> int:
        serial = next(self._connection.outgoing_serial)
        self._connection.send(new_method_call(to, member, signature or None, body), serial=serial)
        return int(serial)
