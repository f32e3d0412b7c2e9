# SPDX-License-Identifier: GPL-3.0-or-later
"""The service's side of a child that unpacks."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import re
import signal
from typing import TYPE_CHECKING, Any

from ..errors import BadImage, LimitsExceeded, SetupFailed, StoreFailed
from ..kernel import constants as c
from ..kernel import files, mount
from ..kernel.handle import Handle
from .child import REPLACED, REPORT_MAX, TREE
from .unpacking import Unpacked

if TYPE_CHECKING:
    from asyncio.subprocess import Process

PROGRAM = "/usr/libexec/mctl-unpack"
OPAQUE = "trusted.overlay.opaque"  # https://docs.kernel.org/filesystems/overlayfs.html
ROOT_MODE = 0o755
FULL = (errno.ENOSPC, errno.EDQUOT)
COMPLAINT_MAX = 4096
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)

log = logging.getLogger(__name__)


async def unpack(directory: str, archive: int, *, user_namespace: int, program: int, end_required: bool) -> Unpacked:
    """Fills the new, empty `directory` with the layer in `archive`. The child ends with this call, whatever happens.

    user_namespace: one that nobody else is in; program: the compiled filter. BadImage if the archive is not taken.
    """
    for name in (TREE, REPLACED):
        os.mkdir(f"{directory}/{name}")
        os.chmod(f"{directory}/{name}", ROOT_MODE)  # whatever our umask; an archive may say otherwise of its root
    tree = _view(directory, user_namespace)
    try:
        child = await asyncio.create_subprocess_exec(
            PROGRAM, directory, str(tree), str(user_namespace), str(program), "yes" if end_required else "no",
            stdin=archive, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            pass_fds=(tree, user_namespace, program), env={}, cwd="/",
        )  # fmt: skip
    finally:
        os.close(tree)
    handle = Handle(child.pid)
    try:
        report = await _report(child)
    finally:
        handle.send(signal.SIGKILL)
        handle.close()
        await child.wait()
    made = _judged(report)
    await asyncio.to_thread(_mark_opaque, directory, made.opaque)
    return made


def _view(directory: str, user_namespace: int) -> int:
    """The directory as a detached mount: what the child's ids own there, the layer's ids own on disk."""
    opened = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        tree = mount.clone_tree(opened)
    finally:
        os.close(opened)
    try:
        mount.set_attributes(tree, c.MOUNT_ATTR_NODEV | c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NOEXEC, user_namespace)
    except BaseException:
        os.close(tree)
        raise
    return tree


async def _report(child: Process) -> bytes:
    assert child.stdout is not None
    assert child.stderr is not None
    report, complaint = await asyncio.gather(_bounded(child.stdout, REPORT_MAX), _bounded(child.stderr, COMPLAINT_MAX))
    if complaint:
        log.error("mctl-unpack: %s", complaint.decode("utf-8", "backslashreplace").strip())
    return report


async def _bounded(stream: asyncio.StreamReader, most: int) -> bytes:
    """To the end, or a little more than `most`."""
    found = b""
    while len(found) <= most and (data := await stream.read(64 << 10)):
        found += data
    return found


def _judged(report: bytes) -> Unpacked:
    """What an archive may have talked the child into saying is checked like anything else."""
    try:
        match json.loads(report):
            case {"made": dict(made)}:
                return _made(made)
            case {"unconfined": str(sentence)}:
                raise SetupFailed("confine the process that unpacks", sentence)
            case {"refused": str(sentence)}:
                raise BadImage(_printable(sentence))
            case {"failed": _, "errno": number} if number in FULL:
                raise StoreFailed("the file system of the images is full: make room, then try again")
            case {"failed": str(sentence), "errno": errno.ENOMEM | None}:
                raise LimitsExceeded(f"the archive could not be unpacked: {_printable(sentence)}")
            case {"failed": str(sentence)}:
                raise BadImage(f"the archive could not be unpacked: {_printable(sentence)}")
    except (ValueError, TypeError, RecursionError):
        pass
    raise BadImage("the archive could not be unpacked: the process that did it ended without a word")


def _made(made: dict[str, Any]) -> Unpacked:
    found = Unpacked(**{**made, "opaque": tuple(made["opaque"]), "implied": tuple(made["implied"])})
    numbers = (found.size, found.entries, found.dropped_devices)
    if not (_DIGEST.fullmatch(found.diff_id) and all(isinstance(n, int) and n >= 0 for n in numbers)):
        raise ValueError(made)
    if not all(isinstance(path, str) for path in (*found.opaque, *found.implied)):
        raise ValueError(made)
    return found


def _printable(sentence: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in sentence[:1000])


def _mark_opaque(directory: str, paths: tuple[str, ...]) -> None:
    """This takes CAP_SYS_ADMIN of the host, which the child does not have."""
    root = os.open(f"{directory}/{TREE}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in paths:
            opened = files.open_beneath(root, os.fsencode(path) or b".", os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.setxattr(opened, OPAQUE, b"y")
            finally:
                os.close(opened)
    finally:
        os.close(root)
