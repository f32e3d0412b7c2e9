# SPDX-License-Identifier: GPL-3.0-or-later
"""What is longer than the terminal goes through a pager, as systemctl's lists do. Shorter text costs nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .output import put

if TYPE_CHECKING:
    from .parser import Arguments

PAGERS = ("less", "more")
SETTINGS = {"LESS": "FRSXMK", "LESSSECURE": "1"}  # less(1): as systemd's; and no shell for whom sudo has let in
NOT_FOUND = 127  # sh(1)


def put_long(text: str, arguments: Arguments) -> None:
    rows = _rows()
    if arguments.get("no_pager") or not rows or text.count("\n") < rows or not _page(text):
        put(text)


def _rows() -> int:
    """Of the terminal that is written to; 0 where there is none, or one that pages badly."""
    if not os.isatty(1) or os.environ.get("TERM") == "dumb":
        return 0
    try:
        return os.get_terminal_size(1).lines
    except OSError:
        return 0


def _page(text: str) -> bool:
    """Whether somebody has shown it. An empty variable means that nobody shall."""
    import subprocess

    chosen = next((os.environ[name] for name in ("SYSTEMD_PAGER", "PAGER") if name in os.environ), None)
    if chosen is not None and chosen.strip() in ("", "cat"):
        return False
    data = text.encode("utf-8", "backslashreplace")
    for command in (chosen,) if chosen else PAGERS:
        words = ["sh", "-c", command]
        with subprocess.Popen(words, stdin=subprocess.PIPE, env={**SETTINGS, **os.environ, "LESSSECURE": "1"}) as pager:
            try:
                pager.communicate(data)
            except (BrokenPipeError, KeyboardInterrupt):  # it was left before the end
                pager.wait()
        if pager.returncode != NOT_FOUND:
            return True
    return False
