# SPDX-License-Identifier: GPL-3.0-or-later
"""How much has come by, for whoever waits at a terminal for more than a second."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from .output import write_all
from .sizes import readable

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST, NEXT = 1.0, 0.2  # seconds
CLEAR = b"\r\x1b[K"


class Progress:
    """Shown on standard error until it is left; `count` is in bytes. Nothing is shown before the first byte."""

    def __init__(self, what: str, count: Callable[[], int]) -> None:
        self._what = what
        self._count = count
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Progress:
        if os.isatty(2):
            self._thread = threading.Thread(target=self._show, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()

    def _show(self) -> None:
        shown = False
        while not self._over.wait(NEXT if shown else FIRST):
            if count := self._count():
                write_all(2, CLEAR + f"{self._what}: {readable(count)}".encode())
                shown = True
        if shown:
            write_all(2, CLEAR)
