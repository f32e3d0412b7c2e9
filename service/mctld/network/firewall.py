# SPDX-License-Identifier: GPL-3.0-or-later
"""Our one table of nftables, through libnftables-json(5)'s library. Nobody else's rules are read or touched."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from nftables import Nftables

from . import ruleset

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .ruleset import Publication, Ruleset


class Firewall:
    """Blocking; made for threads. Opened in the host's network namespace, it stays there."""

    def __init__(self) -> None:
        self._nft = Nftables()
        self._lock = threading.Lock()

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

    def take_down(self) -> None:
        self._do(f"add table {ruleset.TABLE}\ndelete table {ruleset.TABLE}")

    def _do(self, commands: str) -> str:
        with self._lock:
            status, output, error = self._nft.cmd(commands)
        if status:
            raise OSError(0, f"nftables: {error.strip().splitlines()[0] if error else 'no reason given'}")
        return str(output)
