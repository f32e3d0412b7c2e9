# SPDX-License-Identifier: GPL-3.0-or-later
"""A process in the foreground: signals are passed on to it, a terminal is relayed, and its status becomes ours."""

from __future__ import annotations

import os
import signal

from . import pidfd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .birth import Child
    from .readiness import Readiness

# What is about us, and not meant for the payload; SIGWINCH is the relay's.
KEPT = (signal.SIGCHLD, signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGURG, signal.SIGWINCH, signal.SIGTTOU,
        signal.SIGTTIN, signal.SIGTSTP, signal.SIGCONT)  # fmt: skip


def follow(child: Child, master: int | None, heard: Readiness | None = None) -> int:
    for number in signal.valid_signals():
        if number not in KEPT and number < signal.SIGRTMIN:
            signal.signal(number, lambda sent, _frame: _pass_on(child.pidfd, sent))
    if master is not None:
        from . import console

        console.Relay(master, heard).run()
    if heard and heard.fileno() >= 0:
        heard.await_ready()
    pidfd.await_end(child.pidfd, None)
    _, status = os.waitpid(child.pid, 0)
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _pass_on(pidfd: int, number: int) -> None:
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return
