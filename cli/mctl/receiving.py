# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive from a container becomes files here, with the caller's own rights. Nothing in it is trusted.

Python's tarfile reads headers and extracts nothing: its filters refuse links that are harmless as long as nobody
follows them, and have been bypassed (CVE-2025-4517). Here each name is opened or made in an open directory, and no link
is followed below the destination, whoever made it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import tarfile
from typing import TYPE_CHECKING, Protocol, cast

from .failures import Failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Path = tuple[str, ...]

PIECE = 1 << 20
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
MODES = 0o777  # what a container calls set-user-ID is that to nobody here


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Unacceptable(Failure):
    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, status=1)


class Receiving:
    """`keep`: modes as they are, and ids where the caller may give files away. `left_out`: devices."""

    def __init__(self, destination: str, *, keep: bool) -> None:
        self._asked = destination
        self._keep = keep
        self._umask = 0 if keep else _umask()
        self._base = -1
        self._top: Path = ()
        self._prefix: Path = ()
        self._files: set[Path] = set()
        self._directories: dict[Path, tarfile.TarInfo] = {}
        self.received = 0  # bytes
        self.left_out = 0

    def take(self, stream: Stream) -> None:
        """The whole archive. Failure says what is wrong with it, OSError what could not be done here."""
        try:
            with tarfile.open(fileobj=cast("Any", stream), mode="r|", bufsize=PIECE) as tar:
                for info in tar:
                    if self._base < 0:
                        self._begin(_path(info.name), info)
                    self._member(tar, info)
                    tar.members = []  # type: ignore[attr-defined]  # it would keep them all
        except (tarfile.TarError, ValueError, EOFError, OverflowError) as error:  # the last: an id beyond all
            raise Unacceptable(f"the archive is damaged: {error}") from None
        self._finish_directories()

    def _begin(self, path: Path, info: tarfile.TarInfo) -> None:
        """As cp(1): into a directory that is there, else under the name that was given."""
        contents, asked = not path, self._asked
        self._top = path[:1]
        if os.path.isdir(asked):
            self._base = os.open(asked, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._prefix = self._top
            return
        is_directory = contents or info.isdir()
        if os.path.lexists(asked):
            asked = os.path.realpath(asked)
            if is_directory:
                raise Unacceptable(f"{self._asked!r} is no directory: one cannot be copied to it")
            if os.path.exists(asked) and not os.path.isfile(asked):
                raise Unacceptable(f"{self._asked!r} is neither a directory nor a plain file")
        if self._asked.endswith("/") and not is_directory:
            raise Unacceptable(f"there is no directory {self._asked!r}")
        above, name = os.path.split(asked.rstrip("/"))
        if not os.path.isdir(above or "."):
            raise Unacceptable(f"there is no directory {above!r}")
        self._base = os.open(above or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._prefix = (name,)

    def _moved(self, path: Path) -> Path:
        if path[: len(self._top)] != self._top:
            raise Unacceptable("the archive is not what was asked for: it has several members at its top")
        return (*self._prefix, *path[len(self._top) :])

    def _member(self, tar: tarfile.TarFile, info: tarfile.TarInfo) -> None:
        path = self._moved(_path(info.name))
        if info.isdir():
            self._directory(path, info)
        elif info.isreg():
            self._place(path, lambda parent, name: self._file(parent, name, tar, info))
            self._files.add(path)
        elif info.islnk():
            self._place(path, lambda parent, name: self._link(parent, name, info))
        elif info.issym():
            self._place(path, lambda parent, name: os.symlink(info.linkname, name, dir_fd=parent))
        elif info.isfifo():
            self._place(path, lambda parent, name: os.mkfifo(name, info.mode & MODES, dir_fd=parent))
        else:
            self.left_out += 1

    def _directory(self, path: Path, info: tarfile.TarInfo) -> None:
        """One that is there stays as it is."""
        if not path:
            return
        parent = self._parent(path)
        try:
            os.mkdir(path[-1], 0o700, dir_fd=parent)
            self._directories[path] = info
        except FileExistsError:
            os.close(self._open(parent, path[-1]))
        finally:
            os.close(parent)

    def _parent(self, path: Path) -> int:
        """The open directory above, made if it is missing, for the caller to close."""
        opened = os.dup(self._base)
        for name in path[:-1]:
            above = opened
            try:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o777, dir_fd=above)
                opened = self._open(above, name)
            finally:
                os.close(above)
        return opened

    def _open(self, parent: int, name: str) -> int:
        try:
            return os.open(name, DIRECTORY, dir_fd=parent)
        except OSError as error:
            raise Unacceptable(f"{name!r} is there and is no directory: {error.strerror}") from None

    def _place(self, path: Path, make: Callable[[int, str], object]) -> None:
        """Whole under its name, or not at all."""
        if not path:
            raise Unacceptable("the archive is not what was asked for: its top is no directory")
        parent, new = self._parent(path), f".mctl-cp-{secrets.token_hex(8)}"
        try:
            try:
                make(parent, new)
                os.rename(new, path[-1], src_dir_fd=parent, dst_dir_fd=parent)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(new, dir_fd=parent)
        except IsADirectoryError:
            raise Unacceptable(f"{path[-1]!r} is there and is a directory: a file cannot take its place") from None
        finally:
            os.close(parent)

    def _file(self, parent: int, name: str, tar: tarfile.TarFile, info: tarfile.TarInfo) -> None:
        source = tar.fileobj
        if source is None:
            raise Unacceptable("the archive is not open")
        source.seek(info.offset_data)
        descriptor = os.open(name, NEW, 0o600, dir_fd=parent)
        try:
            segments: Any = info.sparse or [(0, info.size)]  # as tarfile.makefile() has it
            for offset, size in segments:
                os.lseek(descriptor, offset, os.SEEK_SET)
                self._content(source, descriptor, size)
            os.ftruncate(descriptor, info.size)
            self._finish(descriptor, info)
        finally:
            os.close(descriptor)

    def _content(self, source: Stream, descriptor: int, size: int) -> None:
        while size:
            data = source.read(min(size, PIECE))
            if not data:
                raise Unacceptable("the archive is cut off")
            size -= len(data)
            self.received += len(data)
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]

    def _link(self, parent: int, name: str, info: tarfile.TarInfo) -> None:
        """To a file that has come before, and no other."""
        target = self._moved(_path(info.linkname))
        if target not in self._files:
            raise Unacceptable(f"the archive has a hard link to {info.linkname!r}, which it does not have")
        source = self._parent(target)
        try:
            os.link(target[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(source)

    def _finish_directories(self) -> None:
        for path, info in sorted(self._directories.items(), key=lambda item: -len(item[0])):
            parent = self._parent(path)
            opened = self._open(parent, path[-1])
            try:
                self._finish(opened, info)
            finally:
                os.close(opened)
                os.close(parent)

    def _finish(self, descriptor: int, info: tarfile.TarInfo) -> None:
        if self._keep:
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, info.uid, info.gid)
        mode = stat.S_IMODE(info.mode) & MODES & ~self._umask
        os.fchmod(descriptor, mode)
        with contextlib.suppress(OverflowError, ValueError):  # a container's tmpfs takes any time, and utime() does not
            os.utime(descriptor, (info.mtime, info.mtime))


def _path(name: str) -> Path:
    """Its components; () is the top that is called a dot."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts or name.startswith("/") or "\0" in name:
        raise Unacceptable(f"the archive has a member {name!r}, which leads out of it")
    return parts


def _umask() -> int:
    """umask(2) can only be read by setting it."""
    found = os.umask(0o077)
    os.umask(found)
    return found
