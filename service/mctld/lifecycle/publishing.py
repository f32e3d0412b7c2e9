# SPDX-License-Identifier: GPL-3.0-or-later
"""Which container has which port of the host; and our firewall table, kept as it should be."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from ..errors import PortInUse, SetupFailed
from ..network import reservation
from ..network.ruleset import Publication, Ruleset

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

    from ..network.firewall import Firewall
    from ..network.monitor import Monitor
    from ..networking import Lease, Network
    from ..ports import Port
    from ..store import Record
    from .tasks import Tasks

ROOT_UID = 0
T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Claim:
    record: Record
    publications: tuple[Publication, ...]
    held: dict[Publication, list[socket.socket]] = field(default_factory=dict)

    def release(self) -> None:
        for held in self.held.values():
            reservation.release(held)


class Publishing:
    """Changes of the firewall are made one after the other, each from what is claimed at that moment."""

    def __init__(self, networks: Callable[[], Iterable[Network]], tasks: Tasks) -> None:
        self._networks = networks
        self._tasks = tasks
        self._claims: dict[str, _Claim] = {}
        self._turn = asyncio.Lock()
        self._firewall: Firewall | None = None
        self._monitor: Monitor | None = None
        self._secured: tuple[Network, ...] = ()

    async def secure(self) -> None:
        """Our table is there and knows all networks, before anything is connected to one."""
        if self._secured != tuple(self._networks()):
            await self._replace()

    async def publish(self, record: Record, lease: Lease) -> None:
        """All ports of the container, or none."""
        claim = self._claim(record, lease)
        try:
            claim.held = await self._hold(claim.publications)
            async with self._turn:
                wanted = self._wanted()
                await _in_thread(lambda: self._opened().add(claim.publications, wanted))
        except BaseException:
            self.withdraw(record)
            raise

    async def change(self, record: Record, lease: Lease) -> None:
        """Of a container that runs: what `record` says in place of what was claimed. All, or nothing."""
        before = self._claims.get(record.id) or _Claim(record, ())
        wanted = tuple(Publication(port, lease) for port in record.spec.networking.ports)
        added = [publication for publication in wanted if publication not in before.publications]
        removed = [publication for publication in before.publications if publication not in wanted]
        for publication in added:
            self._refuse_if_taken(publication.port, record)
        held = {p: sockets for p, sockets in before.held.items() if p in wanted}
        claim = self._claims[record.id] = _Claim(record, wanted, held)
        fresh: dict[Publication, list[socket.socket]] = {}
        try:
            fresh = await self._hold(added)
            await self._swap(added, removed)
        except BaseException:
            _Claim(record, (), fresh).release()
            self._claims[record.id] = before
            raise
        claim.held = {**held, **fresh}
        _Claim(record, (), {p: before.held[p] for p in removed if p in before.held}).release()

    async def _swap(self, added: Iterable[Publication], removed: Iterable[Publication]) -> None:
        async with self._turn:
            wanted = self._wanted()
            await _in_thread(lambda: self._opened().add(added, wanted))
            await _in_thread(lambda: self._opened().remove(removed, wanted))

    def withdraw(self, record: Record) -> None:
        """The ports are free from now on; the firewall follows."""
        claim = self._claims.pop(record.id, None)
        if claim is not None:
            claim.release()
            self._tasks.start(self._remove(claim.publications), f"withdraw ports of {record.spec.name}")

    async def restore(self, running: Iterable[tuple[Record, Lease]]) -> None:
        """After a start of the service: what is published stays so."""
        for record, lease in running:
            with contextlib.suppress(PortInUse):  # it had them before, and the firewall gives them to nobody else
                claim = self._claim(record, lease)
                claim.held = await self._hold(claim.publications)
        await self._replace()

    async def take_down(self) -> None:
        """The host has no table of ours any more."""
        self._secured = ()
        await _in_thread(lambda: self._opened().take_down())

    def close(self) -> None:
        if self._monitor is not None:
            asyncio.get_running_loop().remove_reader(self._monitor)
            self._monitor.close()
        for claim in self._claims.values():
            claim.release()

    def _claim(self, record: Record, lease: Lease) -> _Claim:
        ports = record.spec.networking.ports
        for port in ports:
            self._refuse_if_taken(port, record)
        claim = _Claim(record, tuple(Publication(port, lease) for port in ports))
        self._claims[record.id] = claim
        return claim

    def _refuse_if_taken(self, port: Port, record: Record) -> None:
        for other in self._claims.values():
            if other.record.id != record.id and any(port.overlaps(p.port) for p in other.publications):
                known = record.owner_uid in (ROOT_UID, other.record.owner_uid)  # others' names are nobody's business
                holder = f"container {other.record.spec.name!r}" if known else "another user's container"
                raise PortInUse(f"port {port} cannot be published: {holder} has it")

    async def _hold(self, publications: Iterable[Publication]) -> dict[Publication, list[socket.socket]]:
        """No process of the host has the ports, and none can take them."""
        held: dict[Publication, list[socket.socket]] = {}
        try:
            for publication in publications:
                held[publication] = await asyncio.to_thread(reservation.reserve, [publication.port])
        except OSError as error:
            for sockets in held.values():
                reservation.release(sockets)
            if error.errno == errno.EADDRINUSE:
                number = str(error.filename).partition("/")[0]
                raise PortInUse(
                    f"port {error.filename} cannot be published: a process of the host has it; "
                    f"`ss -anp sport = :{number}` shows which"
                ) from error
            raise SetupFailed(f"publish port {error.filename}", error.strerror) from error
        return held

    async def _remove(self, publications: Iterable[Publication]) -> None:
        async with self._turn:
            wanted = self._wanted()
            await _in_thread(lambda: self._opened().remove(publications, wanted))

    async def _replace(self) -> None:
        async with self._turn:
            wanted = self._wanted()
            await _in_thread(lambda: self._opened().replace(wanted))
            self._secured = wanted.networks
        self._watch()

    def _wanted(self) -> Ruleset:
        publications = [publication for claim in self._claims.values() for publication in claim.publications]
        return Ruleset(tuple(self._networks()), tuple(publications))

    def _watch(self) -> None:
        """Somebody may remove all tables: `nft flush ruleset`, or a restart of nftables.service."""
        if self._monitor is None:
            from ..network.monitor import Monitor

            self._monitor = Monitor()
            asyncio.get_running_loop().add_reader(self._monitor, self._look)

    def _look(self) -> None:
        if self._monitor is not None and self._monitor.has_lost_a_table():
            self._tasks.start(self._mend(), "mend the firewall")

    async def _mend(self) -> None:
        async with self._turn:
            present = await _in_thread(lambda: self._opened().is_present())
        if not present:
            log.warning("somebody has removed the nftables table of containers: it is made again")
            await self._replace()

    def _opened(self) -> Firewall:
        """In a thread that is in the host's namespace: what is loaded here nobody needs without networks."""
        if self._firewall is None:
            from ..network.firewall import Firewall

            self._firewall = Firewall()
        return self._firewall


async def _in_thread(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise SetupFailed("change the firewall", error.strerror or error) from error
