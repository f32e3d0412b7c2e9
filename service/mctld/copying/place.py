# SPDX-License-Identifier: GPL-3.0-or-later
"""A path of the container's, as far as it leads: never out of `root`, through no magic link."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

from ..images.refusal import Refusal, shown
from ..kernel import files

LINKS = 40  # MAXSYMLINKS, as path_resolution(7)
DIRECTORY = os.O_PATH | os.O_DIRECTORY


@dataclass(frozen=True, slots=True)
class Place:
    """`parent` is open, `name` a name in it; `there` is what has that name now, and no symbolic link."""

    parent: int
    name: bytes
    there: os.stat_result | None


def directory(root: int, path: bytes) -> int | None:
    """Open, or None where there is none."""
    try:
        return files.open_in_root(root, os.fsdecode(path) or "/", DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Refusal(f"{shown(path)} leads through a magic link, or more than {LINKS} links") from None
        raise


def settle(root: int, path: bytes, *, follow: bool = True) -> Place:
    """For what is no directory. Refusal where what is above the name is none."""
    for _ in range(LINKS):
        above, name = os.path.split(path.rstrip(b"/"))
        if name in (b"", b".", b".."):
            raise Refusal(f"there is no directory {shown(path)} in the container")
        parent = directory(root, above)
        if parent is None:
            raise Refusal(f"there is no directory {shown(above)} in the container")
        there = look(parent, name)
        if not (follow and there and stat.S_ISLNK(there.st_mode)):
            return Place(parent, name, there)
        path = os.path.join(above, os.readlink(name, dir_fd=parent))
        os.close(parent)
    raise Refusal(f"{shown(path)} leads through more than {LINKS} links")


def look(parent: int, name: bytes) -> os.stat_result | None:
    """What has the name now, a link itself."""
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
