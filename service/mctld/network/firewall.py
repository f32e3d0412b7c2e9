# SPDX-License-Identifier: GPL-3.0-or-later
"""Our one table of nftables, through libnftables-json(5)'s library. Nobody else's rules are read or touched."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from nftables import Nftables

from ..kernel import process
from . import ruleset

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .ruleset import Publication, Ruleset


STANDARD_STREAMS = 3

_own = threading.local()


class _Context(Nftables):  # type: ignore[misc]
    """Freed by the thread alone whose descriptors it has. Also a process that has our memory and shares the other
    threads' descriptors (kernel/expendable.py) would free its copy, and close one of theirs by its number.
    """

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_native_id()

    def __del__(self) -> None:
        if threading.get_native_id() == self._thread:
            super().__del__()


class Firewall:
    """Blocking; made for threads. Opened in the host's network namespace, it stays there.

    libnftables waits by select(2), and glibc ends a process that selects a descriptor above 1,023: with many
    containers ours are. So all its calls come from one thread, whose descriptors are its own and few.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "firewall")
        self._thread.submit(_open).result()

    def replace(self, wanted: Ruleset) -> None:
        """In one transaction: no packet sees anything between the old rules and the new."""
        self._do(str(wanted))

    def add(self, publications: Iterable[Publication], wanted: Ruleset) -> None:
        """If the table is not what it should be, it becomes all of `wanted`."""
        self._change(ruleset.adding(publications), wanted)

    def remove(self, publications: Iterable[Publication], wanted: Ruleset) -> None:
        self._change(ruleset.removing(publications), wanted)

    def _change(self, commands: str, wanted: Ruleset) -> None:
        if not commands:
            return
        try:
            self._do(commands)
        except OSError:
            self.replace(wanted)

    def is_present(self) -> bool:
        return f"table {ruleset.TABLE}\n" in self._do("list tables inet")

    def _do(self, commands: str) -> str:
        status, output, error = self._thread.submit(_command, commands).result()
        if status:
            raise OSError(0, f"nftables: {error.strip().splitlines()[0] if error else 'no reason given'}")
        return output


def _open() -> None:
    process.leave_descriptors(STANDARD_STREAMS)
    _own.nft = _Context()


def _command(commands: str) -> tuple[int, str, str]:
    """Not while Python looks for cycles: it does so in whichever thread is at work, and what it ends here, as a socket
    of ours that nobody has closed, would be closed by its number in this thread's table, not in the one where it is.
    """
    gc.disable()
    try:
        status, output, error = _own.nft.cmd(commands)
        return status, str(output), str(error)
    finally:
        gc.enable()
