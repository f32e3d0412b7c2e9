# SPDX-License-Identifier: GPL-3.0-or-later
"""A person at a terminal: waits for what is to be seen, then types, resizes the window, or does something elsewhere.

Executed inside a machine, as `python3 -c SOURCE SCRIPT`: a JSON object with argv, size and steps, each a text to wait
for and what then is done: {"type": text}, {"resize": [rows, columns]}, {"shell": command} or {"signal": number}.
Prints what was seen, the exit status, and whether the terminal's modes were the same at the end.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import struct
import subprocess
import sys
import termios
import time
from typing import Any

SECONDS = 75  # for all of it


class Player:
    def __init__(self, argv: list[str], size: tuple[int, int]) -> None:
        self._master, self._terminal = os.openpty()
        self.resize(*size)
        self.before = termios.tcgetattr(self._terminal)
        self.seen = b""
        self._position = 0
        self._deadline = time.monotonic() + SECONDS
        self._process = subprocess.Popen(
            argv,
            stdin=self._terminal, stdout=self._terminal, stderr=self._terminal,
            preexec_fn=self._lead,
            env=dict(os.environ, TERM="vt220"),
        )  # fmt: skip

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def wait_for(self, wanted: str) -> bool:
        """False where the program has ended, or time is up."""
        while True:
            found = self.seen.find(wanted.encode(), self._position)
            if found >= 0:
                self._position = found + len(wanted.encode())
                return True
            if not self._read():
                return False

    def act(self, action: dict[str, Any]) -> None:
        for what, how in action.items():
            match what:
                case "type":
                    os.write(self._master, how.encode())
                case "resize":
                    self.resize(*how)
                case "shell":
                    subprocess.run(how, shell=True, check=False)
                case "signal":
                    self._process.send_signal(how)

    def end(self) -> int | None:
        """The exit status, None where it had to be killed."""
        while self._process.poll() is None and self._read():
            pass
        try:
            status = self._process.wait(timeout=max(0.1, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return None
        while self._read(0.1):
            pass
        return status

    def is_as_before(self) -> bool:
        return termios.tcgetattr(self._terminal) == self.before

    def _lead(self) -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def _read(self, seconds: float = 0.2) -> bool:
        """False where the program has ended and all is read, or time is up."""
        ready, _, _ = select.select([self._master], [], [], seconds)
        if ready:
            self.seen += os.read(self._master, 65536)
            return True
        return self._process.poll() is None and time.monotonic() < self._deadline


def main() -> None:
    script = json.loads(sys.argv[1])
    player = Player(script["argv"], script["size"])
    missed = None
    for wanted, action in script["steps"]:
        if not player.wait_for(wanted):
            missed = wanted
            break
        player.act(action)
    status = player.end()
    found = {"seen": player.seen.decode(errors="replace"), "status": status, "missed": missed}
    print(json.dumps({**found, "as_before": player.is_as_before()}))


if __name__ == "__main__":
    main()
