# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the members of an archive belong, by cp(1)'s and docker's rules, and how they get there.

Each parent is opened by openat2(2) below an open directory, through no symbolic link; a file appears whole under its
name, or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from ..images.entry import Entry, Kind
from ..images.refusal import Refusal, shown
from ..kernel import constants as c
from ..kernel import files
from . import place

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..images.source import Source
    from .request import Request

    Path = tuple[bytes, ...]

IMPLIED = 0o755  # directories that the archive does not name
MAKING = b".mctl-cp-"  # what a file is called until it is whole


def joined(path: Path) -> bytes:
    return b"/".join(path)


class Placing:
    """One archive's members, one after the other."""

    def __init__(self, root: int, request: Request) -> None:
        self._root = root
        self._asked = os.fsencode(request.path)
        self._name = os.fsencode(request.name)
        self._into = request.into
        self._keep_ids = request.keep_ids
        self._base = -1
        self._top: Path | None = ()  # what is left out of members' paths, and
        self._prefix: Path = ()  # what takes its place
        self._made: dict[Path, Entry] = {}  # directories
        self.left_out = 0  # devices

    def begin(self, first: Entry) -> None:
        """The first member says what is copied: a file, a directory, or, where its path is empty, one's contents."""
        contents = self._into or not first.path
        self._top = () if contents else first.path[:1]
        found = place.directory(self._root, self._asked)
        if found is not None:
            self._base = found
            self._prefix = () if contents else (self._name or first.path[0],)
            return
        if self._into:
            raise Refusal(f"there is no directory {shown(self._asked)} in the container")
        settled = place.settle(self._root, self._asked)
        is_directory = contents or first.kind is Kind.DIRECTORY or len(first.path) > 1
        if settled.there is not None and is_directory:
            raise Refusal(f"{shown(self._asked)} is a file of the container: a directory cannot be copied to it")
        if self._asked.endswith(b"/") and not is_directory:
            what = "is no directory" if settled.there else "is not there: a file is copied to a directory that is"
            raise Refusal(f"{shown(self._asked)} {what}")
        self._base, self._prefix = settled.parent, (settled.name,)

    def take(self, entry: Entry, source: Source) -> None:
        try:
            self._take(self._moved(entry.path), entry, source)
        except OSError as error:
            raise Refusal(f"{shown(joined(entry.path))}: {error.strerror}") from error

    def _take(self, path: Path, entry: Entry, source: Source) -> None:
        match entry.kind:
            case Kind.DEVICE:
                self.left_out += 1
            case Kind.DIRECTORY:
                self._directory(path, entry)
            case Kind.FILE:
                self._file(path, entry, source)
            case _:
                self._other(path, entry)

    def close(self) -> None:
        """The last word on directories, the deepest first."""
        for path, entry in sorted(self._made.items(), key=lambda item: -len(item[0])):
            try:
                made = files.open_beneath(self._base, joined(path), os.O_RDONLY | os.O_DIRECTORY)
            except OSError:
                continue  # somebody in the container has put something else there
            self._finish(made, entry)
            os.close(made)

    def _moved(self, path: Path) -> Path:
        assert self._top is not None
        if self._top and path[:1] != self._top:
            raise Refusal("the archive has several members at its top: it can only be unpacked into a directory")
        return (*self._prefix, *path[len(self._top) :])

    def _parent(self, path: Path) -> int:
        """The open directory above, made if it is missing, for the caller to close."""
        above = path[:-1]
        if not above:
            return os.dup(self._base)
        try:
            return files.open_beneath(self._base, joined(above), place.DIRECTORY)
        except FileNotFoundError:
            self._make_directory(above)
            return files.open_beneath(self._base, joined(above), place.DIRECTORY)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise Refusal(f"{shown(joined(above))} leads through a link, or is no directory") from None
            raise

    def _make_directory(self, path: Path, mode: int = IMPLIED) -> bool:
        """Whether it was not there before."""
        parent = self._parent(path)
        try:
            os.mkdir(path[-1], mode, dir_fd=parent)
        except FileExistsError:
            there = place.look(parent, path[-1])
            if there is None or not stat.S_ISDIR(there.st_mode):
                raise Refusal(
                    f"{shown(joined(path))} is there and is no directory: one cannot take its place"
                ) from None
            return False
        finally:
            os.close(parent)
        return True

    def _directory(self, path: Path, entry: Entry) -> None:
        """One that is there stays as it is."""
        if path and self._make_directory(path, 0o700):
            self._made[path] = entry

    def _file(self, path: Path, entry: Entry, source: Source) -> None:
        parent, name = self._vacant(path)
        try:
            if _is_mounted(parent, name):  # as /etc/hosts: nothing can take its place
                flags = os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                self._fill(os.open(name, flags, dir_fd=parent), entry, source, own=False)
            else:
                self._appear(parent, name, lambda new: self._new_file(parent, new, entry, source))
        finally:
            os.close(parent)

    def _new_file(self, parent: int, name: bytes, entry: Entry, source: Source) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fill(os.open(name, flags, 0o600, dir_fd=parent), entry, source, own=True)

    def _fill(self, descriptor: int, entry: Entry, source: Source, *, own: bool) -> None:
        try:
            if not own and not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Refusal(f"{shown(joined(entry.path))} cannot take the place of what is mounted there")
            for offset, size in entry.segments:
                os.lseek(descriptor, offset, os.SEEK_SET)
                for piece in source.pieces(size):
                    _write(descriptor, piece)
            os.ftruncate(descriptor, entry.size)
            if own:
                self._finish(descriptor, entry)
        finally:
            os.close(descriptor)

    def _other(self, path: Path, entry: Entry) -> None:
        parent, name = self._vacant(path)
        try:
            self._appear(parent, name, lambda new: self._make(parent, new, entry))
        finally:
            os.close(parent)

    def _make(self, parent: int, name: bytes, entry: Entry) -> None:
        if entry.kind is Kind.LINK:
            target = self._moved(entry.target)
            source = self._parent(target)
            try:
                os.link(target[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
            except FileNotFoundError:
                raise Refusal(f"{shown(joined(entry.path))} is a hard link to what is not there") from None
            finally:
                os.close(source)
            return
        if entry.kind is Kind.SYMLINK:
            os.symlink(entry.points_to, name, dir_fd=parent)
        else:
            os.mkfifo(name, entry.mode & 0o777, dir_fd=parent)
        if self._keep_ids:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _appear(self, parent: int, name: bytes, make: Callable[[bytes], None]) -> None:
        """Made under a name that nobody looks for, then given its own."""
        new = MAKING + os.urandom(8).hex().encode()
        try:
            make(new)
            os.rename(new, name, src_dir_fd=parent, dst_dir_fd=parent)
        finally:  # two names of one file: rename(2) then does nothing
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new, dir_fd=parent)

    def _vacant(self, path: Path) -> tuple[int, bytes]:
        """The open parent, for the caller to close, and a name that is not a directory's."""
        if not path:
            raise Refusal("the archive has a root that is no directory")
        parent = self._parent(path)
        there = place.look(parent, path[-1])
        if there and stat.S_ISDIR(there.st_mode):
            os.close(parent)
            raise Refusal(f"{shown(joined(path))} is a directory of the container: a file cannot take its place")
        return parent, path[-1]

    def _finish(self, descriptor: int, entry: Entry) -> None:
        if self._keep_ids:
            os.fchown(descriptor, entry.uid, entry.gid)
        os.fchmod(descriptor, entry.mode)  # after chown(2), which takes set-user-ID away
        for name, value in entry.xattrs if self._keep_ids else ():
            try:
                os.setxattr(descriptor, name, value)
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.EINVAL):
                    raise
        os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))


def _is_mounted(parent: int, name: bytes) -> bool:
    """Whether something is mounted on that name: openat2(2), RESOLVE_NO_XDEV."""
    try:
        opened = files.openat2(parent, name, os.O_PATH | os.O_NOFOLLOW, c.RESOLVE_NO_XDEV)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno == errno.EXDEV:
            return True
        raise
    os.close(opened)
    return False


def _write(descriptor: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]
