# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl-unpack: confines itself, makes a layer of the archive on standard input, and tells on standard output."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from .confinement import confine
from .refusal import Refusal
from .unpacking import Unpacked, Unpacking
from .zstd import Decompressor

if TYPE_CHECKING:
    from collections.abc import Callable

TREE, REPLACED, SKELETON = "tree", "replaced", "skeleton"  # what a layer's directory holds
REPORT_MAX = 16 << 20  # bytes
SKELETON_MODE = 0o600
PATIENCE = 300.0  # seconds, as of a copy
PIPE = 1 << 20  # bytes that a pipe may hold: the most that whoever has no capability may ask for


def main() -> None:
    place, tree, user_namespace, program, end_required = sys.argv[1:]
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # EFBIG instead
    Decompressor()  # loads the library while it can be found
    try:
        confine(place, int(tree), int(user_namespace), int(program))
    except OSError as error:
        _say(json.dumps({"unconfined": str(error)}))
    try:
        report = {"made": _unpack(end_required=end_required == "yes")._asdict()}
        text = json.dumps(report)
        if len(text) > REPORT_MAX:
            raise Refusal("the archive has too many directories that are opaque or that it does not name")
    except Refusal as error:
        text = json.dumps({"refused": str(error)})
    except (OSError, MemoryError) as error:
        number = error.errno if isinstance(error, OSError) else None
        text = json.dumps({"failed": str(error) or type(error).__name__, "errno": number})
    _say(text)


def _say(text: str) -> NoReturn:
    with open(1, "w", encoding="utf-8", closefd=False) as out:
        out.write(text)
    os._exit(0)  # a thread may still wait for the archive


def patiently(descriptor: int, patience: float = PATIENCE) -> Callable[[int], bytes]:
    """Reads; whoever sends nothing for long is given up, for only so many archives come in at a time."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)

    def read(size: int) -> bytes:
        while poller.poll(patience * 1000):
            try:
                return os.read(descriptor, size)
            except BlockingIOError:
                continue
        raise Refusal(f"nothing of the archive has come for {patience:.0f} s")

    return read


def widen(descriptor: int) -> None:
    """A pipe: by itself it holds 64 KiB, then each side waits for the other. It counts as its maker's, pipe(7)."""
    with contextlib.suppress(OSError):  # no pipe, or its maker has as many as they may
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE)


def _unpack(*, end_required: bool) -> Unpacked:
    tree, replaced = (os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for name in (TREE, REPLACED))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    widen(0)  # without the capability to exceed what its maker may have
    with open(os.open(SKELETON, flags, SKELETON_MODE), "wb") as file:
        return Unpacking(patiently(0), tree, replaced, file.write, end_required=end_required).run()
