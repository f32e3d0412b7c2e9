# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume's files as a container is shown them, and what its image has in that place as their beginning.

On disk the files have the container's ids, below a directory that only root may enter, as layers of images do.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from ..errors import SetupFailed
from ..kernel import files
from . import rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator

COPY = ["cp", "--archive", "--one-file-system", "--reflink=auto", "--no-target-directory"]


def open_at(data: str, subpath: str) -> int:
    """What lies there in it, or all of it, with O_PATH.

    Who has the volume may rename in it meanwhile: no symbolic link is followed, so what is found is in there.
    """
    opened = os.open(data, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not subpath:
        return opened
    try:
        return files.open_beneath(opened, subpath, os.O_PATH)
    finally:
        os.close(opened)


def mounted(opened: int, view: int | None, *, read_only: bool) -> int:
    """A detached mount, with the container's ids."""
    return rootfs.host_mount(opened, view, read_only=read_only, recursive=False)


def fill(data: str, root: int, target: str, view: int | None) -> None:
    """With what `root` has at `target`, if that is a directory; its owner and mode too. On the disk when it returns.

    Blocks for long.

    The copy is made inside the container's user namespace: with no more rights than its root would have, and in the
    ids that both mounts show.
    """
    try:
        source = files.open_in_root(root, target, os.O_PATH | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        with _synced(data) as opened:
            tree = mounted(opened, view, read_only=False)
            try:
                _copy(source, tree, view)
            finally:
                os.close(tree)
    finally:
        os.close(source)


def empty(data: str) -> None:
    """After a fill that did not end."""
    for entry in os.scandir(data):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


@contextlib.contextmanager
def _synced(data: str) -> Iterator[int]:
    """Open; what is written meanwhile is on the disk afterwards, or OSError."""
    opened = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield opened
        files.sync_filesystem(opened)
    finally:
        os.close(opened)


def _copy(source: int, tree: int, view: int | None) -> None:
    command = [*COPY, f"/proc/self/fd/{source}/.", f"/proc/self/fd/{tree}/."]
    passed = [source, tree]
    if view is not None:
        command = ["nsenter", f"--user=/proc/self/fd/{view}", "--setuid=0", "--setgid=0", "--", *command]
        passed.append(view)
    done = subprocess.run(command, pass_fds=passed, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise SetupFailed("fill a new volume from the image", said[0] if said else f"cp ended with {done.returncode}")
