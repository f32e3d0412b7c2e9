# SPDX-License-Identifier: GPL-3.0-or-later
"""A FIFO that a payload writes its standard output or error into, and that it can open anew as /dev/stdout.

A socket, as the journal's streams are, cannot be opened (ENXIO, open(2)), and images rely on it: nginx's log files are
symbolic links to /dev/stdout, php-fpm and httpd name /proc/self/fd/2. The payload's own end is open for reading too,
fifo(7): so it waits while nobody reads, and gets no SIGPIPE, even where PID 1 has forgotten our end. We find that
again by its name.
"""

from __future__ import annotations

import contextlib
import os

MODE = 0o666  # whatever the payload's user; nobody else comes to the directory


def make(directory: str, name: str, owner: int) -> tuple[int, int]:
    """Our end and the payload's. owner: the container's root, who may give it away as docker's may."""
    os.makedirs(directory, 0o700, exist_ok=True)
    path = f"{directory}/{name}"
    with contextlib.suppress(FileNotFoundError):  # of an earlier run
        os.unlink(path)
    os.mkfifo(path, MODE)
    os.chmod(path, MODE)
    os.chown(path, owner, owner)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return reading, os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except BaseException:
        os.close(reading)
        raise


def find(directory: str, name: str) -> str | None:
    """Where one is. Only a reader may open it (`crew.py`), since that takes its lock; of a run that has ended it is at
    its end at once.
    """
    path = f"{directory}/{name}"
    return path if os.path.lexists(path) else None
