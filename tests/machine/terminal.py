# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins this terminal to a machine's serial console."""

from __future__ import annotations

import os
import select
import socket
import sys
import termios
import tty
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LEAVE = b"\x1d"  # Ctrl-]


def attach(path: Path) -> int:
    """Copies both ways until Ctrl-] or the end of either side; returns 0."""
    here = sys.stdin.fileno()
    saved = termios.tcgetattr(here)
    print("serial console, Ctrl-] leaves", file=sys.stderr)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as console:
        console.connect(str(path))
        console.sendall(b"\r")
        tty.setraw(here)
        try:
            _copy(here, console)
        finally:
            termios.tcsetattr(here, termios.TCSADRAIN, saved)
    return 0


def _copy(here: int, console: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([here, console.fileno()], [], [])
        if here in ready:
            data = os.read(here, 4096)
            if not data or LEAVE in data:
                return
            console.sendall(data)
        if console.fileno() in ready:
            data = console.recv(4096)
            if not data:
                return
            os.write(sys.stdout.fileno(), data)
