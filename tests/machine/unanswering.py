# SPDX-License-Identifier: GPL-3.0-or-later
"""A file system that does not answer: `python3 unanswering.py PLACE nothing|statfs|read`, until SIGTERM.

As NFS whose server is gone. Either it answers nothing at all, or all that a directory is asked but statfs(2), which an
overlay asks; or it is a single file, which is not read: PLACE.asked is there as soon as somebody wants to.
include/uapi/linux/fuse.h
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys

GETATTR, OPEN, READ, STATFS, RELEASE, INIT, OPENDIR, RELEASEDIR, ACCESS = 3, 14, 15, 17, 18, 26, 27, 29, 34
NO_ANSWER = (2, 36, 42)  # FORGET, INTERRUPT, BATCH_FORGET
DIRECTORY, FILE = 0o40755, 0o100644


def attributes(mode: int) -> bytes:
    of_it = struct.pack("<QQQQQQIIIIIIIIII", 1, 4096, 8, 0, 0, 0, 0, 0, 0, mode, 2, 0, 0, 0, 4096, 0)
    return struct.pack("<QII", 10_000, 0, 0) + of_it


ANSWERS = {
    INIT: struct.pack("<IIIIHHIIHHI", 7, 31, 65536, 0, 12, 10, 65536, 1, 0, 0, 0) + bytes(24),
    OPEN: struct.pack("<QII", 5, 0, 0),
    OPENDIR: struct.pack("<QII", 5, 0, 0),
    RELEASE: b"",
    RELEASEDIR: b"",
    ACCESS: b"",
}
ENOENT = -2


def serve(place: str, mode: int, *, at_all: bool) -> None:
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode={mode:o},user_id=0,group_id=0,allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"unanswering", place.encode(), b"fuse", 0, options):
        raise OSError(ctypes.get_errno(), f"mount on {place}")
    answers = {**ANSWERS, GETATTR: attributes(mode)}
    while True:
        request = os.read(device, 1 << 20)
        _, operation, unique = struct.unpack("<IIQ", request[:16])
        if operation in NO_ANSWER or (operation != INIT and not at_all) or operation == STATFS:
            continue
        if operation == READ:
            os.close(os.open(f"{place}.asked", os.O_WRONLY | os.O_CREAT))
            continue
        error, out = (0, answers[operation]) if operation in answers else (ENOENT, b"")
        os.write(device, struct.pack("<IiQ", 16 + len(out), error, unique) + out)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    serve(sys.argv[1], FILE if sys.argv[2] == "read" else DIRECTORY, at_all=sys.argv[2] != "nothing")
