# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory that becomes the files of a layer, in overlayfs's form; nothing an archive says leads out of it.

Each parent is opened by openat2(2) from the root, below it and through no symbolic link; what is made is made by a
name without slash in that open parent, and is new: an older file of that name is moved aside first.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from typing import TYPE_CHECKING

from ..kernel import files
from . import bounds
from .refusal import Refusal, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from .entry import Entry

Path = tuple[bytes, ...]
PARENTS = 64  # held open
IMPLIED = 0o755  # directories that the archive does not name
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def joined(path: Path) -> bytes:
    return b"/".join(path)


class Tree:
    """`root` and `replaced` are open directories; `moved` is told what went from which path to which number."""

    def __init__(self, root: int, replaced: int, moved: Callable[[bytes, int], None]) -> None:
        self._root = root
        self._replaced = replaced
        self._moved = moved
        self._moves = self._directory_moves = 0
        self._parents: OrderedDict[Path, int] = OrderedDict()
        self._directories: dict[Path, Entry] = {}
        self.opaque: dict[Path, None] = {}
        self.implied: dict[Path, None] = {}  # made because something is below them
        self.dropped_devices = 0

    # What archives ask for

    def directory(self, entry: Entry) -> None:
        """Its owner, mode and times are set at the end: until then things are made in it."""
        if entry.path:
            self._make_directory(self.parent(entry.path), entry.path, replace=True)
            self.implied.pop(entry.path, None)
        self._directories[entry.path] = entry

    def file(self, entry: Entry) -> int:
        """An empty file, open for writing; finish() comes next."""
        path = entry.path
        if path:
            try:  # mostly nothing is there
                return os.open(path[-1], NEW_FILE, 0o600, dir_fd=self.parent(path))
            except FileExistsError:
                pass
        parent, name = self._vacant(path)
        return os.open(name, NEW_FILE, 0o600, dir_fd=parent)

    def finish(self, descriptor: int, entry: Entry) -> None:
        if entry.uid or entry.gid:
            os.fchown(descriptor, entry.uid, entry.gid)
        os.fchmod(descriptor, entry.mode)  # after chown(2), which takes set-user-ID away
        _set_xattrs(descriptor, entry)
        os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))

    def symlink(self, entry: Entry) -> None:
        parent, name = self._vacant(entry.path)
        os.symlink(entry.points_to, name, dir_fd=parent)
        self._own(parent, name, entry)

    def fifo(self, entry: Entry) -> None:
        parent, name = self._vacant(entry.path)
        os.mkfifo(name, 0o600, dir_fd=parent)
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.fchown(descriptor, entry.uid, entry.gid)
            os.fchmod(descriptor, entry.mode)
            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(descriptor)

    def link(self, entry: Entry) -> None:
        """To a file of this layer that is there already, or to a symbolic link itself: linkat(2) follows none."""
        if entry.path == entry.target:
            raise Refusal(f"{shown(joined(entry.path))} is a hard link to itself")
        there = self._existing(self.parent(entry.target), entry.target)
        if there is None or not (stat.S_ISREG(there.st_mode) or stat.S_ISLNK(there.st_mode)):
            what = "is not there" if there is None else "is no file"
            target = shown(joined(entry.target))
            raise Refusal(f"{shown(joined(entry.path))} is a hard link to {target}, which {what} in the layer")
        parent, name = self._vacant(entry.path)
        source = self.parent(entry.target)
        try:
            os.link(entry.target[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except (FileNotFoundError, FileExistsError):
            raise Refusal(f"{shown(joined(entry.path))} takes the place of what it is a hard link to") from None

    def drop_device(self, entry: Entry) -> None:
        """Containers get their devices from the service. A path that it would lead through is checked all the same."""
        self.parent(entry.path)
        self.dropped_devices += 1

    def hide(self, path: Path) -> None:
        """A whiteout: what lower layers have at `path` is gone. What this layer has there stays, but alone."""
        parent = self.parent(path)
        there = self._existing(parent, path)
        if there is None:
            os.mknod(path[-1], stat.S_IFCHR, 0, dir_fd=parent)
        elif stat.S_ISDIR(there.st_mode):
            self.opaque[path] = None

    def hide_all_below(self, path: Path) -> None:
        self.parent((*path, b"-"))
        self.opaque[path] = None

    def close(self) -> None:
        """The last word on directories, the deepest first."""
        for path, entry in sorted(self._directories.items(), key=lambda item: -len(item[0])):
            try:
                descriptor = self._open(path, os.O_RDONLY | os.O_DIRECTORY)
            except (FileNotFoundError, NotADirectoryError):
                continue  # something else has taken its place
            try:
                os.fchown(descriptor, entry.uid, entry.gid)
                os.fchmod(descriptor, entry.mode)
                _set_xattrs(descriptor, entry)
                os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
            finally:
                os.close(descriptor)
        self._forget_parents()

    @property
    def has_root(self) -> bool:
        """The archive says what the root directory itself is like."""
        return () in self._directories

    # Inside

    def parent(self, path: Path) -> int:
        """The open directory above `path`, made if it is missing. It stays ours."""
        above = path[:-1]
        if not above:
            return self._root
        if above in self._parents:
            self._parents.move_to_end(above)
            return self._parents[above]
        try:
            found = self._open(above, os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            if not self._make_directory(self.parent(above), above, replace=False):
                self.implied[above] = None
            found = self._open(above, os.O_PATH | os.O_DIRECTORY)
        self._parents[above] = found
        if len(self._parents) > PARENTS:
            os.close(self._parents.popitem(last=False)[1])
        return found

    def _open(self, path: Path, flags: int) -> int:
        return files.open_beneath(self._root, joined(path) or b".", flags | os.O_NOFOLLOW)

    def _make_directory(self, parent: int, path: Path, *, replace: bool) -> bool:
        """Whatever else has the name gives way if the archive names the directory itself, else only a whiteout does.

        Whether a whiteout did: lower layers have nothing there then.
        """
        try:
            os.mkdir(path[-1], IMPLIED, dir_fd=parent)
            return False
        except FileExistsError:
            there = self._existing(parent, path)
        if there is None or stat.S_ISDIR(there.st_mode):
            return False
        hidden = _is_whiteout(there)
        if not (hidden or replace):
            raise Refusal(f"a path of the archive leads through {shown(joined(path))}, which is no directory")
        self._remove(parent, path, there)
        os.mkdir(path[-1], IMPLIED, dir_fd=parent)
        if hidden:
            self.opaque[path] = None
        return hidden

    def _remove(self, parent: int, path: Path, there: os.stat_result) -> None:
        """What has content goes aside, so that the archive can be put together again."""
        self.opaque.pop(path, None)
        if not (stat.S_ISREG(there.st_mode) or stat.S_ISDIR(there.st_mode)):
            os.unlink(path[-1], dir_fd=parent)
            return
        if stat.S_ISDIR(there.st_mode):
            self._directory_moves += 1
            if self._directory_moves > bounds.REPLACED_DIRECTORIES:
                raise Refusal(f"the archive replaces more than {bounds.REPLACED_DIRECTORIES} directories of its own")
            self._forget_parents()
            self._forget_below(path)
            parent = self.parent(path)
        os.rename(path[-1], b"%d" % self._moves, src_dir_fd=parent, dst_dir_fd=self._replaced)
        self._moved(joined(path), self._moves)
        self._moves += 1

    def _forget_below(self, path: Path) -> None:
        depth = len(path)
        self.opaque = {found: None for found in self.opaque if found[:depth] != path}
        self.implied = {found: None for found in self.implied if found[:depth] != path}
        self._directories = {found: entry for found, entry in self._directories.items() if found[:depth] != path}

    def _forget_parents(self) -> None:
        while self._parents:
            os.close(self._parents.popitem()[1])

    def _vacant(self, path: Path) -> tuple[int, bytes]:
        """The open parent and the name, where nothing is now."""
        if not path:
            raise Refusal("the archive has a root that is no directory")
        parent = self.parent(path)
        there = self._existing(parent, path)
        if there is not None:
            self._remove(parent, path, there)
            parent = self.parent(path)
        return parent, path[-1]

    def _existing(self, parent: int, path: Path) -> os.stat_result | None:
        try:
            return os.stat(path[-1], dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _own(self, parent: int, name: bytes, entry: Entry) -> None:
        os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)


def _is_whiteout(there: os.stat_result) -> bool:
    return stat.S_ISCHR(there.st_mode) and there.st_rdev == 0


def _set_xattrs(descriptor: int, entry: Entry) -> None:
    for name, value in entry.xattrs:
        try:
            os.setxattr(descriptor, name, value)
        except OSError as error:
            if error.errno in (errno.ENOTSUP, errno.EINVAL, errno.EPERM):
                raise Refusal(
                    f"the extended attribute {name!r} of {shown(joined(entry.path))} cannot be set: {error.strerror}"
                ) from None
            raise
