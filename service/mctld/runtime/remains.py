# SPDX-License-Identifier: GPL-3.0-or-later
"""How a process has ended that was somebody else's child, and is reaped."""

from __future__ import annotations

import os

from ..kernel import pidfd as kernel
from .launch import Status


def status(pid: int, pidfd: int) -> Status:
    """What the kernel keeps with the descriptor, since Linux 6.15; nothing where it does not."""
    found = kernel.exit_status(pidfd)
    if found is None:
        return Status()
    if os.WIFEXITED(found):
        return Status(pid, os.CLD_EXITED, os.WEXITSTATUS(found))
    return Status(pid, os.CLD_DUMPED if os.WCOREDUMP(found) else os.CLD_KILLED, os.WTERMSIG(found))
