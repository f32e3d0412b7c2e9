# SPDX-License-Identifier: GPL-3.0-or-later
"""A first process that reaps orphans and passes signals on: Debian's tini, as a sealed copy in memory.

The copy can be executed from a container without a path in it, and nobody inside can write to the host's file
through /proc/1/exe (CVE-2019-5736).
"""

from __future__ import annotations

import fcntl
import os

from ..errors import SetupFailed

PROGRAM = "/usr/bin/tini-static"
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_MFD_EXEC = 0x10  # memfd_create(2); since Linux 6.3, where a sysctl may forbid execution otherwise


def open_reaper() -> int:
    try:
        source = os.open(PROGRAM, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise SetupFailed("run a reaper as the first process", f"{PROGRAM} is not there: install tini") from error
    try:
        copy = _executable_memory()
        try:
            left = os.fstat(source).st_size
            while left:
                left -= os.sendfile(copy, source, None, left)
            fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
        except BaseException:
            os.close(copy)
            raise
        return copy
    finally:
        os.close(source)


def _executable_memory() -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create("tini", flags | _MFD_EXEC)
    except OSError:
        return os.memfd_create("tini", flags)
