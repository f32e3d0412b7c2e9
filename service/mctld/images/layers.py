# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers on disk: one directory for each digest, whole or not there at all.

    layers/HEX/{tree,replaced,skeleton}    a layer
    making/RANDOM/...                      one that is being made; swept at the service's start
    trash/RANDOM/...                       what is being removed

Files have the ids that the archive gave, below a directory that only root may enter: set-user-ID files of images are
out of everybody's reach, and are in force only where a container's own mount shows them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from typing import TYPE_CHECKING

from ..kernel import files
from ..reference import check_digest
from .child import TREE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LAYERS, MAKING, TRASH = "layers", "making", "trash"


class Layers:
    """What is slow here says so: it belongs into a thread."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def prepare(self) -> None:
        for name in ("", LAYERS, MAKING, TRASH):
            os.makedirs(f"{self._directory}/{name}", 0o700, exist_ok=True)
        if os.stat(self._directory).st_mode & 0o777 != 0o700:  # on a read-only disk it could not be set
            os.chmod(self._directory, 0o700)

    def path(self, diff_id: str) -> str:
        return f"{self._directory}/{LAYERS}/{check_digest(diff_id).removeprefix('sha256:')}"

    def has(self, diff_id: str) -> bool:
        return os.path.isdir(self.path(diff_id))

    def present(self) -> set[str]:
        return {f"sha256:{name}" for name in os.listdir(f"{self._directory}/{LAYERS}")}

    def open_trees(self, diff_ids: Iterable[str]) -> list[int]:
        """O_PATH descriptors of the layers' root directories; FileNotFoundError if one is missing."""
        opened: list[int] = []
        try:
            for diff_id in diff_ids:
                opened.append(os.open(f"{self.path(diff_id)}/{TREE}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        except BaseException:
            close_all(opened)
            raise
        return opened

    def open_directory(self, diff_id: str) -> int:
        """All that there is of a layer."""
        return os.open(self.path(diff_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def begin(self) -> str:
        """A new directory to make a layer in, empty."""
        made = f"{self._directory}/{MAKING}/{secrets.token_hex(8)}"
        os.mkdir(made, 0o700)
        return made

    def finish(self, made: Mapping[str, str]) -> None:
        """Slow: what was made, by digest, is on the disk, then it is there under its digest.

        Where one is there already, what was made stays where it is, for the caller to remove.
        """
        opened = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            files.sync_filesystem(opened)
        finally:
            os.close(opened)
        for diff_id, directory in made.items():
            try:
                os.rename(directory, self.path(diff_id))
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        _sync_directory(f"{self._directory}/{LAYERS}")

    def take_out(self, diff_id: str) -> str:
        """From now on it is not there; the path at which its files wait to be removed."""
        gone = f"{self._directory}/{TRASH}/{secrets.token_hex(8)}"
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.path(diff_id), gone)
        return gone

    def leftovers(self) -> list[str]:
        """What nobody needs: made by half when the service ended, or not wholly removed yet."""
        return [
            f"{self._directory}/{place}/{name}"
            for place in (MAKING, TRASH)
            for name in os.listdir(f"{self._directory}/{place}")
        ]


def close_all(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _sync_directory(path: str) -> None:
    opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
