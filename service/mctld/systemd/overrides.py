# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in which PID 1 keeps what SetUnitProperties has set for a unit that has a file of its own, until the next boot.

They win over the unit's own drop-ins (systemd.unit(5), system.control), also when the unit is started again: left
there, they would bind the next container of that name to limits of the last one. The drop-in beside the unit says the
same, so they go as soon as the properties are in force. Transient units have none.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING

from ..errors import SetupFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTROL = "/run/systemd/system.control"


@contextlib.contextmanager
def withdrawn(unit: str) -> Iterator[None]:
    """What is written for `unit` within goes at the end; what an administrator had set there before stays."""
    before = _written(unit)
    try:
        yield
    finally:
        _remove(unit, [name for name, when in _written(unit).items() if before.get(name) != when])


def remove(unit: str) -> None:
    """All of them: the unit's container is no more."""
    shutil.rmtree(_directory(unit), ignore_errors=True)


def _directory(unit: str) -> str:
    return f"{CONTROL}/{unit}.d"


def _written(unit: str) -> dict[str, tuple[int, int]]:
    """Names with the inode and its time, nanoseconds: PID 1 writes a new file each time."""
    try:
        with os.scandir(_directory(unit)) as entries:
            found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    except FileNotFoundError:
        return {}
    return {name: (status.st_ino, status.st_mtime_ns) for name, status in found}


def _remove(unit: str, names: list[str]) -> None:
    directory = _directory(unit)
    try:
        for name in names:
            os.unlink(os.path.join(directory, name))
    except OSError as error:
        raise SetupFailed(f"remove {error.filename}", error.strerror or error) from error
    if names:
        with contextlib.suppress(OSError):  # an administrator's may be there too
            os.rmdir(directory)
