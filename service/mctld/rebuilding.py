# SPDX-License-Identifier: GPL-3.0-or-later
"""What the database has lost, put back: from the copies, and where there is none, from what can be seen."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from .encoding import lost

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

    from .copies import Copies
    from .ids import Ids
    from .unreadable import Witness

_IDENTITY = re.compile(r"[0-9a-f]{32}")
NO_COPY = "the database was lost, and there is no copy beside its files"


class Rebuilding:
    """`witnesses` are asked only where something is missing. `told`: sentences on what was done. `restored`: ids."""

    def __init__(
        self, database: sqlite3.Connection, copies: Copies, ids: Ids, witnesses: Callable[[], Mapping[str, Witness]]
    ) -> None:
        self._database = database
        self._copies = copies
        self._ids = ids
        self._witnesses = witnesses
        self.told: list[str] = []
        self.restored: set[str] = set()

    def complete(self, *, new: bool) -> None:
        """Copies without a row are put back always; a row can be lost without damage, with a part of the log.

        What has neither is a leftover, unless it is older than copies are. So is what has an empty copy beside a
        database that is whole: neither had reached the disk, which takes a second (settlement.py).
        """
        known = self._known()
        found = {name: has for name, has in self._copies.kept().items() if _IDENTITY.fullmatch(name)}
        before_copies = new and not self._copies.has_catalog()
        if new and not before_copies:
            self._restore_catalog()
        missing: dict[str, str] = {}
        for identity in found.keys() - known:
            if found[identity] is not None:
                if fault := self._restore(identity):
                    missing[identity] = fault
            elif before_copies:
                missing[identity] = NO_COPY
        self._remember()
        witnesses = self._witnesses() if new or missing else {}
        if new:
            missing |= dict.fromkeys(witnesses.keys() - self._known() - missing.keys(), NO_COPY)
        for identity, fault in missing.items():
            if not (new or found[identity] or identity in witnesses):
                self.told.append(f"Container {identity} was being made when the host lost its power, and is gone")
            elif new or identity in witnesses or self._copies.owner_of_files(identity):
                self._stand_in(identity, fault, witnesses.get(identity))

    def _known(self) -> set[str]:
        return {identity for (identity,) in self._database.execute("SELECT id FROM container")}

    def _restore(self, identity: str) -> str:
        """Why it could not be, empty if it could."""
        try:
            self._copies.restore(identity)
        except ValueError as error:
            return f"neither the database has it nor can its copy be used: {error}"
        (name,) = self._database.execute("SELECT name FROM container WHERE id = ?", (identity,)).fetchone()
        self.restored.add(identity)
        self.told.append(f"Container {name} was missing in the database and is put back from its copy")
        return ""

    def _restore_catalog(self) -> None:
        try:
            self._copies.restore_catalog()
        except ValueError as error:
            self.told.append(f"Images and unused networks are lost, their copy cannot be used: {error}")

    def _remember(self) -> None:
        for (start,) in self._database.execute("SELECT uid_shift FROM container"):
            self._ids.remember(start)

    def _stand_in(self, identity: str, fault: str, witness: Witness | None) -> None:
        """So that it can be seen, stopped and removed: what it was made from and whose it was may not be known."""
        name = self._free_name(witness.name if witness else "", identity)
        owner = witness.owner_uid if witness else 0
        seen = witness.uid_shift if witness else self._copies.owner_of_files(identity)
        start = self._ids.containing(seen) or self._ids.choose()
        self._database.execute(
            "INSERT INTO container (id, name, owner_uid, uid_shift, created_usec, spec, state) VALUES (?,?,?,?,?,?,?)",
            (identity, name, owner, start, time.time_ns() // 1_000, lost(fault), "exited"),
        )
        self._ids.remember(start)
        self.restored.add(identity)

    def _free_name(self, wanted: str, identity: str) -> str:
        taken = self._database.execute("SELECT 1 FROM container WHERE name = ?", (wanted,)).fetchone()
        return wanted if wanted and not taken else f"unreadable-{identity}"
