# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of containers: a directory each, below the one of --root, root's alone, locked while it is changed.

A record is replaced as a whole. The process is known by its pid and the time of its start, and reached by a pidfd.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from ..errors import InvalidArgs, NameTaken, NoSuchContainer, SetupFailed
from ..runtime import plainjson
from . import reading
from .identifiers import check_name
from .specification import VERSION
from .value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .reading import Value

DEFAULT_ROOT = "/run/mctl-oci"
RECORD, CONFIGURATION, SOCKET, ANNOUNCEMENTS = "state.json", "config.json", "start.sock", "notify"
CREATING, CREATED, RUNNING, PAUSED, STOPPED = "creating", "created", "running", "paused", "stopped"


@value(frozen=True)
class Record:
    id: str
    bundle: str
    rootfs: str
    created: str
    owner: int
    pid: int
    started: int  # in clock ticks since the boot, proc_pid_stat(5)
    complete: bool  # create has come to its end
    manager: str
    unit: str
    cgroup: str
    rootless: bool
    annotations: dict[str, str]


def root_directory(given: str, *, rootless: bool) -> str:
    """Decided by ids alone: of podman's calls not all have the variables of the others."""
    if given:
        return os.path.abspath(given)
    if not rootless:
        return DEFAULT_ROOT
    return f"{os.environ.get('XDG_RUNTIME_DIR', f'/run/user/{os.getuid()}')}/mctl-oci"


class Entry:
    """One container's directory, locked."""

    def __init__(self, root: str, name: str, lock: int) -> None:
        self.name = name
        self.directory = f"{root}/{name}"
        self._lock = lock

    @property
    def socket(self) -> str:
        return f"{self.directory}/{SOCKET}"

    @property
    def announcements(self) -> str:
        """The directory for sd_notify(3), where there is one: the container sees it, and cannot write to it."""
        return f"{self.directory}/{ANNOUNCEMENTS}"

    def record(self) -> Record:
        """NoSuchContainer for one whose creation has not come so far."""
        try:
            with open(f"{self.directory}/{RECORD}", encoding="utf-8") as file:
                return Record(**plainjson.loads(file.read()))
        except FileNotFoundError:
            raise NoSuchContainer(
                f"container {self.name!r} is being created, or that was cut off: delete --force"
            ) from None
        except (ValueError, TypeError) as error:
            raise SetupFailed(f"read {self.directory}/{RECORD}", f"{error}; delete --force takes it away") from error

    def save(self, record: Record) -> None:
        self._replace(RECORD, plainjson.dumps(record.__dict__).encode())

    def keep_configuration(self, text: bytes) -> None:
        """What a bundle becomes later shall not change the container, runtime.md#lifecycle."""
        self._replace(CONFIGURATION, text)

    def configuration(self) -> Value:
        with open(f"{self.directory}/{CONFIGURATION}", "rb") as file:
            return reading.read(file.read(), CONFIGURATION)

    def _replace(self, name: str, content: bytes) -> None:
        made = f"{self.directory}/.{name}"
        with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(content)
        os.rename(made, f"{self.directory}/{name}")

    def remove(self) -> None:
        for place, _, names in os.walk(self.directory, topdown=False):
            for name in names:
                os.unlink(f"{place}/{name}")
            os.rmdir(place)

    def unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1

    def __enter__(self) -> Entry:
        return self

    def __exit__(self, *_: object) -> None:
        self.unlock()


def make(root: str, name: str) -> Entry:
    """NameTaken where there is one already."""
    check_name(name)
    _make_root(root)
    _check_root(root)
    try:
        os.mkdir(f"{root}/{name}", 0o700)
    except FileExistsError:
        raise NameTaken(f"container with id exists: {name}") from None
    except OSError as error:
        raise SetupFailed(f"make {root}/{name}", error.strerror) from error
    return find(root, name)


def _make_root(root: str) -> None:
    try:
        os.makedirs(root, 0o711, exist_ok=True)
    except OSError as error:
        raise SetupFailed(f"make {root}", error.strerror) from error


def _check_root(root: str) -> None:
    """Nobody else may put another entry, whose hooks we would execute, in the place of one of ours."""
    found = os.stat(root)
    if found.st_uid not in (0, os.geteuid()):
        raise InvalidArgs(f"--root {root} belongs to user {found.st_uid}: give a directory of your own, or root's")
    others = stat.S_IWOTH | (0 if found.st_gid in (0, os.getegid()) else stat.S_IWGRP)
    if found.st_mode & others and not found.st_mode & stat.S_ISVTX:
        raise InvalidArgs(
            f"--root {root} may be written to by other users (mode {found.st_mode & 0o7777:04o}): what they put there"
            " would be taken for containers of yours; make it 0711"
        )


def _check_entry(path: str, found: os.stat_result) -> None:
    """Where all may make entries, as below /tmp, ours are those that we have made."""
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise InvalidArgs(
            f"{path} belongs to user {found.st_uid} and has the mode {found.st_mode & 0o7777:04o}: it was not made by"
            f" mctl-oci for user {os.geteuid()}, and nothing in it is believed"
        )


def find(root: str, name: str, *, wait: bool = True) -> Entry:
    check_name(name)
    missing = NoSuchContainer(f"container {name!r} does not exist")
    try:
        _check_root(root)
        lock = os.open(f"{root}/{name}", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise missing from None
        raise SetupFailed(f"open {root}/{name}", error.strerror) from error
    try:
        _check_entry(f"{root}/{name}", os.fstat(lock))
    except BaseException:
        os.close(lock)
        raise
    if wait:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink == 0:
            os.close(lock)
            raise missing
    return Entry(root, name, lock)


def look(root: str, name: str) -> Entry:
    """To read only: a record is replaced as a whole, and a create in progress shall not hold up state."""
    return find(root, name, wait=False)


def names(root: str) -> Iterator[str]:
    try:
        with os.scandir(root) as found:
            directories = [entry.name for entry in found if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return
    yield from sorted(name for name in directories if name[0] != ".")


def started(pid: int) -> int:
    """When the process began, or 0 where there is none, or only a zombie: proc_pid_stat(5)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, *fields = file.read().rpartition(b") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if state in (b"Z", b"X") else int(fields[18])


def is_alive(record: Record) -> bool:
    return record.pid > 0 and record.started != 0 and started(record.pid) == record.started


def open_process(record: Record) -> int | None:
    """A pidfd of the first process; None where it has ended, whoever has its pid now."""
    if record.pid <= 0:
        return None
    try:
        pidfd = os.pidfd_open(record.pid)
    except ProcessLookupError:
        return None
    if is_alive(record):
        return pidfd
    os.close(pidfd)
    return None


def status(entry: Entry, record: Record) -> str:
    if not is_alive(record):
        return STOPPED
    if not record.complete:
        return CREATING
    if os.path.exists(entry.socket):
        return CREATED
    from .cgroup import files

    return PAUSED if record.cgroup and files.is_frozen(record.cgroup) else RUNNING


def describe(record: Record, now: str) -> dict[str, Any]:
    """runtime.md#state, and what runc and crun tell besides."""
    alive = now not in (STOPPED, CREATING)
    return {
        "ociVersion": VERSION,
        "id": record.id,
        "pid": record.pid if alive else 0,
        "status": now,
        "bundle": record.bundle,
        "rootfs": record.rootfs,
        "created": record.created,
        "owner": str(record.owner),
        "annotations": record.annotations,
    }


def for_hook(record: Record, status: str) -> dict[str, object]:
    return {**describe(record, status), "pid": record.pid if status != STOPPED else 0}
