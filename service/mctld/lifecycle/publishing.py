# SPDX-License-Identifier: GPL-3.0-or-later
"""Which container has which port of the host; and our firewall table, kept as it should be."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from ..errors import LimitReached, PortInUse, SetupFailed
from ..network import reservation
from ..network.ruleset import Publication, Ruleset
from ..quotas import DEFAULTS

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..network.firewall import Firewall
    from ..network.monitor import Monitor
    from ..networking import Lease, Network
    from ..ports import Port
    from ..spec import Spec
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

    def __init__(
        self, networks: Callable[[], Iterable[Network]], tasks: Tasks, most: int | None = DEFAULTS.ports
    ) -> None:
        """most: ports that one user may have published at a time."""
        self._networks = networks
        self._most = most
        self._tasks = tasks
        self._claims: dict[str, _Claim] = {}
        self._expected: dict[str, Record] = {}  # at whose ports PID 1 listens, whether they run or not
        self._turn = asyncio.Lock()
        self._firewall: Firewall | None = None
        self._monitor: Monitor | None = None
        self._secured: tuple[Network, ...] | None = None  # whose the table is; none of them: no table; None: changing

    async def expect(self, record: Record) -> None:
        """Its activated ports are free, and nobody else's from now on. PID 1 can have them."""
        ports = record.spec.activation.ports
        for port in ports:
            self._refuse_if_taken(port, record)
        self._refuse_if_too_many(record)
        self._expected[record.id] = record
        try:
            for port in ports:
                reservation.release(await _reserved(port))
        except BaseException:
            self.expect_no_more(record)
            raise

    def expects(self, record: Record) -> None:
        """PID 1 has its ports already."""
        self._expected[record.id] = record

    def expect_no_more(self, record: Record) -> None:
        self._expected.pop(record.id, None)

    async def secure(self) -> None:
        """Our table is there and knows all networks, before anything is connected to one; without any it is gone."""
        if self._secured != tuple(self._networks()):
            async with self._turn:
                if self._secured != tuple(self._networks()):
                    await self._become_wanted()
            self._watch()

    async def publish(self, record: Record, lease: Lease) -> None:
        """All ports of the container, or none."""
        self._refuse_if_too_many(record)
        claim = self._claim(record, lease)
        try:
            fresh = await self._hold(claim.publications)
            if not await self._swap(claim, fresh, ()):
                raise SetupFailed("publish ports", "the container has ended meanwhile")
        except BaseException:
            self.withdraw(record)
            raise

    async def change(self, record: Record, lease: Lease) -> None:
        """Of a container that runs: what `record` says in place of what was claimed. All, or nothing.

        It may end at any moment, and its ports are withdrawn then: what has not been added yet stays out.
        """
        before = self._claims.get(record.id) or _Claim(record, ())
        wanted = tuple(Publication(port, lease) for port in record.spec.networking.ports)
        added = [publication for publication in wanted if publication not in before.publications]
        removed = [publication for publication in before.publications if publication not in wanted]
        if added:  # a change that only takes back is never too many
            self._refuse_if_too_many(record)
        for publication in added:
            self._refuse_if_taken(publication.port, record)
        claim = self._claims[record.id] = _Claim(record, wanted, before.held)
        try:
            await self._swap(claim, await self._hold(added), removed)
        except BaseException:
            if self._is_current(claim):
                self._claims[record.id] = before
            raise

    async def move(self, record: Record, lease: Lease) -> None:
        """All its ports lead to another of its addresses. The host's sides stay held throughout."""
        before = self._claims.get(record.id)
        if before is None:  # it has ended meanwhile
            return
        moved = {old: Publication(old.port, lease) for old in before.publications}
        held = {moved[old]: sockets for old, sockets in before.held.items()}
        self._claims[record.id] = _Claim(record, tuple(moved.values()), held)
        await self._replace()
        await _forget_flows(moved)

    async def _swap(
        self, claim: _Claim, fresh: dict[Publication, list[socket.socket]], removed: Iterable[Publication]
    ) -> bool:
        """Whether the claim was in force, and all of this is now; `fresh`: what it gets, and what holds that."""
        try:
            async with self._turn:
                if self._is_current(claim):
                    wanted = self._wanted()
                    await _in_thread(lambda: self._opened().add(fresh, wanted))
                    await _in_thread(lambda: self._opened().remove(removed, wanted))
                else:  # its end has removed what it was to become, not what it was before
                    await self._become_wanted()
            await _forget_flows((*fresh, *removed))
            if not self._is_current(claim):  # its end has released what it held, and removes what was added
                return False
            claim.held = {**claim.held, **fresh}
            fresh = {p: claim.held.pop(p) for p in removed if p in claim.held}
            return True
        finally:
            _Claim(claim.record, (), fresh).release()

    def _is_current(self, claim: _Claim) -> bool:
        return self._claims.get(claim.record.id) is claim

    def withdraw(self, record: Record) -> None:
        """The ports are free from now on; the firewall follows."""
        claim = self._claims.pop(record.id, None)
        if claim is not None:
            claim.release()
            self._tasks.start(self._remove(claim.publications), f"withdraw ports of {record.spec.name}")

    async def restore(self, running: Iterable[tuple[Record, Lease]]) -> None:
        """After a start of the service: what is published stays so.

        Also what cannot be held, as a port of an address that the host has no longer: it had that before, and the
        firewall gives it to nobody else.
        """
        for record, lease in running:
            with contextlib.suppress(PortInUse, SetupFailed):
                claim = self._claim(record, lease)
                claim.held = await self._hold(claim.publications)
        await self._replace()

    async def take_down(self) -> None:
        """The host has no table of ours any more."""
        async with self._turn:
            self._secured = ()
            await _in_thread(lambda: self._opened().replace(Ruleset(())))

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

    def _refuse_if_too_many(self, record: Record) -> None:
        if record.owner_uid == ROOT_UID or self._most is None:
            return
        others = [ports for other, ports in self._taken(record) if other.owner_uid == record.owner_uid]
        has = sum(port.count for ports in others for port in ports)
        wants = sum(port.count for port in (*record.spec.networking.ports, *record.spec.activation.ports))
        if has + wants > self._most:
            raise LimitReached(
                f"container {record.spec.name!r} publishes {wants} ports, the others of user {record.owner_uid} {has},"
                f" and all together may have {self._most} (PortsPerOwner= in mctld.conf(5)): stop or remove one"
            )

    def _refuse_if_taken(self, port: Port, record: Record) -> None:
        for other, ports in self._taken(record):
            if any(port.overlaps(taken) for taken in ports):
                known = record.owner_uid in (ROOT_UID, other.owner_uid)  # others' names are nobody's business
                holder = f"container {other.spec.name!r}" if known else "another user's container"
                raise PortInUse(f"port {port} cannot be published: {holder} has it")

    def _taken(self, record: Record) -> Iterator[tuple[Record, Sequence[Port]]]:
        """What the others have."""
        for claim in self._claims.values():
            if claim.record.id != record.id:
                yield claim.record, [publication.port for publication in claim.publications]
        for other in self._expected.values():
            if other.id != record.id:
                yield other, other.spec.activation.ports

    async def _hold(self, publications: Iterable[Publication]) -> dict[Publication, list[socket.socket]]:
        """No process of the host has the ports, and none can take them."""
        held: dict[Publication, list[socket.socket]] = {}
        try:
            for publication in publications:
                held[publication] = await _reserved(publication.port)
        except BaseException:
            for sockets in held.values():
                reservation.release(sockets)
            raise
        return held

    async def _remove(self, publications: Iterable[Publication]) -> None:
        async with self._turn:
            wanted = self._wanted()
            await _in_thread(lambda: self._opened().remove(publications, wanted))
        await _forget_flows(publications)

    async def _replace(self) -> None:
        async with self._turn:
            await self._become_wanted()
        self._watch()

    async def _become_wanted(self) -> None:
        wanted = self._wanted()
        self._secured = None
        await _in_thread(lambda: self._opened().replace(wanted))
        self._secured = wanted.networks

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
        """News also comes of what we do ourselves: of each replacement, and of the end with the last network."""
        async with self._turn:
            if self._secured and not await _in_thread(lambda: self._opened().is_present()):
                log.warning("somebody has removed the nftables table of containers: it is made again")
                await self._become_wanted()

    def _opened(self) -> Firewall:
        """In a thread that is in the host's namespace: what is loaded here nobody needs without networks."""
        if self._firewall is None:
            from ..network.firewall import Firewall

            self._firewall = Firewall()
        return self._firewall


async def numbered(spec: Spec) -> tuple[Port, ...]:
    """Its ports, each with a number on the host."""
    return tuple([await asyncio.to_thread(reservation.numbered, port) for port in spec.networking.ports])


async def _reserved(port: Port) -> list[socket.socket]:
    try:
        return await asyncio.to_thread(reservation.reserve, [port])
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            number = str(error.filename).partition("/")[0]
            raise PortInUse(
                f"port {error.filename} cannot be published: a process of the host has it; "
                f"`ss -anp sport = :{number}` shows which"
            ) from error
        raise SetupFailed(f"publish port {error.filename}", error.strerror) from error


async def _in_thread(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise SetupFailed("change the firewall", error.strerror or error) from error


async def _forget_flows(publications: Iterable[Publication]) -> None:
    """After the rules have changed: who sends datagrams all the time would stay with what was there before."""
    ports = [publication.port for publication in publications if publication.port.protocol == "udp"]
    if not ports:
        return

    def forget() -> None:  # what is loaded here nobody needs without networks
        from ..network import conntrack

        conntrack.forget(ports)

    try:
        await asyncio.to_thread(forget)
    except OSError as error:
        log.warning("datagrams to %s may go on to reach what had that before: %s", ", ".join(map(str, ports)), error)
