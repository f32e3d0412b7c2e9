# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled filters, kept: to compile one takes some 20 ms, to hand one out again next to nothing."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from collections import OrderedDict
from typing import TYPE_CHECKING

from ...kernel import constants
from . import shelf
from .profiles import BUILT_IN, UNCONFINED, resolve

if TYPE_CHECKING:
    from .profile import Profile

log = logging.getLogger(__name__)

HELD_MAX = 32


class Filters:
    """Each filter is held in sealed memory that any number of starts may read, and lies in a file for the next mctld.

    The directory is on a tmpfs, root's alone; a file there begins with a digest.
    """

    def __init__(self, directory: str) -> None:
        self._shelf = shelf.Shelf(directory)
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
        self._held[key] = shelf.sealed(code)
        while len(self._held) > HELD_MAX:
            os.close(self._held.popitem(last=False)[1])

    def _program(self, profile: str, capabilities: frozenset[str]) -> bytes:
        """In a thread. The binding of libseccomp is loaded here and not at the service's start."""
        from . import program, worker

        rules = resolve(profile, capabilities, self._machine)
        assert rules is not None
        name = _name(rules, program.FORMAT, shelf.library_version())
        code = self._shelf.load(name)
        if code is None:
            log.debug("libseccomp %s does not know: %s", shelf.library_version(), " ".join(program.unknown(rules)))
            apart = profile not in BUILT_IN
            code = worker.compile_apart(profile, capabilities) if apart else program.compile_profile(rules)
            with contextlib.suppress(OSError):  # a full tmpfs costs the next mctld some milliseconds
                self._shelf.save(name, code)
        return code


def _name(rules: Profile, *versions: object) -> str:
    return hashlib.sha256(repr((rules, versions)).encode()).hexdigest()
