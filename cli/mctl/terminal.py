# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking for a password on the terminal, by polkit's own agent, as systemctl does."""

from __future__ import annotations

import os

AGENT = "/usr/bin/pkttyagent"


class PasswordAgent:
    """A running pkttyagent(1). It serves its parent process, which is this one."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    @classmethod
    def on_terminal(cls) -> PasswordAgent | None:
        """Starts the agent and waits until polkit knows it; None where there is nobody to ask here.

        Without a terminal a graphical session may still have an agent of its own.
        """
        if os.geteuid() == 0 or not os.isatty(0) or not os.access(AGENT, os.X_OK):
            return None
        reading, writing = os.pipe()
        os.set_inheritable(writing, True)  # noqa: FBT003  the call takes no keyword
        words = [AGENT, "--notify-fd", str(writing), "--fallback"]
        pid = os.posix_spawn(AGENT, words, os.environ, file_actions=[(os.POSIX_SPAWN_CLOSE, reading)])
        os.close(writing)
        os.read(reading, 1)  # end of file: the agent is registered, or has failed
        os.close(reading)
        return cls(pid)

    def close(self) -> None:
        import signal

        os.kill(self._pid, signal.SIGTERM)
        os.kill(self._pid, signal.SIGCONT)  # it may have been stopped for reading from the terminal
        os.waitpid(self._pid, 0)
