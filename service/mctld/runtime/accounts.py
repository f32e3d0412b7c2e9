# SPDX-License-Identifier: GPL-3.0-or-later
"""Users and groups as the container itself knows them: passwd(5) and group(5) of its own root file system.

Read by the stage, after pivot_root(2), and without the C library's name service: an image may bring its own.
"""

from __future__ import annotations

import errno
import os
import stat

from ..kernel import files

PASSWD, GROUP = "/etc/passwd", "/etc/group"
FILE_MAX = 1 << 20  # bytes; CVE-2024-9676: an image can make it endless
ID_MAX = 2**32 - 2


def look_up(user: str, group: str) -> tuple[int, int, list[int]]:
    """uid, gid and further groups. Without `group` the user's own and those that list the user, as login(1) has it."""
    account = _account(user)
    if account is None and not user.isdigit():
        raise OSError(errno.ENOENT, f"user {user!r} does not exist in the container", PASSWD)
    uid = _id(account[2]) if account else int(user)
    if group:
        return uid, _group(group), []
    gid = _id(account[3]) if account else 0
    return uid, gid, _further(account[0], gid) if account else []


def home(uid: int) -> str:
    """The home directory of passwd(5), / where there is none."""
    try:
        account = _account(str(uid))
    except OSError:
        return "/"
    return account[5] if account and account[5].startswith("/") else "/"


def _account(user: str) -> list[str] | None:
    """The first line for that name, or, where it is a number, for that id."""
    column = 2 if user.isdigit() else 0
    return next((line for line in _lines(PASSWD, 7) if line[column] == user), None)


def _group(group: str) -> int:
    if group.isdigit():
        return int(group)
    for line in _lines(GROUP, 4):
        if line[0] == group:
            return _id(line[2])
    raise OSError(errno.ENOENT, f"group {group!r} does not exist in the container", GROUP)


def _further(name: str, own: int) -> list[int]:
    return sorted({_id(line[2]) for line in _lines(GROUP, 4) if name in line[3].split(",")} - {own})


def _id(text: str) -> int:
    """A plain decimal number: what int() takes besides could be read differently elsewhere (CVE-2024-40635)."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= ID_MAX):
        raise OSError(errno.EINVAL, f"{text[:40]!r} is not an id", PASSWD)
    return int(text)


def _lines(path: str, columns: int) -> list[list[str]]:
    """The well-formed lines of a file that an image may have prepared: a FIFO, a device, or endless.

    Comments and entries of NIS are none, as for the C library.
    """
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = files.open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        return []
    finally:
        os.close(root)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(FILE_MAX + 1)
    if len(content) > FILE_MAX:
        raise OSError(errno.EFBIG, f"larger than {FILE_MAX} bytes", path)
    split = [line.split(":") for line in content.decode("utf-8", "surrogateescape").split("\n")]
    return [line for line in split if len(line) == columns and not line[0].startswith(("#", "+", "-"))]
