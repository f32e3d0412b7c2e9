# SPDX-License-Identifier: GPL-3.0-or-later
"""The service's side of a child that copies."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from typing import TYPE_CHECKING

from ..errors import CopyFailed, SetupFailed
from ..kernel.handle import Handle

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from .request import Request

PROGRAM = "/usr/libexec/mctl-copy"
REPORT_MAX = 64 << 10
SENTENCE_MAX = 1_000
GRACE = 2.0  # seconds in which it may remove what is half made

log = logging.getLogger(__name__)


async def copy(request: Request) -> int:
    """How many members were left out, of kinds that cannot be copied. The child ends with this call."""
    child = await asyncio.create_subprocess_exec(
        PROGRAM, request.encode(), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, pass_fds=request.descriptors, env={}, cwd="/",
    )  # fmt: skip
    handle = Handle(child.pid)
    try:
        return _judged(await _report(child))
    finally:
        try:
            await _end(child, handle)
        finally:
            handle.close()


async def _end(child: Process, handle: Handle) -> None:
    """It has ended by itself, or the copy is given up."""
    handle.send(signal.SIGTERM)
    try:
        await asyncio.wait_for(child.wait(), GRACE)
    except TimeoutError:
        handle.send(signal.SIGKILL)
        await child.wait()


async def _report(child: Process) -> bytes:
    assert child.stdout is not None
    assert child.stderr is not None
    report, complaint = await asyncio.gather(_bounded(child.stdout), _bounded(child.stderr))
    if complaint:
        log.error("mctl-copy: %s", complaint.decode("utf-8", "backslashreplace").strip())
    return report


async def _bounded(stream: asyncio.StreamReader) -> bytes:
    """To the end, or a little more than the most."""
    found = b""
    while len(found) <= REPORT_MAX and (data := await stream.read(64 << 10)):
        found += data
    return found


def _judged(report: bytes) -> int:
    """What a container may have talked the child into saying is checked like anything else."""
    try:
        match json.loads(report):
            case {"done": int(left_out)} if left_out >= 0:
                return left_out
            case {"unconfined": str(sentence)}:
                raise SetupFailed("confine the process that copies", sentence)
            case {"refused": str(sentence)} | {"failed": str(sentence)}:
                raise CopyFailed(f"could not copy: {_printable(sentence)}")
    except (ValueError, RecursionError):
        pass
    raise CopyFailed("could not copy: the process that did it ended without a word")


def _printable(sentence: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in sentence[:SENTENCE_MAX])
