# SPDX-License-Identifier: GPL-3.0-or-later
"""The only writer of /var/lib/mctl: one transaction a change, in SQLite."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from . import catalog, database, disk, leases
from .catalog import Catalog
from .copies import Copies
from .database import Damaged
from .encoding import LOST, decode, encode
from .errors import MctlError, NameTaken, NoSuchContainer, StoreFailed, Unreadable
from .image import ImageRoot
from .leases import Leases
from .networking import Fixed
from .rebuilding import Rebuilding
from .reserve import Reserve
from .settlement import Settlement
from .state import State
from .unreadable import read_or_stand_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from .ids import Ids
    from .networking import Network
    from .spec import Spec
    from .unreadable import Witness

log = logging.getLogger(__name__)
T = TypeVar("T")

_SCHEMA = """
CREATE TABLE container (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    owner_uid INTEGER NOT NULL,
    uid_shift INTEGER NOT NULL UNIQUE,
    created_usec INTEGER NOT NULL,
    spec TEXT NOT NULL,
    state TEXT NOT NULL,
    main_pid INTEGER NOT NULL DEFAULT 0,
    started_usec INTEGER NOT NULL DEFAULT 0,
    started_monotonic_usec INTEGER NOT NULL DEFAULT 0,
    exited_usec INTEGER NOT NULL DEFAULT 0,
    exited_monotonic_usec INTEGER NOT NULL DEFAULT 0,
    how TEXT NOT NULL DEFAULT '',
    status INTEGER NOT NULL DEFAULT 0
) STRICT;
"""
_SUPERVISION = """
ALTER TABLE container ADD COLUMN restarts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE container ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE container ADD COLUMN next_start_usec INTEGER NOT NULL DEFAULT 0;
ALTER TABLE container ADD COLUMN stopped_for TEXT NOT NULL DEFAULT '';
ALTER TABLE container ADD COLUMN boot TEXT NOT NULL DEFAULT '';
ALTER TABLE container ADD COLUMN health TEXT NOT NULL DEFAULT '';
"""
_READINESS = """
ALTER TABLE container ADD COLUMN ready INTEGER NOT NULL DEFAULT 0;
ALTER TABLE container ADD COLUMN status_text TEXT NOT NULL DEFAULT '';
"""
# one for each version
_MIGRATIONS = (
    _SCHEMA, leases.SCHEMA, leases.SCHEMA_INTERNAL, catalog.SCHEMA, _SUPERVISION, _READINESS, catalog.SCHEMA_VARIANTS,
    catalog.SCHEMA_MADE_HERE, leases.SCHEMA_ADDRESS6, leases.SCHEMA_MACVLAN, leases.SCHEMA_MTU,
)  # fmt: skip
VERSION = len(_MIGRATIONS)


@dataclass(frozen=True, slots=True)
class Record:
    """What a container is. Only limits, devices, ports, networks and the restart policy in its spec change.

    reserved: the first of the 65,536 ids that nobody else gets while it exists; it uses them unless it shares the
    host's. fault: why its stored description cannot be read; then `spec` only stands in for it.
    """

    id: str
    owner_uid: int
    reserved: int
    created_usec: int
    spec: Spec
    fault: str = ""

    @property
    def uid_shift(self) -> int:
        """Which id of the host is the container's 0."""
        return self.reserved if self.spec.security.has_user_namespace else 0


@dataclass(frozen=True, slots=True)
class Run:
    """Where a container stands: replaced as a whole at each change. Times in microseconds.

    how and status: of the last run's end, as events.Exit; how is empty before the first end and while it runs.
    restarts: since somebody started it; failures: starts in a row that did not last. next_start_usec: while restarting.
    stopped_for: why it was stopped, empty where it was not. boot: of the host, in which it was started last.
    ready, status_text: of a run that goes on.
    """

    state: State = State.CREATED
    main_pid: int = 0
    started_usec: int = 0
    started_monotonic_usec: int = 0
    exited_usec: int = 0
    exited_monotonic_usec: int = 0
    how: str = ""
    status: int = 0
    restarts: int = 0
    failures: int = 0
    next_start_usec: int = 0
    stopped_for: str = ""
    boot: str = ""
    health: str = ""
    ready: bool = False
    status_text: str = ""


_RUN = tuple(f.name for f in fields(Run))


class Store:
    """A single connection; the daemon's loop is its only user, but for examine().

    A second one would do for that, but what it closes stays open: giving up a descriptor gives up the locks of all of
    the process's on that file (fcntl(2)), so that SQLite keeps it as long as it holds any.
    """

    def __init__(
        self, path: str, ids: Ids, witnesses: Callable[[], Mapping[str, Witness]] = dict, last_resort: str = ""
    ) -> None:
        """`witnesses`: what is seen of containers that run, by id. `told`: sentences on what was mended.

        `restored`: ids of containers whose row is a copy, or guessed. `last_resort`: a path for a copy of the database,
        to work on while its own disk is read-only: what ends can be told, what is to last is refused.
        """
        self._directory = os.path.dirname(path)
        self._path = self._home = path
        self._ids = ids
        self._witnesses = witnesses
        self._reserve = Reserve(f"{self._directory}/reserve")
        self._settlement = Settlement(lambda: database.settle(self._path))
        self.told: list[str] = []
        self.restored: frozenset[str] = frozenset()
        self._read_only = bool(last_resort) and database.is_read_only(path)
        try:
            if self._read_only:
                self._work_on(last_resort)
            elif last_resort:
                database.remove_copy(last_resort)
            self._database = self._by_all_means(self._open)
        except (sqlite3.Error, OSError, Damaged) as error:
            raise StoreFailed(f"the database {self._path} cannot be opened: {self._told(error)}") from error
        self._reserve.put_aside()

    def _work_on(self, last_resort: str) -> None:
        database.refuse_newer(self._path, VERSION)
        database.copy(self._path, last_resort)
        self._path = last_resort
        self.told.append(
            f"{self._directory} is on a read-only file system: nothing can be created or removed before it is "
            "writable again; what runs goes on and can be stopped"
        )

    def _open(self) -> sqlite3.Connection:
        database.refuse_newer(self._path, VERSION)
        try:
            return self._built()
        except Damaged as error:
            aside = database.set_aside(self._path)
            self.told.append(
                f"The database {self._path} was damaged ({error}) and is now {aside}: it is built anew from the copies "
                "beside the containers' files"
            )
        return self._built()

    def _built(self) -> sqlite3.Connection:
        opened, new = database.connect(self._path, _MIGRATIONS)
        try:
            self._copies = Copies(opened, self._directory)
            rebuilding = Rebuilding(opened, self._copies, self._ids, self._witnesses)
            rebuilding.complete(new=new)
            self.leases = Leases(opened)
            self.catalog = Catalog(opened, self._keep_catalog, self._told)
            self._keep_missing()
        except (ValueError, KeyError, MctlError, sqlite3.IntegrityError) as error:  # what it says makes no sense
            opened.close()
            raise Damaged(f"{type(error).__name__}: {error}") from error
        except BaseException:
            opened.close()
            raise
        self.told += rebuilding.told
        self.restored = frozenset(rebuilding.restored)
        return opened

    def load(self) -> list[tuple[Record, Run]]:
        columns = ", ".join(("id", "owner_uid", "uid_shift", "created_usec", "name", "spec", *_RUN))
        rows = self._database.execute(f"SELECT {columns} FROM container ORDER BY created_usec").fetchall()
        return [_read(row) for row in rows]

    @property
    def lasts(self) -> bool:
        """Whether what is stored will be known to the next instance of the service."""
        return not self._read_only

    def has_guesses(self) -> bool:
        """Whether there are containers of which nobody knows what they were made from."""
        return bool(self._database.execute(f"SELECT 1 FROM container WHERE spec LIKE '{LOST}%'").fetchone())

    def add(
        self, *, identity: str, owner_uid: int, created_usec: int, spec: Spec, networks: Sequence[Network] = ()
    ) -> Record:
        """A new container with a range of ids and addresses of its own; NameTaken if the name is."""
        wanted = spec.security.first_id
        self._refuse_if_read_only()
        start = self._ids.choose() if wanted is None else self._ids.check(wanted)
        record = Record(identity, owner_uid, start, created_usec, spec)
        fixed = spec.networking.fixed
        chosen = [self.leases.choose(n, identity, i, fixed if i == 0 else Fixed()) for i, n in enumerate(networks)]
        values = (record.id, spec.name, owner_uid, record.reserved, created_usec, encode(spec), State.CREATED.value)
        columns = "id, name, owner_uid, uid_shift, created_usec, spec, state"
        try:
            with self._transaction():
                self._database.execute(f"INSERT INTO container ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)
                for lease in chosen:
                    self.leases.insert(lease)
                if isinstance(spec.rootfs, ImageRoot):
                    self.catalog.pin(identity, spec.rootfs.layers)
                self._copies.keep(identity)
        except sqlite3.IntegrityError as error:
            self._copies.discard(identity)
            raise NameTaken(f"name {spec.name!r} is taken: choose another, or remove that container") from error
        except (sqlite3.Error, OSError) as error:
            self._copies.discard(identity)
            raise self._failed("store container", spec.name, error) from error
        self._ids.remember(record.reserved)
        for lease in chosen:
            self.leases.taken(lease)
        self._settlement.tell(*self._copies.places(identity))
        return record

    def add_network(self, network: Network) -> None:
        self._refuse_if_read_only()
        try:
            self.leases.add_network(network)
            self._keep_catalog()
        except sqlite3.Error as error:
            raise self._failed("store network", network.name, error) from error

    def remove_network(self, network: Network) -> None:
        self._refuse_if_read_only()
        try:
            self.leases.remove_network(network)
            self._keep_catalog()
        except sqlite3.Error as error:
            raise self._failed("remove network", network.name, error) from error

    def update(self, record: Record, run: Run) -> None:
        assignments = ", ".join(f"{column} = ?" for column in _RUN)
        values = [getattr(run, column) for column in _RUN]
        values[0] = run.state.value
        statement = f"UPDATE container SET {assignments} WHERE id = ?"
        try:
            self._by_all_means(lambda: self._database.execute(statement, (*values, record.id)))
        except sqlite3.Error as error:
            raise self._failed("store the state of container", record.spec.name, error) from error
        if run.how:  # what runs is seen by itself
            self._keep(record)
            self._settlement.tell(*self._copies.places(record.id))

    def amend(self, record: Record, spec: Spec, change: Callable[[], None] = lambda: None) -> Record:
        """The record with `spec` in place of its own, and `change` of the leases with it."""
        if record.fault:
            raise Unreadable(f"what is stored of container {record.spec.name!r} cannot be read ({record.fault})")
        self._refuse_if_read_only()
        try:
            with self._transaction():
                values = (spec.name, encode(spec), record.id)
                if not self._database.execute("UPDATE container SET name = ?, spec = ? WHERE id = ?", values).rowcount:
                    raise NoSuchContainer(f"container {record.spec.name!r} has been removed")
                change()
                self._copies.keep(record.id)
        except (sqlite3.Error, OSError) as error:
            raise self._failed("store the changes of container", record.spec.name, error) from error
        self._settlement.tell(*self._copies.places(record.id))
        return replace(record, spec=spec)

    def remove(self, record: Record) -> int:
        """What to give to wait(): by itself the row may be back after a loss of power."""
        self._refuse_if_read_only()
        try:
            self._copies.drop(record.id)  # first: what has a copy would come back
            self._by_all_means(lambda: self._database.execute("DELETE FROM container WHERE id = ?", (record.id,)))
        except (sqlite3.Error, OSError) as error:
            raise self._failed("remove container", record.spec.name, error) from error
        self._ids.forget(record.reserved)
        self.leases.freed(record.id)
        self._reserve.put_aside()
        return self._settlement.tell(*self._copies.places(record.id))

    def examine(self) -> str:
        """What is wrong with the database, empty if nothing is. In a thread: it reads all, and SQLite takes turns."""
        try:
            (answer,) = self._database.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            return str(error)
        return "" if answer == "ok" else str(answer)

    def close(self) -> None:
        self._settlement.close()
        self._database.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # some failures end it by themselves
                self._database.execute("ROLLBACK")
            raise

    def _by_all_means(self, work: Callable[[], T]) -> T:
        """What makes room, or has happened already, may use the room that was put aside for it."""
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            if not (database.is_full(error) and self._reserve.spend()):
                raise
            return work()

    def _keep_missing(self) -> None:
        try:
            self._copies.keep_missing()
        except OSError as error:
            self.told.append(f"Copies of the database's rows cannot be written: {error}")

    def _keep(self, record: Record) -> None:
        try:
            self._copies.keep(record.id)
        except OSError as error:
            log.debug("the copy of %s is not the newest: %s", record.spec.name, error)

    def settle(self) -> None:
        """Slow, from any thread: what has been told is on the disk; by itself that takes a second."""
        database.settle(self._path)

    def wait(self, told: int) -> None:
        """As settle(), up to this change, together with others who wait."""
        self._settlement.wait(told)

    def _refuse_if_read_only(self) -> None:
        if self._read_only:
            if database.is_read_only(self._home):
                raise StoreFailed(f"{self._directory} is on a read-only file system: make it writable")
            self._go_home()

    def _go_home(self) -> None:
        """It can be written to again: what has ended meanwhile is stored where it belongs."""
        opened = database.give_back(self._database, self._path, self._home, _MIGRATIONS)
        self._path, self._read_only = self._home, False
        for user in (self, self.leases, self.catalog, self._copies):
            user._database = opened
        for record, _ in self.load():
            self._keep(record)
        self._reserve.put_aside()

    def _keep_catalog(self) -> None:
        self._refuse_if_read_only()
        try:
            self._copies.keep_catalog()
        except OSError as error:
            log.debug("the copy of what is known of networks and images is not the newest: %s", error)

    def _failed(self, what: str, name: str, error: sqlite3.Error | OSError) -> StoreFailed:
        return StoreFailed(f"could not {what} {name!r}: {self._told(error)}")

    def _told(self, error: Exception) -> str:
        return disk.told(error, self._directory)


def _read(row: tuple[Any, ...]) -> tuple[Record, Run]:
    identity, owner_uid, uid_shift, created_usec, name, text, state, *rest = row
    spec, fault = read_or_stand_in(lambda: decode(text), name, identity)
    return Record(identity, owner_uid, uid_shift, created_usec, spec, fault), Run(_state(state), *rest)


def _state(text: str) -> State:
    """One that this version does not know is one that needs a look: as one that runs, it gets it."""
    known = {state.value for state in State} - {State.UNREADABLE.value}
    return State(text) if text in known else State.RUNNING
