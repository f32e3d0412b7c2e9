# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that COPY and ADD may take: a directory, read with the caller's own rights, or a tar archive."""

from __future__ import annotations

import copy
import lzma
import os
import posixpath
import stat
import tarfile
import zlib
from typing import IO, TYPE_CHECKING

from ..failures import UsageError
from .ignore import FILES, Ignored, rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LINKS = 40
IGNORE_MAX = 1 << 20


class File:
    """`info` has its kind, mode, size, time and where a symbolic link leads; `open` is of files."""

    __slots__ = ("info", "open")

    def __init__(self, info: tarfile.TarInfo, opener: Callable[[], IO[bytes]] | None = None) -> None:
        self.info = info
        self.open = opener


class Context:
    """By path below the root, which is the empty one."""

    def __init__(self, files: dict[str, File]) -> None:
        self._files = files

    def text(self, path: str, most: int) -> str | None:
        found = self._files.get(self._followed(posixpath.normpath(path).lstrip("/")))
        if found is None or found.open is None:
            return None
        with found.open() as file:
            return file.read(most).decode("utf-8", "replace")

    def matching(self, pattern: str) -> list[str]:
        """What a source of COPY means: it cannot lead out."""
        wanted = posixpath.normpath("/" + pattern).lstrip("/")
        if followed := self._followed(wanted):
            wanted = followed if followed in self._files else wanted
        if wanted in ("", *self._files):
            return [wanted]
        wild = rule(wanted)
        return sorted(path for path in self._files if path and wild.match(path))

    def is_directory(self, path: str) -> bool:
        return path == "" or self._files[path].info.isdir()

    def below(self, path: str) -> Iterator[tuple[str, File]]:
        """All in a directory, by names relative to it; of a file, that alone under its own name."""
        if not self.is_directory(path):
            yield posixpath.basename(path), self._files[path]
            return
        prefix = f"{path}/" if path else ""
        for name in sorted(self._files):
            if name.startswith(prefix) and name not in ("", path):
                yield name[len(prefix) :], self._files[name]

    def _followed(self, path: str) -> str:
        for _ in range(LINKS):
            found = self._files.get(path)
            if found is None or not found.info.issym():
                return path
            leads = posixpath.join("/", posixpath.dirname(path), found.info.linkname)
            path = posixpath.normpath(leads).lstrip("/")
        return path


def of_directory(root: str) -> Context:
    """Whoever may write there may change it meanwhile: no link is followed, and what is read is what was found."""
    found: dict[str, File] = {}
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    ignored = Ignored(next((t for name in FILES if (t := _text(top, name, IGNORE_MAX)) is not None), ""))
    for place, directories, names, descriptor in os.fwalk(".", onerror=_unreadable, dir_fd=top):
        above = os.path.normpath(place)
        for name in sorted([*directories, *names]):
            path = name if above == "." else f"{above}/{name}"
            if ignored(path):
                if name in directories and not ignored.has_exceptions:
                    directories.remove(name)  # nothing below can be wanted
                continue
            try:
                file = _of_entry(top, descriptor, name, path)
            except OSError as error:
                raise UsageError(f"the context cannot be read: {path}: {error.strerror}") from None
            if file:
                found[path] = file
    return Context(found)


def of_archive(archive: IO[bytes], name: str = "the context on standard input") -> Context:
    """`archive` must be one that can be read anywhere."""
    try:
        tar = tarfile.open(fileobj=archive, mode="r:*")  # noqa: SIM115 (its members are read later)
        members = tar.getmembers()
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise UsageError(f"{name} is no tar archive, or is damaged: {error}") from None
    found: dict[str, File] = {}
    for member in members:
        path = posixpath.normpath("/" + member.name).lstrip("/")
        found[path] = _of_member(tar, member)
    return Context(_without(found))


def _without(files: dict[str, File]) -> dict[str, File]:
    text = next((t for name in FILES if (t := Context(files).text(name, IGNORE_MAX)) is not None), "")
    ignored = Ignored(text)
    return {path: file for path, file in files.items() if not ignored(path)}


def _of_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> File:
    def opener() -> IO[bytes]:
        opened = tar.extractfile(member)
        if opened is None:
            raise UsageError(f"{member.name!r} cannot be read from the context")
        return opened

    if not (member.isfile() or member.islnk()):
        return File(member)
    info = copy.copy(member)
    info.size = _linked(tar, member).size
    return File(info, opener)


def _linked(tar: tarfile.TarFile, member: tarfile.TarInfo) -> tarfile.TarInfo:
    try:
        return tar.getmember(member.linkname) if member.islnk() else member
    except KeyError:
        raise UsageError(f"{member.name!r} in the archive is a hard link to something that is not there") from None


def _of_entry(top: int, directory: int, name: str, path: str) -> File | None:
    """None: a socket, a device; docker leaves them out too."""
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    info = tarfile.TarInfo()
    info.mode, info.mtime = stat.S_IMODE(status.st_mode), int(status.st_mtime)
    if stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(name, dir_fd=directory)
    elif stat.S_ISREG(status.st_mode):
        info.size = status.st_size
        return File(info, lambda: _opened(top, path, status))
    else:
        return None
    return File(info)


def _opened(top: int, path: str, status: os.stat_result) -> IO[bytes]:
    """The file that was found there before. Raises UsageError if it is another one, OSError."""
    *directories, name = path.split("/")
    place = os.dup(top)
    try:
        for directory in directories:
            below = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
            os.close(place)
            place = below
        # not to wait for a FIFO that has come in its place
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
    finally:
        os.close(place)
    found = os.fstat(file)
    if (found.st_dev, found.st_ino, stat.S_IFMT(found.st_mode)) != (status.st_dev, status.st_ino, stat.S_IFREG):
        os.close(file)
        raise UsageError(f"{path!r} in the context is another file now: somebody changes it while it is read")
    return open(file, "rb")


def text_inside(root: str, path: str, most: int) -> str | None:
    """Of a file there, or one there that links lead to: a stranger's links must show nothing else of the caller's.
    None where there is none. Raises UsageError."""
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _text(top, posixpath.normpath(f"/{path}").lstrip("/"), most)
    finally:
        os.close(top)


def _text(top: int, path: str, most: int) -> str | None:
    try:
        for _ in range(LINKS):
            status = os.stat(path, dir_fd=top, follow_symlinks=False)
            if not stat.S_ISLNK(status.st_mode):
                break
            leads = posixpath.join("/", posixpath.dirname(path), os.readlink(path, dir_fd=top))
            path = posixpath.normpath(leads).lstrip("/") or "."
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path!r} in the context is no plain file")
        with _opened(top, path, status) as file:
            return file.read(most).decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path!r} in the context cannot be read: {error.strerror}") from None


def _unreadable(error: OSError) -> None:
    raise UsageError(f"the context cannot be read: {error.filename}: {error.strerror}")
