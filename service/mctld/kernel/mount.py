# SPDX-License-Identifier: GPL-3.0-or-later
"""The mount interface on file descriptors: fsopen(2), open_tree(2), move_mount(2), mount_setattr(2)."""

from __future__ import annotations

import errno
import os

from . import constants as c
from .libc import Bytes, Int, Path, Size, ULong, call, function

OPTIONS_MAX = 4095  # what is longer mount(2) cuts off, and says nothing

_mount = function("mount", Path, Path, Path, ULong, Path)
_umount2 = function("umount2", Path, Int)
_open_tree = call(428, "open_tree", Int, Path, ULong)
_move_mount = call(429, "move_mount", Int, Path, Int, Path, ULong)
_fsopen = call(430, "fsopen", Path, ULong)
_fsconfig = call(431, "fsconfig", Int, ULong, Path, Path, Int)
_fsmount = call(432, "fsmount", Int, ULong, ULong)
_mount_setattr = call(442, "mount_setattr", Int, Path, ULong, Bytes, Size)
_pivot_root = function("pivot_root", Path, Path)


def set_propagation(path: str, flags: int) -> None:
    """MS_PRIVATE or MS_SLAVE, with MS_REC for all below."""
    _mount(None, path, None, flags, None)


def umount(path: str, flags: int = 0) -> None:
    _umount2(path, flags)


def pivot_root(new: str, old: str) -> None:
    _pivot_root(new, old)


def mount_at(kind: str, path: str, options: dict[str, str | None], flags: int) -> None:
    """mount(2), for what fsconfig(2) cannot say; values may not contain a comma."""
    text = ",".join(key if value is None else f"{key}={value}" for key, value in options.items())
    if len(os.fsencode(text)) > OPTIONS_MAX:
        raise OSError(errno.E2BIG, f"mount: {os.strerror(errno.E2BIG)}", kind)
    _mount(kind, path, kind, flags, text)


def clone_tree(directory: int, path: str = "", *, recursive: bool = False) -> int:
    """A detached copy of the mount at `path`, without, or with, what is mounted below it."""
    flags = c.OPEN_TREE_CLONE | c.OPEN_TREE_CLOEXEC | c.AT_EMPTY_PATH
    return _open_tree(directory, path, flags | (c.AT_RECURSIVE if recursive else 0))


def attach(mount: int, target: int) -> None:
    """Put the detached `mount` onto the file or directory that `target` has open."""
    _move_mount(mount, "", target, "", c.MOVE_MOUNT_F_EMPTY_PATH | c.MOVE_MOUNT_T_EMPTY_PATH)


def attach_at(mount: int, path: str) -> None:
    _move_mount(mount, "", c.AT_FDCWD, path, c.MOVE_MOUNT_F_EMPTY_PATH)


def new_filesystem(kind: str, options: dict[str, str | None], attributes: int = 0, source: str = "") -> int:
    """A detached mount of a new file system; an option without value is a flag."""
    context = _fsopen(kind, c.FSOPEN_CLOEXEC)
    try:
        if source:
            _fsconfig(context, c.FSCONFIG_SET_STRING, "source", source, 0)
        for key, value in options.items():
            command = c.FSCONFIG_SET_FLAG if value is None else c.FSCONFIG_SET_STRING
            _configure(context, command, key, value, kind)
        _configure(context, c.FSCONFIG_CMD_CREATE, None, None, kind)
        return _fsmount(context, c.FSMOUNT_CLOEXEC, attributes)
    finally:
        os.close(context)


def _configure(context: int, command: int, key: str | None, value: str | None, kind: str) -> None:
    try:
        _fsconfig(context, command, key, value, 0)
    except OSError as error:
        what = f"{kind} {key}={value}" if key else kind
        reason = "; ".join(_messages(context)) or os.strerror(error.errno or 0)
        raise OSError(error.errno, f"fsconfig: {reason}", what) from error


def _messages(context: int) -> list[str]:
    """What the file system has to say about its own failure, one line a read(2), ended by ENODATA."""
    found: list[str] = []
    while len(found) < 8:
        try:
            found.append(os.read(context, 8192).decode("utf-8", "replace").strip()[2:])
        except OSError:
            break
    return found


def set_attributes(
    mount: int, attributes: int, user_namespace: int | None = None, *, recursive: bool = False
) -> None:
    """Set MOUNT_ATTR_*; with a user namespace also map ids through it (detached mounts only).

    The mount becomes private: a copy is in the peer group of what it was copied from, and what is mounted upon one
    would appear upon the other (mount_namespaces(7)).
    """
    change_attributes(mount, attributes, propagation=c.MS_PRIVATE, user_namespace=user_namespace, recursive=recursive)


def change_attributes(
    mount: int,
    added: int = 0,
    removed: int = 0,
    *,
    propagation: int = 0,
    user_namespace: int | None = None,
    recursive: bool = False,
) -> None:
    """mount_setattr(2). propagation: MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE; 0 leaves it as it is."""
    if user_namespace is not None:
        added |= c.MOUNT_ATTR_IDMAP
    fields = (added, removed, propagation, 0 if user_namespace is None else user_namespace)
    packed = b"".join(n.to_bytes(8, "little") for n in fields)
    _mount_setattr(mount, "", c.AT_EMPTY_PATH | (c.AT_RECURSIVE if recursive else 0), packed, len(packed))
