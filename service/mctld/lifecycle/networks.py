# SPDX-License-Identifier: GPL-3.0-or-later
"""Which networks there are, and the way of containers into them. What is done in the kernel is done in threads."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from ..draft import Draft
from ..errors import ADVICE, InvalidArgs, MctlError, NoSuchNetwork, SetupFailed, StoreFailed
from ..network.connection import link_name
from ..networking import DEFAULT, ROOT_UID
from ..runtime import namespace
from . import founding
from .alone import alone
from .connections import check_way_in, connections_of, ends_on_host, name_server, way_in, without_end
from .footholds import Footholds
from .passage import Passage
from .publishing import Publishing, numbered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from ipaddress import IPv4Network

    from ..network.connection import Connection
    from ..network.host import Host
    from ..networking import Fixed, Lease, Network
    from ..ports import Port
    from ..runtime.launch import Stage
    from ..spec import Spec
    from ..store import Record, Store
    from .events import Events
    from .naming import Naming
    from .tasks import Tasks

    Lent = Callable[[], AbstractContextManager[int | None]]

AT_ONCE = 4  # threads; the kernel lets only one change interfaces at a time

log = logging.getLogger(__name__)


class Networks:
    def __init__(
        self, store: Store, record: str, naming: Naming, tasks: Tasks, events: Events, ports: int | None,
        default: IPv4Network,
    ) -> None:
        """`record`: the file that remembers the host's own settings. ports: that one user may have published.
        default: the subnet that the first network will have."""
        self._store = store
        self._default = default
        self._events = events
        self._naming = naming
        self._publishing = Publishing(self._bridges, tasks, ports)
        self._passage = Passage(lambda: self._opened().reopen(), tasks)
        self._footholds = Footholds(tasks, lambda namespace: self._opened().remove_inside(namespace))
        self._record = record
        self._host: Host | None = None
        self._opening = threading.Lock()
        self._room = asyncio.Semaphore(AT_ONCE)

    async def settle(self, spec: Spec) -> Spec:
        """With a number for each port whose number on the host was left to us."""
        return replace(spec, networking=replace(spec.networking, ports=await numbered(spec)))

    @property
    def publishing(self) -> Publishing:
        return self._publishing

    def all(self) -> Iterable[Network]:
        return self._store.leases.networks()

    def _bridges(self) -> tuple[Network, ...]:
        return tuple(network for network in self.all() if network.macvlan is None)

    def get(self, name: str) -> Network | None:
        return self._store.leases.network(name)

    def users(self, network: Network) -> int:
        return self._store.leases.users(network)

    def find(self, names: Iterable[str], uid: int) -> list[Network]:
        """Those that the user may use. The default one comes into being when it is first asked for."""
        found = [self._find(name) for name in names]
        for network in found:
            if not network.is_visible_to(uid):
                raise NoSuchNetwork(f"there is no network {network.name!r}")
        return found

    def chosen(self, spec: Spec, uid: int) -> list[Network]:
        """Those that it names, by which its ports can be reached."""
        found = self.find(spec.networking.networks, uid)
        check_way_in(spec, found)
        return found

    async def create(self, draft: Draft, uid: int) -> Network:
        """Its bridge is made when the first container needs it."""
        made = await founding.free(draft, uid, self.all, lambda wanted: self._opened().check_free(wanted))
        self._store.add_network(made)
        self._events.network_added(made)
        return made

    async def remove(self, network: Network) -> None:
        self._store.remove_network(network)
        self._events.network_removed(network)
        try:
            await asyncio.to_thread(lambda: self._opened().remove(network, lambda: not self._bridges()))
            await self._publishing.secure()
        except OSError as error:
            raise SetupFailed(f"remove the bridge {network.interface}", error.strerror or error) from error

    def leases(self, record: Record) -> tuple[Lease, ...]:
        return self._store.leases.of(record.id)

    def name_server(self, record: Record) -> str:
        """Where it asks for names: the host's address on the network that it leaves by, or the first; or empty."""
        return name_server(self._connections(record))

    def links(self, record: Record) -> tuple[str, ...]:
        """The host's ends of its interfaces."""
        return ends_on_host(self._connections(record))

    def interfaces(self, record: Record) -> tuple[str, ...]:
        """Those inside that have no end on the host."""
        return without_end(self._connections(record))

    async def attach(self, record: Record, stage: Stage) -> None:
        """The blocked child gets its interfaces, addresses and routes."""
        connections = self._connections(record)
        if not connections:
            return
        await self._publishing.secure()
        self._passage.watch()
        await self._footholds.given_up()
        if record.spec.networking.ports:
            await self._publishing.publish(record, way_in(connections, record))
        naming = asyncio.ensure_future(self._naming.put(record, connections))
        namespace = stage.open_namespace("net")
        if without_end(connections):
            self._footholds.hold(record.id, os.dup(namespace))
        names = ", ".join(connection.network.name for connection in connections)
        try:
            async with self._room:
                await _in_thread(lambda: self._connect(connections, namespace))
        except OSError as error:
            advice = f"; {ADVICE}" if error.errno == errno.EOPNOTSUPP else ""  # a kernel without bridges, or veth
            raise SetupFailed(f"connect to network {names}", f"{error.strerror or error}{advice}") from error
        finally:
            await naming
        self._naming.offer(connections)

    async def connect(
        self, record: Record, network: Network, wanted: Fixed, aliases: tuple[str, ...], process: int | None
    ) -> Record:
        """The record with one more network. process: a pidfd of its first, if it runs, which then has the interface."""
        if any(lease.network == network.name for lease in self.leases(record)):
            raise InvalidArgs(f"container {record.spec.name!r} is connected to network {network.name!r} already")
        spec = replace(record.spec, networking=record.spec.networking.joined(network.name, aliases))
        way_out = next((c for c in self._connections(record) if c.leads_out), None)
        leases = self._store.leases
        position = leases.position(record.id, way_out.lease.position + 1 if way_out else 0)
        lease = leases.choose(network, record.id, position, wanted)
        leases.taken(lease)
        try:
            if process is not None:
                await self._join(replace(record, spec=spec), lease, process)
            return self._store.amend(record, spec, lambda: leases.insert(lease))
        except BaseException:
            made = next(c for c in self._connections(record) if c.lease == lease)
            leases.released(lease)
            if process is not None:
                await self._leave(record, made, None, process)
            raise

    async def disconnect(self, record: Record, network: Network, process: int | None) -> Record:
        """The record with one network less; its address there is free. process: as of connect."""
        before = self._connections(record)
        gone = next((c for c in before if c.network == network), None)
        if gone is None:
            raise InvalidArgs(f"container {record.spec.name!r} is not connected to network {network.name!r}")
        way_out = next((c for c in before if c is not gone and not c.network.internal), None)
        if record.spec.networking.ports and (way_out is None or way_out.network.macvlan):
            raise InvalidArgs(
                f"container {record.spec.name!r} publishes ports by network {network.name!r}: take them back first"
            )
        spec = replace(record.spec, networking=record.spec.networking.left(network.name))
        after = self._store.amend(record, spec, lambda: self._store.leases.delete(gone.lease))
        self._store.leases.released(gone.lease)
        if process is not None:
            await self._leave(after, gone, way_out if gone.leads_out else None, process)
        return after

    async def _join(self, record: Record, lease: Lease, process: int) -> None:
        connections = self._connections(record)
        await self._publishing.secure()
        added = [connection for connection in connections if connection.lease == lease]
        self._watch_over(record, added, process)
        await self._footholds.given_up()
        await self._change(f"connect to network {lease.network}", process, lambda host, ns: host.connect(added, ns))
        await self._naming.put(record, connections)
        self._naming.offer(added)

    async def _leave(self, record: Record, gone: Connection, way_out: Connection | None, process: int) -> None:
        name = f"disconnect from network {gone.network.name}"
        connections = self._connections(record)
        work: list[Callable[[Host, int], object]] = [lambda host, ns: host.disconnect(gone, way_out, ns)]
        if gone.network.macvlan:
            work.append(lambda host, ns: host.remove_inside(ns, without_end(connections)))
        for each in work:
            try:
                await self._change(name, process, each)
            except SetupFailed as error:  # it has just ended, and its interfaces with it
                log.info("%s", error)
        if connections:
            await self._naming.put(record, connections)
        else:
            self._naming.drop(record.id)
        if record.spec.networking.ports and gone.leads_out:
            await self._publishing.move(record, self._way_in(record))

    async def _change(self, what: str, process: int, work: Callable[[Host, int], object]) -> None:
        """In the namespace of what runs: the caller has it under its lock and will know when it has ended."""
        try:
            network = namespace.opened(process, "net")
            try:
                async with self._room:
                    await _in_thread(lambda: work(self._opened(), network))
            finally:
                os.close(network)
        except OSError as error:
            raise SetupFailed(what, error.strerror or error) from error

    async def change_ports(
        self, record: Record, added: Iterable[Port], removed: Iterable[Port], *, running: bool
    ) -> Record:
        """The record with other ports. What runs is reached by them, and by no others, when it returns."""
        networking = record.spec.networking
        for port in removed:
            if port not in networking.ports:
                known = ", ".join(map(str, networking.ports)) or "none"
                raise InvalidArgs(f"port {port} is not published by container {record.spec.name!r}; published: {known}")
        ports = (*(port for port in networking.ports if port not in removed), *added)
        if added:
            self._way_in(record)
        spec = await self.settle(replace(record.spec, networking=replace(networking, ports=ports)))
        after = replace(record, spec=spec)
        if running:
            await self._publishing.change(after, self._way_in(after))
        try:
            return self._store.amend(record, after.spec)
        except StoreFailed:
            if running:
                await self._publishing.change(record, self._way_in(record))
            raise

    def _way_in(self, record: Record) -> Lease:
        return way_in(self._connections(record), record)

    def detached(self, record: Record) -> None:
        """Its namespace has ended, or will now."""
        self._footholds.give_up(record.id)
        self._publishing.withdraw(record)
        self._naming.drop(record.id)
        if self._host is not None:
            self._host.disconnected(self._connections(record))

    async def cut(self, record: Record, process: int | None) -> None:
        """Its interfaces go at once, and its addresses are free, though others, as `process`, may still be in there."""
        connections = self._connections(record)
        self._watch_over(record, connections, process)
        self._footholds.give_up(record.id)
        try:
            await asyncio.to_thread(lambda: self._opened().cut(connections))
            await self._footholds.given_up()
        except OSError as error:
            log.error("the interfaces of container %s stay: %s", record.spec.name, error.strerror or error)

    async def examine_names(self) -> tuple[str, Mapping[str, str]]:
        """Why the name server does not answer, or empty; and why it cannot listen, by address."""
        return await self._naming.examine()

    async def restore(self, running: Sequence[tuple[Record, Lent]]) -> None:
        """After a start of the service: what runs keeps its network, what crashes have left behind goes.

        With what lends pidfds of first processes.
        """
        if not self._store.leases.networks():
            return
        connected = [(record, found) for record, _ in running if (found := self._connections(record))]
        connections = [connection for _, found in connected for connection in found]
        await self._naming.restore(connected)
        self._naming.offer(connections)
        self._passage.watch()
        try:
            await self._publishing.restore([(r, way_in(c, r)) for r, c in connected if r.spec.networking.ports])
            lost = await asyncio.to_thread(lambda: self._opened().restore(connections))
            for name in lost:
                log.info("the link %s belonged to no container that runs, and is removed", name)
            for record, lent in running if lost else ():
                if any(link_name(record.id, network.name) in lost for network in self.all()):
                    with lent() as process:
                        await self._lead_out(record, process)
            for record, lent in running if any(network.macvlan for network in self.all()) else ():
                with lent() as process:
                    await self._look_inside(record, process)
        except (OSError, MctlError) as error:
            log.warning("networks cannot be restored: %s", error)

    async def _lead_out(self, record: Record, process: int | None) -> None:
        """It was being disconnected, and its default route may have led there."""
        way_out = next((connection for connection in self._connections(record) if connection.leads_out), None)
        if way_out is not None and process is not None:
            await self._change("restore the default route", process, lambda host, ns: host.lead_out(way_out, ns))

    async def _look_inside(self, record: Record, process: int | None) -> None:
        """It was being connected or disconnected where nothing on the host tells of it."""
        if not record.spec.networking.own or process is None:
            return
        self._watch_over(record, self._connections(record), process)
        keep, lost = self.interfaces(record), list[str]()
        with contextlib.suppress(SetupFailed):  # it has just ended
            await self._change(
                "look inside", process, lambda host, ns: lost.extend(host.remove_inside(ns, keep, renamed=False))
            )
            if lost:
                await self._lead_out(record, process)
        for name in lost:
            log.info("container %s was not connected by its interface %s, which is removed", record.spec.name, name)

    def _watch_over(self, record: Record, connections: Sequence[Connection], process: int | None) -> None:
        """process: a pidfd of somebody in its namespace."""
        if without_end(connections) and process is not None and not self._footholds.has(record.id):
            with contextlib.suppress(OSError):  # it has just ended
                self._footholds.hold(record.id, namespace.opened(process, "net"))

    async def take_down(self) -> None:
        """The host as it was before the first network."""
        networks = self._store.leases.networks()
        if networks:
            await asyncio.to_thread(lambda: self._opened().take_down(networks))
            await self._publishing.take_down()

    def close(self) -> None:
        self._publishing.close()
        self._passage.close()
        self._naming.close()
        self._footholds.close()
        if self._host is not None:
            self._host.close()

    def _find(self, name: str) -> Network:
        found = self._store.leases.network(name)
        if found is not None:
            return found
        if name != DEFAULT:
            raise NoSuchNetwork(f"there is no network {name!r}")
        made = founding.found(Draft(DEFAULT, self._default), ROOT_UID, self.all())
        self._store.add_network(made)
        self._events.network_added(made)
        return made

    def _connections(self, record: Record) -> list[Connection]:
        return connections_of(record, ((lease, self._find(lease.network)) for lease in self.leases(record)))

    def _connect(self, connections: Sequence[Connection], namespace: int) -> None:
        try:
            self._opened().connect(connections, namespace)
        finally:
            os.close(namespace)

    def _opened(self) -> Host:
        """In a thread that is in the host's namespace: the first call loads what nobody needs without networks."""
        with self._opening:
            if self._host is None:
                from ..network.host import Host

                self._host = Host(self._record)
            return self._host


async def _in_thread(work: Callable[[], object]) -> None:
    """It may end in another network namespace than it began in."""
    await alone(work, "network")
