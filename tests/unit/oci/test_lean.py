# SPDX-License-Identifier: GPL-3.0-or-later
"""The standard library's socket, signal and ctypes without what they import; and that whoever wants that gets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SERVICE = Path(__file__).parents[3] / "service"


def test_sockets_and_signals_without_enumerations() -> None:
    code = (
        "import sys; sys.path.append(sys.argv[1]); from mctld.oci import lean; lean.load()\n"
        "import socket, signal\n"
        "assert not {'enum', 'functools', 'selectors', 're', 'collections'} & sys.modules.keys()\n"
        "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET); socket.send_fds(a, [b'x'], [0])\n"
        "assert socket.recv_fds(b, 1, 1)[0] == b'x' and a.family == socket.AF_UNIX\n"
        "assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN and signal.SIGKILL in signal.valid_signals()\n"
        "assert signal.getsignal(signal.SIGINT) == signal.default_int_handler\n"
        "import collections.abc, enum, functools, json, selectors\n"
        "assert collections.deque and enum.Enum and functools.cache and selectors.DefaultSelector\n"
    )
    subprocess.run([sys.executable, "-IS", "-c", code, str(SERVICE)], check=True)


def test_ctypes_without_what_it_imports() -> None:
    code = (
        "import sys; sys.path.append(sys.argv[1]); from mctld.oci import lean; lean.load()\n"
        "assert not {'types', 'struct', 'ctypes._endian'} & sys.modules.keys()\n"
        "import ctypes\n"
        "class Pair(ctypes.Structure): _fields_ = (('a', ctypes.c_uint32), ('b', ctypes.c_uint64))\n"
        "assert ctypes.sizeof(Pair) == 16 and Pair(1, 2).b == 2\n"
        "assert ctypes.CDLL(None).getpid() == __import__('os').getpid()\n"
        "import struct, types, ctypes._endian\n"
        "assert struct.pack('<H', 1) == b'\\1\\0' and types.SimpleNamespace and ctypes._endian.BigEndianStructure\n"
    )
    subprocess.run([sys.executable, "-IS", "-c", code, str(SERVICE)], check=True)
