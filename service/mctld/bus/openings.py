# SPDX-License-Identifier: GPL-3.0-or-later
"""What callers open and hand over: root directories and standard inputs, judged by the descriptor, never by a path."""

from __future__ import annotations

import fcntl
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..bounds import shown
from ..credential import ALL_MAX, Credentials
from ..device import Device
from ..errors import InvalidArgs, NoSuchRootfs
from ..kernel import filesystem
from ..mounts import HostPath
from ..spec import Rootfs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .descriptors import Descriptors
    from .question import Call

OF_THE_KERNEL = frozenset((
    "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "efivarfs", "fusectl", "mqueue", "nsfs",
    "proc", "pstore", "securityfs", "selinuxfs", "smackfs", "sysfs", "tracefs",
))  # fmt: skip


class Caller(Protocol):
    @property
    def uid(self) -> int: ...
    @property
    def groups(self) -> frozenset[int]: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """What a container is made of that came by descriptors."""

    rootfs: Rootfs | None
    sources: tuple[HostPath, ...]
    devices: tuple[Device, ...]
    secrets: Credentials


def opened(fds: Descriptors, caller: Caller, values: Mapping[str, Any]) -> Opened:
    """Of options that have been checked. Slow: a file system of the caller's may hang, so this takes a thread."""
    return Opened(
        rootfs(fds.peek(values["Rootfs"]), caller) if "Rootfs" in values else None,
        tuple(mount_source(fds.peek(fd), caller) for fd, _, _ in values.get("Mounts", ())),
        tuple(device(fds.peek(fd), caller, *words) for fd, *words in values.get("Devices", ())),
        credentials({name: fds.peek(fd) for name, fd in values.get("Credentials", ())}),
    )


def rootfs(fd: int, caller: Caller) -> Rootfs:
    """The directory behind `fd` as `caller` may use it: one's own shows one's own files, root's calls show all."""
    found = _found(fd, caller.uid, "Rootfs")
    if not stat.S_ISDIR(found.st_mode):
        raise NoSuchRootfs("Rootfs is not a directory")
    return Rootfs(_path(fd, found, "Rootfs"), found.st_dev, found.st_ino, _owner(found, caller), _boot())


def mount_source(fd: int, caller: Caller) -> HostPath:
    """The directory, file or socket behind `fd` as `caller` may show it to a container."""
    found = _found(fd, caller.uid, "Mounts")
    if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode) or stat.S_ISSOCK(found.st_mode)):
        raise InvalidArgs("Mounts has something that is neither a directory nor a file nor a socket")
    return HostPath(_path(fd, found, "Mounts"), found.st_dev, found.st_ino, _owner(found, caller), _boot())


def device(fd: int, caller: Caller, target: str, permissions: str) -> Device:
    """The device node behind `fd`, which may well be opened with O_PATH: opening some devices does something."""
    found = _found(fd, caller.uid, "Devices")
    path = _path(fd, found, "Devices")
    if not (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)):
        raise InvalidArgs(f"Devices {path} is not a device node")
    numbers = os.major(found.st_rdev), os.minor(found.st_rdev)
    return Device(path, *numbers, stat.S_ISBLK(found.st_mode), target or path, permissions or "rw")


def _found(fd: int, uid: int, what: str) -> os.stat_result:
    kind = filesystem.kind(fd)
    if kind is None:
        raise NoSuchRootfs(f"{what} lies on a mount that the service does not see: open it outside of other namespaces")
    if uid != 0 and kind.startswith("fuse"):
        raise NoSuchRootfs(f"{what} lies on a {kind} file system, which another process answers for: copy it elsewhere")
    return os.fstat(fd)


def _owner(found: os.stat_result, caller: Caller) -> tuple[int, int] | None:
    """Root inside is in that group, and can make files with its set-group-ID bit: so the caller must be in it too."""
    ones_own = found.st_uid == caller.uid and found.st_gid in caller.groups
    return (found.st_uid, found.st_gid) if caller.uid != 0 and ones_own else None


def _boot() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return stream.read().strip()


def _path(fd: int, found: os.stat_result, what: str) -> str:
    path = os.readlink(f"/proc/self/fd/{fd}")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InvalidArgs(f"{what} {shown(path)} is not valid UTF-8") from None
    if not path.isprintable():
        raise InvalidArgs(f"{what} {shown(path)} contains a control character")
    try:
        there = os.stat(path, follow_symlinks=False)
    except OSError as error:
        raise NoSuchRootfs(f"{what} {path} is not there any more: {error.strerror}") from error
    if (there.st_dev, there.st_ino) != (found.st_dev, found.st_ino):
        raise NoSuchRootfs(f"{what} {path} leads to another directory now")
    return path


def readable_file(fd: int, what: str) -> None:
    """A file, or memory (memfd_create(2)), that can be read at once: nothing that keeps anybody waiting.

    Nor one of the kernel's, which looks at who reads: /proc/PID/stat tells root where the stack of PID 1 lies.
    """
    remedy = "copy it into memory, memfd_create(2)"
    if _refuse_answered(fd, what, remedy) in OF_THE_KERNEL:
        raise InvalidArgs(f"{what} is a file of the kernel's, which the service reads with its own rights: {remedy}")
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    if flags & os.O_PATH or flags & os.O_ACCMODE == os.O_WRONLY or not stat.S_ISREG(filesystem.mode(fd)):
        raise InvalidArgs(f"{what} is not a file that is open for reading")


def _refuse_answered(fd: int, what: str, remedy: str) -> str:
    """Before anything else is done with it. The type of its file system."""
    kind = filesystem.kind(fd)
    if kind is None:
        raise InvalidArgs(f"{what} lies on a mount that the service does not see: {remedy}")
    if kind.startswith("fuse"):
        raise InvalidArgs(f"{what} lies on a {kind} file system, which another process answers for: {remedy}")
    return kind


def credentials(given: Mapping[str, int]) -> Credentials:
    """Read at once. Only what cannot keep anybody waiting: a file, or memory (memfd_create(2))."""
    contents, room = {}, ALL_MAX
    for name, fd in given.items():
        readable_file(fd, f"Credentials {name}")
        contents[name] = content = _content(fd, room + 1, f"Credentials {name}")
        room -= len(content)
        if room < 0:
            raise InvalidArgs(f"Credentials have more than {ALL_MAX} bytes in all")
    return Credentials(contents)


def _content(fd: int, most: int, what: str) -> bytes:
    try:
        return os.pread(fd, most, 0)
    except OSError as error:  # a disk that fails, a server that is gone
        raise InvalidArgs(f"{what} cannot be read: {error.strerror}") from error


def checked_stdin(call: Call, values: Mapping[str, Any]) -> int | None:
    """The option Stdin, as the index of a descriptor of the message."""
    stdin = values.get("Stdin")
    if isinstance(stdin, int):
        check_stdin(call.fds.peek(stdin))
        return stdin
    return None


def check_stdin(fd: int) -> None:
    """The container reads it unseen: it must be nothing that gives more than bytes."""
    _refuse_answered(fd, "Stdin", "pass it through a pipe")
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    if flags & os.O_PATH:
        raise InvalidArgs("Stdin is opened with O_PATH: open it for reading")
    if flags & os.O_ACCMODE == os.O_WRONLY:
        raise InvalidArgs("Stdin is not open for reading")
    mode = filesystem.mode(fd)
    if stat.S_ISDIR(mode):
        raise InvalidArgs("Stdin is a directory: pass a file, pipe or socket")
    if stat.S_ISBLK(mode):
        raise InvalidArgs("Stdin is a block device: pass a file, pipe or socket")
    if stat.S_ISCHR(mode) and os.isatty(fd):
        raise InvalidArgs("Stdin is a terminal: a container could type into it; pass a file, pipe or socket")


def check_output(fd: int) -> None:
    """An archive is written to it, by a thread that must not be held up for ever."""
    if _refuse_answered(fd, "output", "pass it through a pipe") in OF_THE_KERNEL:
        raise InvalidArgs("output is a file of the kernel's, to which the service would write with its own rights")
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    mode = filesystem.mode(fd)
    if flags & os.O_PATH or flags & os.O_ACCMODE == os.O_RDONLY:
        raise InvalidArgs("output is not open for writing")
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        raise InvalidArgs("output is no file, pipe or socket")


def check_archive(fd: int) -> None:
    """Read by a confined child alone; it must be nothing that could hold the service up, or give more than bytes."""
    _refuse_answered(fd, "Archive", "pass it through a pipe")
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    mode = filesystem.mode(fd)
    if flags & os.O_PATH or flags & os.O_ACCMODE == os.O_WRONLY:
        raise InvalidArgs("Archive is not open for reading")
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        raise InvalidArgs("Archive is no file, pipe or socket")
