# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled filters, kept: to compile one takes some 20 ms, to hand one out again next to nothing."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import stat
from collections import OrderedDict
from typing import TYPE_CHECKING

from ...kernel import constants
from .profiles import BUILT_IN, UNCONFINED, resolve

if TYPE_CHECKING:
    from .profile import Profile

log = logging.getLogger(__name__)

HELD_MAX = 32
FILES_MAX = 64
_DIGEST = 32  # bytes of SHA-256
_SIZE_MAX = 4096 * 8  # BPF_MAXINSNS times struct sock_filter
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Filters:
    """Each filter is held in sealed memory that any number of starts may read, and lies in a file for the next mctld.

    The directory is on a tmpfs, root's alone; a file there begins with a digest.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._machine = constants.MACHINE
        self._held: OrderedDict[tuple[bytes, frozenset[str]], int] = OrderedDict()
        self._making = {True: asyncio.Lock(), False: asyncio.Lock()}

    async def open(self, profile: str, capabilities: frozenset[str]) -> int | None:
        """A descriptor of the compiled program, which the caller closes; None for an unconfined payload.

        profile: "default", "strict", "unconfined", or the text of an OCI profile. capabilities: without CAP_.
        InvalidArgs if there is no such profile.
        """
        if profile == UNCONFINED:
            return None
        key = (hashlib.sha256(profile.encode(errors="surrogatepass")).digest(), capabilities)
        if key not in self._held:
            async with self._making[profile in BUILT_IN]:  # what many ask for at once is made once
                if key not in self._held:
                    self._hold(key, await asyncio.to_thread(self._program, profile, capabilities))
        self._held.move_to_end(key)
        return os.dup(self._held[key])

    def close(self) -> None:
        while self._held:
            os.close(self._held.popitem()[1])

    def _hold(self, key: tuple[bytes, frozenset[str]], code: bytes) -> None:
        self._held[key] = _sealed(code)
        while len(self._held) > HELD_MAX:
            os.close(self._held.popitem(last=False)[1])

    def _program(self, profile: str, capabilities: frozenset[str]) -> bytes:
        """In a thread. The binding of libseccomp is loaded here and not at the service's start."""
        from . import program, worker

        rules = resolve(profile, capabilities, self._machine)
        assert rules is not None
        name = _name(rules, program.FORMAT, program.library_version())
        code = self._load(name)
        if code is None:
            log.debug("libseccomp %s does not know: %s", program.library_version(), " ".join(program.unknown(rules)))
            apart = profile not in BUILT_IN
            code = worker.compile_apart(profile, capabilities) if apart else program.compile_profile(rules)
            with contextlib.suppress(OSError):  # a full tmpfs costs the next mctld some milliseconds
                self._save(name, code)
        return code

    def _load(self, name: str) -> bytes | None:
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

    def _save(self, name: str, code: bytes) -> None:
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


def _name(rules: Profile, *versions: object) -> str:
    return hashlib.sha256(repr((rules, versions)).encode()).hexdigest()


def _digest(name: str, code: bytes) -> bytes:
    """Of both: one filter under the name of another is damage too."""
    return hashlib.sha256(name.encode() + code).digest()


def _sealed(code: bytes) -> int:
    memory = os.memfd_create("seccomp", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(memory, code)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
    return memory
