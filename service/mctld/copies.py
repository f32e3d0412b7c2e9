# SPDX-License-Identifier: GPL-3.0-or-later
"""What the database says, once more as small files, each replaced as a whole: from them it can be built anew.

Rows as they are, by the names of their columns: a table that gets more columns needs nothing here. A container's file
lies beside its upper directory and holds all that it needs; networks and images are in one file together.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAME = "record.json"
CATALOG = "catalog.json"

# In the order in which they refer to each other.
_CONTAINER = {
    "layer": "SELECT layer.* FROM layer JOIN container_layer ON layer = diff_id WHERE container = ?",
    "network": "SELECT network.* FROM network JOIN lease ON lease.network = network.name WHERE container = ?",
    "container": "SELECT * FROM container WHERE id = ?",
    "lease": "SELECT * FROM lease WHERE container = ?",
    "container_layer": "SELECT * FROM container_layer WHERE container = ?",
}
_COMMON = {table: f"SELECT * FROM {table}" for table in ("layer", "network", "image", "image_layer", "image_name")}
_SHARED = ("layer", "network")  # several containers have the same


class Copies:
    """Works on the store's connection."""

    def __init__(self, database: sqlite3.Connection, directory: str) -> None:
        self._database = database
        self._containers = f"{directory}/containers"
        self._catalog = f"{directory}/{CATALOG}"

    # What is written

    def keep(self, identity: str) -> None:
        """Of a container, as it is now; before the transaction ends: a crash then leaves both, or the copy."""
        directory = f"{self._containers}/{identity}"
        os.makedirs(directory, 0o700, exist_ok=True)
        _replace(f"{directory}/{NAME}", self._rows(_CONTAINER, identity))

    def places(self, identity: str) -> tuple[str, ...]:
        """Of a container: what has to be on the disk for its copy to be there, or not to be."""
        directory = f"{self._containers}/{identity}"
        return f"{directory}/{NAME}", directory, self._containers

    def drop(self, identity: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._containers}/{identity}/{NAME}")

    def discard(self, identity: str) -> None:
        """Of a container that has not come into being."""
        with contextlib.suppress(OSError):
            self.drop(identity)
            os.rmdir(f"{self._containers}/{identity}")

    def keep_catalog(self) -> None:
        _replace(self._catalog, self._rows(_COMMON))

    def keep_missing(self) -> None:
        """Of what was stored before there were copies, and of what was written when the power was lost."""
        for (identity,) in self._database.execute("SELECT id FROM container").fetchall():
            if not self._length(identity):
                self.keep(identity)
        if not self.has_catalog():
            self.keep_catalog()

    def _rows(self, queries: Mapping[str, str], *key: str) -> dict[str, list[dict[str, Any]]]:
        found = {}
        for table, query in queries.items():
            cursor = self._database.execute(query, key)
            names = [column[0] for column in cursor.description]
            found[table] = [dict(zip(names, row, strict=True)) for row in cursor]
        return found

    # What is read back

    def kept(self) -> dict[str, int | None]:
        """The containers that have a directory, and how long the file in it is, if there is one.

        Empty it is where the power was lost soon after it was first written: it is not settled at once.
        """
        try:
            names = os.listdir(self._containers)
        except FileNotFoundError:
            return {}
        return {name: self._length(name) for name in names}

    def _length(self, identity: str) -> int | None:
        try:
            return os.stat(f"{self._containers}/{identity}/{NAME}").st_size
        except OSError:
            return None

    def has_catalog(self) -> bool:
        return os.path.exists(self._catalog)

    def restore(self, identity: str) -> None:
        """A container with all that it refers to. ValueError says why it cannot be had back."""
        self._insert(f"{self._containers}/{identity}/{NAME}", _CONTAINER)

    def restore_catalog(self) -> None:
        self._insert(self._catalog, _COMMON)

    def owner_of_files(self, identity: str) -> int:
        """Whose the root directory of its upper layer is, 0 if there is none."""
        try:
            return os.stat(f"{self._containers}/{identity}/upper").st_uid
        except OSError:
            return 0

    def _insert(self, path: str, tables: Iterable[str]) -> None:
        try:
            with open(path, encoding="utf-8") as file:
                found = json.load(file)
            self._database.execute("BEGIN IMMEDIATE")
            try:
                for table in tables:
                    for row in found[table]:
                        self._insert_row(table, row)
                self._database.execute("COMMIT")
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError, sqlite3.Error) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error

    def _insert_row(self, table: str, row: dict[str, Any]) -> None:
        """In a table of several owners, what is there already is the same."""
        known = {column[1] for column in self._database.execute(f"PRAGMA table_info({table})")}
        if unknown := row.keys() - known:
            raise ValueError(f"{', '.join(sorted(unknown))} of {table} is of another version")
        verb = "INSERT OR IGNORE" if table in _SHARED else "INSERT"
        marks = ", ".join("?" * len(row))
        self._database.execute(f"{verb} INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


def _replace(path: str, document: object) -> None:
    made = f"{path}.new"
    try:
        with open(made, "w", encoding="utf-8") as file:
            file.write(json.dumps(document, separators=(",", ":")))  # json.dump() is written in Python
        os.rename(made, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(made)
        raise
