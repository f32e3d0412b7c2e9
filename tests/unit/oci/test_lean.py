# SPDX-License-Identifier: GPL-3.0-or-later
"""What the standard library's socket and signal do without enumerations, and that whoever wants those gets them."""

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
