# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a machine: starts many containers over one connection to the bus, some calls ahead of the replies.

python3 -c THIS ROOT COUNT NETWORK... COMMAND. Containers are called crowd-0 and so on.
"""

from __future__ import annotations

import os
import sys

from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call
from jeepney.io.blocking import open_dbus_connection

MANAGER = DBusAddress("/org/mctl1", "org.mctl1", "org.mctl1.Manager")
AHEAD = 8
SECONDS = 120.0


def main() -> None:
    root, count, networks, command = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(), sys.argv[4:]
    connection = open_dbus_connection("SYSTEM", enable_fds=True)
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY)
    options = {"Rootfs": ("h", directory), "Command": ("as", command), "Networks": ("as", networks)}
    sent = answered = 0
    while answered < count:
        if sent < count and sent - answered < AHEAD:
            connection.send(new_method_call(MANAGER, "RunContainer", "sa{sv}t", (f"crowd-{sent}", options, 0)))
            sent += 1
            continue
        reply = connection.receive(timeout=SECONDS)
        if reply.header.message_type is MessageType.error:
            raise SystemExit(f"{reply.header.fields[HeaderFields.error_name]}: {reply.body}")
        answered += HeaderFields.reply_serial in reply.header.fields


if __name__ == "__main__":
    main()
