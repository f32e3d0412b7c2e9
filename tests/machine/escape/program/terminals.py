# SPDX-License-Identifier: GPL-3.0-or-later
"""Characters pushed into a terminal's input would be typed by the user who ran the container (CVE-2017-5226)."""

from __future__ import annotations

import os

from .calls import call
from .registry import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .registry import Probe

TIOCSCTTY, TIOCSTI, TIOCLINUX, TIOCGWINSZ = 0x540E, 0x5412, 0x541C, 0x5413
PASTE = b"\x03"  # TIOCL_PASTESEL, ioctl_console(2)
UPPER = 1 << 32  # the kernel drops the upper half of the command: a filter has to as well (CVE-2019-10063)


def _own_terminal() -> int:
    _, slave = os.openpty()
    os.setsid()
    call("ioctl", slave, TIOCSCTTY, 0)
    return slave


def _ioctl(command: int, data: bytes) -> Probe:
    def attempt() -> None:
        call("ioctl", _own_terminal(), command, data)

    return attempt


probe("terminal-works")(_ioctl(TIOCGWINSZ, bytes(8)))
probe("tiocsti")(_ioctl(TIOCSTI, b"x"))
probe("tiocsti-upper-bits")(_ioctl(TIOCSTI | UPPER, b"x"))
probe("tioclinux")(_ioctl(TIOCLINUX, PASTE))
probe("tioclinux-upper-bits")(_ioctl(TIOCLINUX | UPPER, PASTE))


@probe("controlling-terminal")
def controlling_terminal() -> None:
    """ENXIO: there is none."""
    os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))


@probe("terminals-of-others")
def terminals_of_others() -> list[str]:
    return sorted(name for name in os.listdir("/dev/pts") if name != "ptmx")
