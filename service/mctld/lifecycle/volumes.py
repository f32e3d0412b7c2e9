# SPDX-License-Identifier: GPL-3.0-or-later
"""All volumes. What is known of one lies beside its files, so that no lost database loses whose data it is.

volumes/ID/volume.json    whose it is, and what it is called
volumes/ID/data/          what containers see
volumes/ID/filling        what is there is a copy that we have begun, and nobody has seen: it may be begun again
volumes/making-ID, volumes/removing-ID    on their way; swept at the service's start
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import secrets
import stat
import threading
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Protocol

from ..bounds import shown
from ..disk import told
from ..durable import settle
from ..errors import LimitReached, NameTaken, NoSuchVolume, SetupFailed, StoreFailed, VolumeInUse
from ..quotas import DEFAULTS
from ..runtime import volumes as files
from ..volume import Volume, check_name, is_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..spec import Spec
    from ..volume import VolumeMount
    from .disposal import Disposal

DATA, RECORD, FILLING = "data", "volume.json", "filling"
MAKING, REMOVING = "making-", "removing-"
ROOT_UID = 0
REASONS = {
    errno.ENOENT: "it is not there: make it first, in a container that has all of the volume",
    errno.ELOOP: "it is a symbolic link, or one leads there",
}

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Called in the event loop; must not block or raise."""

    def added(self, volume: Volume) -> None: ...
    def removed(self, volume: Volume) -> None: ...


class Volumes:
    """`users_of` gives the names of the containers that have the volume of an id."""

    def __init__(
        self,
        directory: str,
        disposal: Disposal,
        users_of: Callable[[str], Sequence[str]],
        most: int | None = DEFAULTS.volumes,
    ) -> None:
        """`most`: how many one user may have; root is not bounded."""
        self._most = most
        self._directory = directory
        self._disposal = disposal
        self._users_of = users_of
        self._all: dict[str, Volume] = {}
        self._filling: dict[str, threading.Lock] = {}  # of those that are fresh
        self.listeners: list[Listener] = []

    def recover(self) -> None:
        """After a start of the service."""
        os.makedirs(self._directory, 0o700, exist_ok=True)
        for name in sorted(os.listdir(self._directory)):
            if name.startswith((MAKING, REMOVING)):
                self._disposal.add(f"{self._directory}/{name}")
            elif is_id(name):
                self._recall(name)

    # What there is

    def all(self) -> tuple[Volume, ...]:
        return tuple(sorted(self._all.values(), key=lambda volume: volume.created_usec))

    def get(self, identity: str) -> Volume | None:
        return self._all.get(identity)

    def find(self, uid: int, text: str) -> Volume | None:
        """By name among one's own; by its id also where it is another's, for root."""
        if is_id(text):
            found = self._all.get(text)
            return found if found and found.visible_to(uid) else None
        return next((v for v in self._all.values() if text and v.name == text and v.owner_uid == uid), None)

    def users(self, volume: Volume) -> Sequence[str]:
        return self._users_of(volume.id)

    # What changes

    def create(self, name: str, uid: int, labels: tuple[tuple[str, str], ...] = ()) -> Volume:
        """`name` empty: one that goes by its id."""
        if name and self.find(uid, check_name(name)):
            raise NameTaken(f"you have a volume {name!r} already: choose another name, or remove it")
        owned = sum(v.owner_uid == uid for v in self._all.values())
        if uid != ROOT_UID and self._most is not None and owned >= self._most:
            raise LimitReached(
                f"user {uid} has {owned} volumes, and may have {self._most} (VolumesPerOwner= in mctld.conf(5)):"
                " remove one first"
            )
        made = Volume(secrets.token_hex(16), name, uid, time.time_ns() // 1_000, labels)
        try:
            self._make(made)
        except OSError as error:
            raise self._failed(f"the volume {made.display_name} could not be made", error) from error
        self._all[made.id] = made
        for listener in self.listeners:
            listener.added(made)
        return made

    def settle(self, spec: Spec, uid: int) -> tuple[Spec, list[Volume]]:
        """With the ids of its volumes; those that were missing are made, and returned too."""
        made: list[Volume] = []
        settled = []
        try:
            for wanted in spec.volumes:
                found = self.find(uid, wanted.name)
                if found is None:
                    if is_id(wanted.name) or wanted.subpath:  # a new one would have nothing there
                        raise NoSuchVolume(f"there is no volume {shown(wanted.name)} of yours")
                    found = self.create(wanted.name, uid)
                    made.append(found)
                settled.append(wanted.settled(found))
        except BaseException:
            self.discard(made)
            raise
        return replace(spec, volumes=tuple(settled)), made

    def remove(self, volume: Volume) -> None:
        users = self.users(volume)
        if users:
            names = ", ".join(users[:5]) + (", ..." if len(users) > 5 else "")
            raise VolumeInUse(f"the volume {volume.display_name} is used by {names}: remove the container first")
        self.discard([volume])

    def discard(self, volumes: Iterable[Volume]) -> None:
        """At once out of sight; their files go behind everybody's back."""
        for volume in volumes:
            gone = f"{self._directory}/{REMOVING}{volume.id}"
            try:
                os.rename(self._path(volume.id), gone)
            except OSError as error:
                raise self._failed(f"could not remove the volume {volume.display_name}", error) from error
            del self._all[volume.id]
            self._filling.pop(volume.id, None)
            self._disposal.add(gone)
            for listener in self.listeners:
                listener.removed(volume)

    def discard_nameless(self, spec: Spec) -> None:
        """What a container that is gone had for itself alone."""
        found = [self._all[w.volume] for w in spec.volumes if not w.name and w.volume in self._all]
        self.discard(volume for volume in found if not self.users(volume))

    def mount(self, wanted: VolumeMount, root: int, view: int | None) -> int:
        """A detached mount of what is wanted; at its first use it is filled from `root`. Slow: for a thread."""
        if wanted.volume not in self._all:
            raise NoSuchVolume(f"the volume {wanted.name or wanted.volume} is not there any more")
        if self._all[wanted.volume].fresh:
            with self._filling.setdefault(wanted.volume, threading.Lock()):
                self._use(wanted, root, view)
        opened = self._open(wanted)
        try:
            return files.mounted(opened, view, read_only=wanted.read_only)
        finally:
            os.close(opened)

    # Inside

    def _use(self, wanted: VolumeMount, root: int, view: int | None) -> None:
        """For the first time. What is on the disk says so before anybody can write there: else the next instance of
        the service would take it for new, and what is in it for the rest of a copy.
        """
        volume = self._all[wanted.volume]
        if not volume.fresh:
            return  # somebody else's start was first
        directory, used = self._path(volume.id), replace(volume, fresh=False)
        try:
            if wanted.subpath:
                self._forget_copy(directory)
                os.close(self._open(wanted))  # else it is as new as before
            elif wanted.copy:
                self._fill(directory, root, wanted.target, view)
            self._write(directory, used)
        except OSError as error:
            raise self._failed(f"the volume {volume.display_name} could not be put to use", error) from error
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{directory}/{FILLING}")
        self._all[volume.id] = used
        self._filling.pop(volume.id, None)

    def _fill(self, directory: str, root: int, target: str, view: int | None) -> None:
        """On the disk when it returns. What others have put there is theirs, and stays as it is."""
        data, mark = f"{directory}/{DATA}", f"{directory}/{FILLING}"
        if not self._forget_copy(directory):
            if os.listdir(data):
                return
            os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            settle(directory)
        files.fill(data, root, target, view)

    def _forget_copy(self, directory: str) -> bool:
        """One that did not end; whether there was one. What says so stays, for as long as the volume is new."""
        if begun := os.path.exists(f"{directory}/{FILLING}"):
            files.empty(f"{directory}/{DATA}")
        return begun

    def _open(self, wanted: VolumeMount) -> int:
        """What is shown of it, with O_PATH."""
        step = f"show {wanted.subpath!r} of the volume {wanted.name}"
        try:
            opened = files.open_at(f"{self._path(wanted.volume)}/{DATA}", wanted.subpath)
        except OSError as error:
            if not wanted.subpath:
                raise
            raise SetupFailed(step, REASONS.get(error.errno or 0, error.strerror)) from error
        if stat.S_IFMT(os.fstat(opened).st_mode) in (stat.S_IFDIR, stat.S_IFREG):
            return opened
        os.close(opened)
        raise SetupFailed(step, "it is neither a directory nor a file with content")

    def _failed(self, what: str, error: OSError) -> StoreFailed:
        return StoreFailed(f"{what}: {told(error, self._directory)}")

    def _path(self, identity: str) -> str:
        return f"{self._directory}/{identity}"

    def _make(self, volume: Volume) -> None:
        made = f"{self._directory}/{MAKING}{volume.id}"
        os.mkdir(made, 0o700)
        try:
            os.mkdir(f"{made}/{DATA}")
            os.chmod(f"{made}/{DATA}", 0o755)  # whatever our umask
            self._write(made, volume)
            os.rename(made, self._path(volume.id))
            settle(self._directory)
        except BaseException:
            self._disposal.add(made)
            self._disposal.add(self._path(volume.id))  # had it got so far, it would be there after the next start
            raise

    def _write(self, directory: str, volume: Volume) -> None:
        """Whole, or as it was."""
        written = f"{directory}/{RECORD}.new"
        with open(written, "w", encoding="utf-8") as file:
            json.dump(asdict(volume), file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(written, f"{directory}/{RECORD}")
        settle(directory)

    def _recall(self, identity: str) -> None:
        """One whose record cannot be read is nobody's, and stays where it is."""
        try:
            with open(f"{self._path(identity)}/{RECORD}", encoding="utf-8") as file:
                found = json.load(file)
            labels = tuple((str(key), str(value)) for key, value in found.pop("labels"))
            recalled = Volume(**found, labels=labels)
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.error("The volume %s cannot be read: %s", self._path(identity), error)
            return
        for left in (f"{RECORD}.new", *(() if recalled.fresh else (FILLING,))):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._path(identity)}/{left}")
        self._all[identity] = replace(recalled, id=identity)
