# SPDX-License-Identifier: GPL-3.0-or-later
"""Who keeps all others from a pipe: `python3 holding.py PIPE FILE` writes a line into it, then splices the file.

That keeps the pipe's lock for as long as FILE's file system does not say what is in it, splice(2).
"""

from __future__ import annotations

import os
import sys


def hold(pipe: str, file: str) -> None:
    source, target = os.open(file, os.O_RDONLY), os.open(pipe, os.O_WRONLY)
    os.fstat(source)  # asks how long it is: splice(2) does not, and would find nothing in it
    os.write(target, b"held\n")
    os.splice(source, target, 4096)


if __name__ == "__main__":
    hold(sys.argv[1], sys.argv[2])
