# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers on disk: one directory for each key, whole or not there at all.

    layers/HEX/{tree,replaced,skeleton}    a layer
    layers/HEX/implied                     paths of the directories that its archive does not name
    making/RANDOM/...                      one that is being made; swept at the service's start
    trash/HEX.RANDOM/...                   a whole one that is to be removed
    trash/RANDOM/...                       what is being removed
    blobs/UID/HEX                          images/blobs.py

A removal is known to the database first, and that may be undone by a loss of power. So a layer stays whole until what
the database says is on the disk; until then a start of the service can bring it back.

Files have the ids that the archive gave, below a directory that only root may enter: set-user-ID files of images are
out of everybody's reach, and are in force only where a container's own mount shows them.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from typing import TYPE_CHECKING

from ..disk import told
from ..durable import settle
from ..errors import StoreFailed
from ..kernel import files
from ..reference import check_digest
from .assembly import Assembly
from .blobs import Blobs
from .child import TREE
from .refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

LAYERS, MAKING, TRASH = "layers", "making", "trash"
IMPLIED = "implied"


class Layers:
    """What is slow here says so: it belongs into a thread. `settle_records` puts on the disk who needs which layer."""

    def __init__(self, directory: str, settle_records: Callable[[], None] = os.sync) -> None:
        self._directory = directory
        self._settle_records = settle_records
        self.blobs = Blobs(f"{directory}/blobs")

    def prepare(self) -> None:
        for name in ("", LAYERS, MAKING, TRASH):
            os.makedirs(f"{self._directory}/{name}", 0o700, exist_ok=True)
        if os.stat(self._directory).st_mode & 0o777 != 0o700:  # on a read-only disk it could not be set
            os.chmod(self._directory, 0o700)

    def path(self, key: str) -> str:
        return f"{self._directory}/{LAYERS}/{check_digest(key).removeprefix('sha256:')}"

    def has(self, key: str) -> bool:
        return os.path.isdir(self.path(key))

    def present(self) -> set[str]:
        return {f"sha256:{name}" for name in os.listdir(f"{self._directory}/{LAYERS}")}

    def open_trees(self, keys: Iterable[str]) -> list[int]:
        """O_PATH descriptors of the layers' root directories; FileNotFoundError if one is missing."""
        opened: list[int] = []
        try:
            for key in keys:
                opened.append(os.open(f"{self.path(key)}/{TREE}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        except BaseException:
            close_all(opened)
            raise
        return opened

    def open_directory(self, key: str) -> int:
        """All that there is of a layer."""
        return os.open(self.path(key), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def implied(self, key: str) -> tuple[str, ...] | None:
        """Directories that the layer's archive does not name. None: it was made when that was not kept."""
        try:
            with open(f"{self.path(key)}/{IMPLIED}", encoding="utf-8") as file:
                return tuple(json.load(file))
        except (OSError, ValueError):
            return None

    def note(self, directory: str, implied: Iterable[str]) -> None:
        """For implied(), beside what a child has made that may have done other things there: nothing is followed."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(f"{directory}/{IMPLIED}", flags, 0o600), "w", encoding="utf-8") as file:
            json.dump(list(implied), file)

    def begin(self) -> str:
        """A new directory to make a layer in, empty."""
        made = f"{self._directory}/{MAKING}/{secrets.token_hex(8)}"
        try:
            os.mkdir(made, 0o700)
        except OSError as error:
            raise StoreFailed(f"the layer could not be stored: {self.told(error)}") from error
        return made

    def told(self, error: OSError) -> str:
        return told(error, self._directory)

    @contextlib.contextmanager
    def watch(self) -> Iterator[int]:
        """For finish(), from before the first write: else somebody's sync(1) may hear of a failure in its place."""
        opened = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield opened
        finally:
            os.close(opened)

    def finish(self, made: Mapping[str, tuple[str, str]], watched: int) -> None:
        """Slow: what was made, by key, is on the disk, then it is there under its key. Each with its archive's digest.
        `watched`: of a watch() that began before it.

        Where one is there already, what was made stays where it is, for the caller to remove. But both are proved
        (Refusal): a child that an archive has taken over must not come by another's layer by claiming its digest, nor
        have put its own in that one's place before.
        """
        files.sync_filesystem(watched)
        for key, (directory, diff_id) in made.items():
            try:
                os.rename(directory, self.path(key))
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                _prove(diff_id, directory, "what was unpacked as")
                _prove(diff_id, self.path(key), "what is there (`mctl image check` names its images) as")
        settle(f"{self._directory}/{LAYERS}")

    def take_out(self, key: str) -> str:
        """From now on it is not there; the path at which its files wait for give_up()."""
        there = self.path(key)
        gone = self._trash(f"{os.path.basename(there)}.")
        with contextlib.suppress(FileNotFoundError):
            os.rename(there, gone)
        return gone

    def give_up(self, gone: str) -> str:
        """Slow: after this nothing can bring it back. The path at which it can be removed."""
        self._settle_records()
        nameless = self._trash()
        with contextlib.suppress(FileNotFoundError):
            os.rename(gone, nameless)
        return nameless

    def bring_back(self, key: str) -> bool:
        """One that was taken out, but not given up."""
        there = self.path(key)
        for name in os.listdir(f"{self._directory}/{TRASH}"):
            if name.startswith(f"{os.path.basename(there)}."):
                os.rename(f"{self._directory}/{TRASH}/{name}", there)
                return True
        return False

    def half_made(self) -> list[str]:
        """When the service ended."""
        return [f"{self._directory}/{MAKING}/{name}" for name in os.listdir(f"{self._directory}/{MAKING}")]

    def make_room(self, dispose: Callable[[str], object]) -> None:
        """Where there is none, of what is kept only to spare a transfer."""
        self.blobs.give_way(dispose, f"{self._directory}/{TRASH}")

    def give_up_kept(self, uid: int | None, dispose: Callable[[str], object]) -> int:
        """Slow: what is kept to spare the transfers of a user, or of everybody; bytes that are free before long."""
        return self.blobs.give_up(uid, dispose, f"{self._directory}/{TRASH}")

    def taken_out(self) -> list[str]:
        """What is not wholly removed yet."""
        return [f"{self._directory}/{TRASH}/{name}" for name in os.listdir(f"{self._directory}/{TRASH}")]

    def _trash(self, beginning: str = "") -> str:
        return f"{self._directory}/{TRASH}/{beginning}{secrets.token_hex(8)}"


def _prove(diff_id: str, directory: str, what: str) -> None:
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if Assembly(opened).digest() != diff_id:
            raise Refusal(f"{what} the layer {diff_id} is another one")
    finally:
        os.close(opened)


def close_all(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
