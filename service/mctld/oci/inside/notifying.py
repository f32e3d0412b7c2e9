# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters with flags of seccomp(2); the listener of one that asks is handed over as soon as it is in force."""

from __future__ import annotations

import os
import socket
import struct

from ...kernel import constants as c
from ...kernel import process
from ..listener import AGENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...runtime.stage import Descriptors


def load_filter(descriptors: Descriptors, flags: int) -> None:
    descriptor = descriptors["seccomp"]
    process.set_flagged_filter(os.pread(descriptor, os.fstat(descriptor).st_size, 0), flags)


def load_asking_filter(descriptors: Descriptors, message: str, flags: int) -> None:
    """Between the two calls nothing else is asked of the kernel: it might be what the filter asks about."""
    descriptor = descriptors["seccomp"]
    program, text = os.pread(descriptor, os.fstat(descriptor).st_size, 0), message.encode()
    agent = socket.socket(fileno=descriptors[AGENT])
    listener = process.set_flagged_filter(program, flags | c.SECCOMP_FILTER_FLAG_NEW_LISTENER)
    agent.sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", listener))])
    agent.detach()  # execve(2) closes both
