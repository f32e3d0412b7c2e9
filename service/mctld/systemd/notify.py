# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service tells PID 1 about itself, sd_notify(3), and the descriptors PID 1 keeps for it meanwhile."""

from __future__ import annotations

import asyncio
import os
import socket
import struct

from systemd import daemon

ROOT = 0
SCM_CREDENTIALS = 2  # linux/socket.h; Python's socket module has it from 3.13 on
_FORGED = "3i"  # struct ucred, unix(7)


def ready() -> None:
    daemon.notify("READY=1")


def stopping() -> None:
    daemon.notify("STOPPING=1")


def keep(name: str, descriptor: int) -> None:
    """Into the service's descriptor store, which outlives it. FDPOLL=0: a hang-up must not lose what is unread."""
    daemon.notify(f"FDSTORE=1\nFDPOLL=0\nFDNAME={name}", fds=[descriptor])


def drop(name: str) -> None:
    daemon.notify(f"FDSTOREREMOVE=1\nFDNAME={name}")


def kept() -> dict[str, int]:
    """What an earlier instance of the service has put into the store."""
    return {name: descriptor for descriptor, name in daemon.listen_fds_with_names().items()}


async def speak_for(pid: int, text: str) -> None:
    """As if the process had said it, which root may (SCM_CREDENTIALS, unix(7)). Returns when PID 1 has heard it."""
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.connect(f"\0{address[1:]}" if address.startswith("@") else address)
        credentials = struct.pack(_FORGED, pid, ROOT, ROOT)
        notify.sendmsg([text.encode()], [(socket.SOL_SOCKET, SCM_CREDENTIALS, credentials)])
        await _barrier(notify)


async def _barrier(notify: socket.socket) -> None:
    """PID 1 closes the descriptor when it comes to the message, sd_notify_barrier(3)."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    loop, closed = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(reading, closed.set)
    try:
        socket.send_fds(notify, [b"BARRIER=1"], [writing])
        os.close(writing)
        writing = -1
        await closed.wait()
    finally:
        loop.remove_reader(reading)
        os.close(reading)
        if writing >= 0:
            os.close(writing)
