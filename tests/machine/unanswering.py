# SPDX-License-Identifier: GPL-3.0-or-later
"""A file system that does not answer: `python3 unanswering.py DIRECTORY nothing|statfs`, until SIGTERM.

As NFS whose server is gone. Either it answers nothing at all, or all that a directory is asked but statfs(2), which an
overlay asks. include/uapi/linux/fuse.h
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys

GETATTR, OPEN, STATFS, RELEASE, INIT, OPENDIR, RELEASEDIR, ACCESS = 3, 14, 17, 18, 26, 27, 29, 34
NO_ANSWER = (2, 36, 42)  # FORGET, INTERRUPT, BATCH_FORGET
ATTRIBUTES = struct.pack("<QQQQQQIIIIIIIIII", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
ANSWERS = {
    INIT: struct.pack("<IIIIHHIIHHI", 7, 31, 65536, 0, 12, 10, 65536, 1, 0, 0, 0) + bytes(24),
    GETATTR: struct.pack("<QII", 10_000, 0, 0) + ATTRIBUTES,
    OPEN: struct.pack("<QII", 5, 0, 0),
    OPENDIR: struct.pack("<QII", 5, 0, 0),
    RELEASE: b"",
    RELEASEDIR: b"",
    ACCESS: b"",
}
ENOENT = -2


def serve(directory: str, *, at_all: bool) -> None:
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"unanswering", directory.encode(), b"fuse", 0, options):
        raise OSError(ctypes.get_errno(), f"mount on {directory}")
    while True:
        request = os.read(device, 1 << 20)
        _, operation, unique = struct.unpack("<IIQ", request[:16])
        if operation in NO_ANSWER or (operation != INIT and not at_all) or operation == STATFS:
            continue
        error, out = (0, ANSWERS[operation]) if operation in ANSWERS else (ENOENT, b"")
        os.write(device, struct.pack("<IiQ", 16 + len(out), error, unique) + out)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    serve(sys.argv[1], at_all=sys.argv[2] == "statfs")
