# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image has where a tmpfs will lie, copied into it: the option tmpcopyup."""

from __future__ import annotations

import os
import stat

DEPTH_MAX = 100
CHUNK = 1 << 20


def copy(source: int, target: int, depth: int = 0) -> None:
    """From one open directory into another: directories, files and links, with owners and modes; nothing else.

    The image may be hostile: nothing is followed, and a device or a FIFO is not opened.
    """
    if depth > DEPTH_MAX:
        raise OSError(40, f"tmpcopyup: more than {DEPTH_MAX} directories deep")
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    reading = os.open(".", flags, dir_fd=source)
    writing = os.open(".", flags, dir_fd=target)  # both may be open with O_PATH alone
    try:
        if depth == 0:
            _like(writing, os.fstat(reading))
        for name in os.listdir(reading):
            _entry(reading, writing, name, depth)
    finally:
        os.close(reading)
        os.close(writing)


def _entry(source: int, target: int, name: str, depth: int) -> None:
    found = os.stat(name, dir_fd=source, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
    elif stat.S_ISDIR(found.st_mode):
        _directory(source, target, name, depth)
    elif stat.S_ISREG(found.st_mode):
        _file(source, target, name)


def _directory(source: int, target: int, name: str, depth: int) -> None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    inner = os.open(name, flags, dir_fd=source)
    try:
        os.mkdir(name, 0o700, dir_fd=target)
        made = os.open(name, flags, dir_fd=target)
        try:
            copy(inner, made, depth + 1)
            _like(made, os.fstat(inner))
        finally:
            os.close(made)
    finally:
        os.close(inner)


def _file(source: int, target: int, name: str) -> None:
    reading = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source)
    try:
        found = os.fstat(reading)
        if not stat.S_ISREG(found.st_mode):
            return
        writing = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
        try:
            while os.sendfile(writing, reading, None, CHUNK):
                pass
            _like(writing, found)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _like(target: int, found: os.stat_result) -> None:
    os.fchown(target, found.st_uid, found.st_gid)
    os.fchmod(target, stat.S_IMODE(found.st_mode))
