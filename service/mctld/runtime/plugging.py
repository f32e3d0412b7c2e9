# SPDX-License-Identifier: GPL-3.0-or-later
"""Device nodes in /dev of a container that runs: shown and taken away there, as its first process sees it.

By a thread that enters the mount namespace and ends in it. It has the host's rights, so it goes nowhere but into the
file system that a start has mounted on /dev: no link is followed, no other mount entered, and nothing is imported. What
it makes there it makes as the container's root.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..kernel import constants as c
from ..kernel import files, mount, process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..device import Device

_WITHIN = c.RESOLVE_BENEATH | c.RESOLVE_NO_SYMLINKS | c.RESOLVE_NO_MAGICLINKS
_DIRECTORY = os.O_PATH | os.O_DIRECTORY
# Whoever is root inside can move, link, mount and protect: a node may stay to be seen then, and the rules refuse it.
_THEIR_DOING = (
    errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY,
    errno.EINVAL,
)  # fmt: skip

Node = tuple["Device", int]  # and a detached mount of it


def change(first: int, owner: int, gone: Sequence[Device], new: Sequence[Node]) -> list[Node]:
    """In the mount namespace of the process that the pidfd means, whose root is `owner` outside. All or nothing.

    What is gone comes back, for the caller to close: with that, all can be made as it was. Slow.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_enter_and_change, first, owner, gone, new).result()


def _enter_and_change(first: int, owner: int, gone: Sequence[Device], new: Sequence[Node]) -> list[Node]:
    process.unshare(c.CLONE_FS)  # setns(2) asks for that; working directory and umask are this thread's from now on
    process.enter_namespaces(first, c.CLONE_NEWNS)
    os.umask(0o022)
    try:
        place = _open_place()
    except OSError as error:
        if new or error.errno not in _THEIR_DOING:
            raise
        return []
    try:
        process.set_filesystem_ids(owner)
        return _change(place, gone, new)
    finally:
        os.close(place)


def _open_place() -> int:
    place = files.openat2(c.AT_FDCWD, "/dev", _DIRECTORY, c.RESOLVE_NO_SYMLINKS)
    if files.filesystem_type(place) == c.TMPFS_MAGIC:
        return place
    os.close(place)
    raise OSError(errno.EBUSY, "the container has mounted something else there", "/dev")


def _change(place: int, gone: Sequence[Device], new: Sequence[Node]) -> list[Node]:
    taken: list[Node] = []
    shown: list[Device] = []
    try:
        for device in gone:
            taken += _take(place, device)
        for device, node in new:
            try:
                _show(place, device, node)
            except OSError as error:
                if not any(device.target == old.target and device.is_no_more_than(old) for old in gone):
                    raise OSError(error.errno, os.strerror(error.errno or 0), device.target) from error
            else:
                shown.append(device)
    except BaseException:
        _put_back(place, shown, taken)
        raise
    return taken


def _put_back(place: int, shown: Sequence[Device], taken: Sequence[Node]) -> None:
    """As far as whoever is root inside lets it, who may have put something else there meanwhile."""
    for device in reversed(shown):
        with contextlib.suppress(OSError):
            _close(_take(place, device))
    for device, node in taken:
        with contextlib.suppress(OSError):
            _show(place, device, node)
    _close(taken)


def _show(place: int, device: Device, node: int) -> None:
    parent, name = _opened(place, _parts(device)[:-1], make=True), _parts(device)[-1]
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=parent))
        try:
            target = files.openat2(parent, name, os.O_PATH, _WITHIN | c.RESOLVE_NO_XDEV)
            try:
                mount.attach(node, target)
            finally:
                os.close(target)
        except BaseException:
            os.unlink(name, dir_fd=parent)
            raise
    finally:
        os.close(parent)


def _take(place: int, device: Device) -> list[Node]:
    """Nothing where it is not any more, or cannot be taken. Who has it open keeps it."""
    *above, name = _parts(device)
    try:
        parent = _opened(place, above)
        try:
            found = files.openat2(parent, name, os.O_PATH, _WITHIN)
            try:
                if not _is_node_of(device, os.fstat(found)):
                    return []
                kept = mount.clone_tree(found)
            finally:
                os.close(found)
            _unmount(parent, name, kept)
        finally:
            os.close(parent)
    except OSError as error:
        if error.errno in _THEIR_DOING:
            return []
        raise
    _tidy(place, above)
    return [(device, kept)]


def _unmount(parent: int, name: str, kept: int) -> None:
    """And remove the file below it; where that fails the node is shown again."""
    try:
        os.fchdir(parent)  # umount2(2) takes names only
        mount.umount(name, c.MNT_DETACH | c.UMOUNT_NOFOLLOW)
        try:
            os.unlink(name, dir_fd=parent)
        except OSError:
            target = files.openat2(parent, name, os.O_PATH, _WITHIN | c.RESOLVE_NO_XDEV)
            mount.attach(kept, target)
            os.close(target)
            raise
    except BaseException:
        os.close(kept)
        raise


def _is_node_of(device: Device, found: os.stat_result) -> bool:
    kind = stat.S_ISBLK(found.st_mode) if device.block else stat.S_ISCHR(found.st_mode)
    return kind and found.st_rdev == os.makedev(device.major, device.minor)


def _tidy(place: int, parts: Sequence[str]) -> None:
    """Directories in which nothing is any more."""
    for depth in range(len(parts), 0, -1):
        try:
            parent = _opened(place, parts[: depth - 1])
            try:
                os.rmdir(parts[depth - 1], dir_fd=parent)
            finally:
                os.close(parent)
        except OSError:
            return


def _opened(place: int, parts: Sequence[str], *, make: bool = False) -> int:
    path = "/".join(parts) or "."
    try:
        return files.openat2(place, path, _DIRECTORY, _WITHIN | c.RESOLVE_NO_XDEV)
    except FileNotFoundError:
        if not make:
            raise
    parent = _opened(place, parts[:-1], make=True)
    try:
        os.mkdir(parts[-1], 0o755, dir_fd=parent)
    finally:
        os.close(parent)
    return files.openat2(place, path, _DIRECTORY, _WITHIN | c.RESOLVE_NO_XDEV)


def _parts(device: Device) -> list[str]:
    return device.target.split("/")[2:]


def _close(nodes: Sequence[Node]) -> None:
    for _, node in nodes:
        os.close(node)
