# SPDX-License-Identifier: GPL-3.0-or-later
"""One method called again and again, by a client that does next to nothing: what the bus and the service take.

`python3 -m bench.caller COUNT DESTINATION PATH INTERFACE MEMBER [STRING...]` prints milliseconds, as JSON.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from typing import TYPE_CHECKING

from jeepney import DBusAddress, MessageType, new_method_call
from jeepney.bus_messages import message_bus

from bench.command import FailedError

if TYPE_CHECKING:
    from jeepney import Message

ADDRESS = "/run/dbus/system_bus_socket"
SECONDS = 60.0
FIXED = 16  # bytes of each message, which tell how long it is


class Caller:
    """Replies are read, and not looked into."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(SECONDS)
        self._socket.connect(ADDRESS)
        self._serial = 0
        self._socket.sendall(f"\0AUTH EXTERNAL {str(os.geteuid()).encode().hex()}\r\nBEGIN\r\n".encode())
        while self._exactly(1) != b"\n":
            pass
        self.milliseconds(message_bus.Hello())

    def milliseconds(self, call: Message) -> float:
        """From the call to the end of its reply. Raises FailedError where that is an error."""
        self._serial += 1
        message = call.serialise(self._serial)
        began = time.perf_counter()
        self._socket.sendall(message)
        while True:
            kind, body = self._message()
            if kind is MessageType.error:
                raise FailedError(body.decode(errors="replace"))
            if kind is MessageType.method_return:
                return 1000 * (time.perf_counter() - began)

    def _message(self) -> tuple[MessageType, bytes]:
        head = self._exactly(FIXED)
        body, fields = int.from_bytes(head[4:8], sys.byteorder), int.from_bytes(head[12:16], sys.byteorder)
        rest = self._exactly(-(-fields // 8) * 8 + body)
        return MessageType(head[1]), rest[len(rest) - body :]

    def _exactly(self, size: int) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            received = self._socket.recv_into(view)
            if not received:
                raise FailedError("the bus has closed the connection")
            view = view[received:]
        return bytes(data)


def main() -> None:
    count, destination, path, interface, member, *strings = sys.argv[1:]
    address = DBusAddress(path, destination, interface)
    call = new_method_call(address, member, "s" * len(strings) or None, tuple(strings))
    caller = Caller()
    caller.milliseconds(call)  # the service asks the bus who this is
    json.dump([caller.milliseconds(call) for _ in range(int(count))], sys.stdout)


if __name__ == "__main__":
    main()
