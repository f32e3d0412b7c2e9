# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled filters as files: on a tmpfs, root's alone, each beginning with a digest. Light: mctl-oci imports it."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import stat

FILES_MAX = 64
_DIGEST = 32  # bytes of SHA-256
_SIZE_MAX = 4096 * 8  # BPF_MAXINSNS times struct sock_filter
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Shelf:
    def __init__(self, directory: str) -> None:
        self._directory = directory

    def load(self, name: str) -> bytes | None:
        """None if it is not there, is not wholly ours, or is damaged."""
        path = f"{self._directory}/{name}"
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
                return None
            content = file.read(_DIGEST + _SIZE_MAX + 1)
        digest, code = content[:_DIGEST], content[_DIGEST:]
        if not code or _digest(name, code) != digest:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used again: not among the oldest
        return code

    def save(self, name: str, code: bytes) -> None:
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        made = f"{self._directory}/{name}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(made)
        with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(_digest(name, code) + code)
        os.rename(made, f"{self._directory}/{name}")
        self._prune()

    def _prune(self) -> None:
        with os.scandir(self._directory) as found:
            newest_first = sorted(found, key=lambda entry: entry.stat(follow_symlinks=False).st_mtime_ns, reverse=True)
        for entry in newest_first[FILES_MAX:]:
            os.unlink(entry.path)


def _digest(name: str, code: bytes) -> bytes:
    """Of both: one filter under the name of another is damage too."""
    return hashlib.sha256(name.encode() + code).digest()


def sealed(code: bytes) -> int:
    memory = os.memfd_create("seccomp", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(memory, code)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
    return memory


def library_version() -> str:
    """Another libseccomp knows other names."""
    version = ctypes.CDLL("libseccomp.so.2").seccomp_version
    version.restype = ctypes.POINTER(ctypes.c_uint * 3)
    return ".".join(str(part) for part in version().contents)
