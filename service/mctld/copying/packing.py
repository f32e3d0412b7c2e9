# SPDX-License-Identifier: GPL-3.0-or-later
"""What is at a path of the container's as a pax archive, files with holes as such (GNU tar's format 1.0).

Files are opened by name in an open directory, never through a link; what is no plain file is not opened at all.
"""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from typing import TYPE_CHECKING

from ..images.refusal import Refusal, shown
from ..kernel import constants as c
from ..kernel import files
from . import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEPTH = 256
SEGMENTS = 1 << 16  # of one file with holes
PIECE = 1 << 20
BLOCK = 512
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# linux/magic.h: what the kernel makes up is part of no copy, unless it is asked for itself
MADE_UP = {c.PROC_SUPER_MAGIC, c.SYSFS_MAGIC, c.CGROUP2_SUPER_MAGIC, c.DEVPTS_SUPER_MAGIC, c.MQUEUE_MAGIC}


class Packing:
    def __init__(self, root: int, write: Callable[[bytes], object]) -> None:
        self._root = root
        self._write = write
        self._seen: dict[tuple[int, int], str] = {}  # files with several names
        self.left_out = 0  # sockets

    def run(self, path: str, *, follow: bool) -> None:
        """The archive has one top: what the path's last name is, or . where the path ends with /. or is the root."""
        asked = os.fsencode(path)
        name = os.path.basename(asked.rstrip(b"/"))
        if asked.endswith(b"/") or name in (b"", b".", b".."):
            self._whole_directory(asked, name if name not in (b"", b".", b"..") else b".")
        else:
            self._named(asked, name, follow=follow)
        self._write(bytes(2 * BLOCK))

    def _whole_directory(self, asked: bytes, name: bytes) -> None:
        found = place.directory(self._root, asked)
        if found is None:
            raise Refusal(f"there is no directory {shown(asked)} in the container")
        opened = os.open(".", DIRECTORY, dir_fd=found)
        os.close(found)
        self._directory(opened, os.fsdecode(name), asked=True)

    def _named(self, asked: bytes, name: bytes, *, follow: bool) -> None:
        found = place.settle(self._root, asked, follow=follow) if not self._is_directory(asked, follow=follow) else None
        if found is None:
            return self._whole_directory(asked, name)
        if found.there is None:
            raise Refusal(f"there is no {shown(asked)} in the container")
        self._member(found.parent, os.fsdecode(found.name), os.fsdecode(name), depth=0)
        os.close(found.parent)
        return None

    def _is_directory(self, asked: bytes, *, follow: bool) -> bool:
        """Or, with `follow`, a link to one."""
        found = place.directory(self._root, asked)
        if found is None:
            return False
        os.close(found)
        return follow or not _is_link(self._root, asked)

    def _member(self, parent: int, name: str, path: str, depth: int) -> None:
        there = os.stat(name, dir_fd=parent, follow_symlinks=False)
        kind = stat.S_IFMT(there.st_mode)
        if kind == stat.S_IFDIR:
            self._directory(os.open(name, DIRECTORY, dir_fd=parent), path, depth=depth)
        elif kind == stat.S_IFREG:
            self._file(os.open(name, FILE, dir_fd=parent), path)
        elif kind == stat.S_IFSOCK:
            self.left_out += 1  # tar has none
        else:
            info = _info(path, there)
            if kind == stat.S_IFLNK:
                info.type, info.linkname = tarfile.SYMTYPE, os.readlink(name, dir_fd=parent)
            elif kind == stat.S_IFIFO:
                info.type = tarfile.FIFOTYPE
            else:
                info.type = tarfile.CHRTYPE if kind == stat.S_IFCHR else tarfile.BLKTYPE
                info.devmajor, info.devminor = os.major(there.st_rdev), os.minor(there.st_rdev)
            self._header(info)

    def _directory(self, opened: int, path: str, *, depth: int = 0, asked: bool = False) -> None:
        """Closes it."""
        try:
            if depth > DEPTH:
                raise Refusal(f"{shown(os.fsencode(path))} lies deeper than {DEPTH} directories")
            info = _info(path, os.fstat(opened))
            info.type = tarfile.DIRTYPE
            self._header(info)
            if not asked and files.filesystem_type(opened) in MADE_UP:
                return
            for name in sorted(os.listdir(opened)):
                try:
                    self._member(opened, name, f"{path}/{name}", depth + 1)
                except (FileNotFoundError, NotADirectoryError):  # gone meanwhile, or something else now
                    continue
                except OSError as error:
                    if error.errno not in (errno.ELOOP, errno.ENXIO):  # it has become a link, or a FIFO, meanwhile
                        raise
        finally:
            os.close(opened)

    def _file(self, opened: int, path: str) -> None:
        """Closes it."""
        try:
            there = os.fstat(opened)
            if not stat.S_ISREG(there.st_mode):  # something else was put there meanwhile
                self.left_out += 1
                return
            info, key = _info(path, there), (there.st_dev, there.st_ino)
            if there.st_nlink > 1:
                if key in self._seen:
                    info.type, info.linkname = tarfile.LNKTYPE, self._seen[key]
                    self._header(info)
                    return
                self._seen[key] = path
            self._content(opened, info, there)
        finally:
            os.close(opened)

    def _content(self, opened: int, info: tarfile.TarInfo, there: os.stat_result) -> None:
        has_holes = there.st_blocks * BLOCK < there.st_size
        segments = list(_segments(opened, there.st_size)) if has_holes else [(0, there.st_size)]
        sparse = has_holes and len(segments) <= SEGMENTS
        if not sparse:
            segments = [(0, there.st_size)]
        stored = sum(size for _, size in segments)
        table = _sparse_map(info, segments) if sparse else b""
        info.size = len(table) + stored
        self._header(info)
        self._write(table)
        for offset, size in segments:
            self._copy(opened, offset, size)
        self._write(bytes(-stored % BLOCK))

    def _copy(self, opened: int, offset: int, size: int) -> None:
        """A file that has become shorter goes on as zeros: its size has been said."""
        while size:
            data = os.pread(opened, min(size, PIECE), offset) or bytes(min(size, PIECE))
            self._write(data)
            offset, size = offset + len(data), size - len(data)

    def _header(self, info: tarfile.TarInfo) -> None:
        self._write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))


def _info(path: str, there: os.stat_result) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.mode, info.uid, info.gid = stat.S_IMODE(there.st_mode), there.st_uid, there.st_gid
    info.mtime = int(there.st_mtime)
    return info


def _is_link(root: int, path: bytes) -> bool:
    found = place.settle(root, path, follow=False)
    os.close(found.parent)
    return found.there is not None and stat.S_ISLNK(found.there.st_mode)


def _segments(opened: int, size: int) -> Iterator[tuple[int, int]]:
    """lseek(2), SEEK_DATA. The last one is empty and says where the file ends."""
    at = 0
    while at < size:
        try:
            begin = os.lseek(opened, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break
        at = min(os.lseek(opened, begin, os.SEEK_HOLE), size)
        if begin < at:
            yield begin, at - begin
    yield size, 0


def _sparse_map(info: tarfile.TarInfo, segments: list[tuple[int, int]]) -> bytes:
    """https://www.gnu.org/software/tar/manual/html_section/Sparse-Formats.html, PAX Format, Version 1.0"""
    directory, name = os.path.split(info.name)
    realsize = segments[-1][0]
    info.pax_headers = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0",
        "GNU.sparse.name": info.name, "GNU.sparse.realsize": str(realsize),
    }  # fmt: skip
    info.name = os.path.join(directory, "GNUSparseFile.0", name)
    table = "".join(f"{number}\n" for number in (len(segments), *(n for pair in segments for n in pair))).encode()
    return table + bytes(-len(table) % BLOCK)
