# SPDX-License-Identifier: GPL-3.0-or-later
"""How much has come of each blob, read off the terminal on which skopeo shows it to people.

Nothing else tells: files that are not whole have names by chance, and several grow at once.
"""

from __future__ import annotations

import contextlib
import os
import re
import termios

ROWS, COLUMNS = 400, 120
READ_MAX = 64 << 10  # bytes at once, and of a line that does not end
_BLOB = re.compile(
    rb"Copying blob (?:sha256:)?([0-9a-f]{8,64}) (?:[^\r\n]{0,200}? )?([0-9]{1,5}(?:\.[0-9]{1,3})?) ?(b|B|[KMGT]iB) / "
)
_UNITS = {b"b": 1, b"B": 1, b"KiB": 1 << 10, b"MiB": 1 << 20, b"GiB": 1 << 30, b"TiB": 1 << 40}


class Bars:
    """The terminal, for one run of skopeo. It is held open here, so that it outlives whoever writes to it.

    path: None where users have taken all the terminals of the host, and then nothing is seen.
    """

    def __init__(self) -> None:
        self.path: str | None = None
        self._open: tuple[int, ...] = ()
        self._rest = b""
        with contextlib.suppress(OSError):
            self._open = (reading, terminal) = os.openpty()
            os.set_blocking(reading, False)
            termios.tcsetwinsize(terminal, (ROWS, COLUMNS))
            self.path = os.ttyname(terminal)

    def read(self) -> dict[str, int]:
        """What has been drawn since the last time: bytes by the beginnings of digests, as rounded for people."""
        try:
            found = self._rest + os.read(self._open[0], READ_MAX)
        except (BlockingIOError, IndexError):
            return {}
        whole, _, rest = found.rpartition(b"\n")
        self._rest = rest[-READ_MAX:]
        return {
            f"sha256:{digest.decode()}": int(float(number) * _UNITS[unit])
            for digest, number, unit in _BLOB.findall(whole)
        }

    def close(self) -> None:
        for descriptor in self._open:
            os.close(descriptor)
