# SPDX-License-Identifier: GPL-3.0-or-later
"""What a descriptor of a process still tells when the process is gone: ioctl_pidfd(2)."""

from __future__ import annotations

import fcntl
import struct

_INFO = struct.Struct("=QQ11Ii")  # struct pidfd_info of Linux 6.15, include/uapi/linux/pidfd.h
_INFO_EXIT = 1 << 3
_GET_INFO = 3 << 30 | _INFO.size << 16 | 0xFF << 8 | 11  # _IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info)


def exit_status(pidfd: int) -> int | None:
    """As waitpid(2) gave it to whoever has reaped the process. None before that, and before Linux 6.15."""
    asked = bytearray(_INFO.pack(_INFO_EXIT, *[0] * 13))
    try:
        fcntl.ioctl(pidfd, _GET_INFO, asked)
    except OSError:
        return None
    mask, *_, status = _INFO.unpack(asked)
    return status if mask & _INFO_EXIT else None
