# SPDX-License-Identifier: GPL-3.0-or-later
"""The file system behind a descriptor, known without asking it.

One in user space (FUSE) belongs to a user, who could let whoever asks it wait for ever.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import os
import stat
import struct

from .libc import Int, Pointer, function

NAMELESS = ("pipe:[", "socket:[", "anon_inode:")  # of the kernel's own; what is a path begins otherwise, proc(5)
_MOUNTS = "/proc/self/mountinfo"
_AT_EMPTY_PATH = 0x1000
_AT_STATX_DONT_SYNC = 0x4000
_STATX_MNT_ID_UNIQUE = 0x4000  # Linux 6.8: no mount gets it a second time
_SIZE = 256  # struct statx, include/uapi/linux/stat.h
_MODE_AT, _DEVICE_AT, _MOUNT_AT = 28, 136, 144
_SEEN_MAX = 1_024
_statx = function("statx", Int, ctypes.c_char_p, Int, ctypes.c_uint, Pointer)


class _Mount:
    """Whose `fd` is. It is its number that tells it from others."""

    def __init__(self, number: int, fd: int) -> None:
        self._number = number
        self._fd = fd

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Mount) and other._number == self._number

    def __hash__(self) -> int:
        return self._number

    def type(self) -> str:
        """Empty where we do not see it."""
        mounts = f"\n{_mounts()}"  # looked for by one call: there may be thousands of lines
        here = mounts.find(f"\n{_mount_id(self._fd)} ")
        return _type(mounts[here + 1 :].partition("\n")[0]) if here >= 0 else ""


@functools.lru_cache(_SEEN_MAX)
def _seen(mount: _Mount) -> str:
    """Every start asks of the same few, several times; the type of a mount never changes."""
    return mount.type()


def kind(fd: int) -> str | None:
    """Its type as of filesystems(5), or what a nameless one calls itself; None where nobody but it could tell.

    A mount of another mount namespace is known by its superblock's number, or where it is memory.
    """
    name = os.readlink(f"/proc/self/fd/{fd}")
    if name.startswith(NAMELESS):
        return name.partition(":")[0]
    mode, device, mount = _status(fd)
    opened = not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_PATH
    if opened and stat.S_ISCHR(mode):
        return "device"  # its driver answers now; a file system of a user has none (nodev)
    if found := _seen(_Mount(mount, fd)) if mount else _Mount(mount, fd).type():
        return found
    number = f"{device[0]}:{device[1]}"
    there = [line for line in _mounts().split("\n") if line.split(" ", 3)[2:3] == [number]]
    return _type(there[-1]) if there else ("tmpfs" if opened and _is_memory(fd) else None)


def is_answered_for_by_a_process(fd: int) -> bool:
    """Or may be: nobody knows."""
    found = kind(fd)
    return found is None or found.startswith("fuse")


def mode(fd: int) -> int:
    """The kind of file, fstat(2)'s st_mode as the kernel knows it: on a network's too nobody waits for a server."""
    return _status(fd)[0]


def connection(fd: int) -> int | None:
    """What fusectl calls its connection, if it has one: the minor number of a file system without a device."""
    major, minor = _status(fd)[1]
    return None if major else minor


def _status(fd: int) -> tuple[int, tuple[int, int], int]:
    """Mode and device number, 0 where they are not told: nothing is asked for that the file system would have to say,
    so nobody is asked (fuse_update_get_attr()). And a number that is the mount's alone, 0 where the kernel has none.
    """
    buffer = ctypes.create_string_buffer(_SIZE)
    _statx(fd, b"", _AT_EMPTY_PATH | _AT_STATX_DONT_SYNC, _STATX_MNT_ID_UNIQUE, ctypes.addressof(buffer))
    (told,) = struct.unpack_from("=I", buffer)
    mount: int = struct.unpack_from("=Q", buffer, _MOUNT_AT)[0] if told & _STATX_MNT_ID_UNIQUE else 0
    return struct.unpack_from("=H", buffer, _MODE_AT)[0], struct.unpack_from("=II", buffer, _DEVICE_AT), mount


def _mounts() -> str:
    with open(_MOUNTS, encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
        return stream.read()


def _mount_id(fd: int) -> str:
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as stream:
        return next((line.split()[1] for line in stream if line.startswith("mnt_id:")), "")


def _type(line: str) -> str:
    """In mountinfo, proc(5)."""
    return line.partition(" - ")[2].split(" ", 1)[0]


def _is_memory(fd: int) -> bool:
    """Only shmem_file() has seals, fcntl(2)."""
    try:
        fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError:
        return False
    return True
