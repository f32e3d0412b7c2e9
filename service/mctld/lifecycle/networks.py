# SPDX-License-Identifier: GPL-3.0-or-later
"""Which networks there are, and the way of containers into them. What is done in the kernel is done in threads."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import secrets
import threading
import time
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING

from ..errors import (
    ADVICE,
    InvalidArgs,
    LimitsExceeded,
    MctlError,
    NameTaken,
    NoSuchNetwork,
    SetupFailed,
    StoreFailed,
    SubnetInUse,
)
from ..network import reservation
from ..network.connection import Connection, link_name
from ..networking import DEFAULT, ROOT_UID, Network
from .alone import alone
from .publishing import Publishing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..network.host import Host
    from ..networking import Fixed, Lease
    from ..ports import Port
    from ..runtime.launch import Stage
    from ..spec import Spec
    from ..store import Record, Store
    from .events import Events
    from .naming import Naming
    from .tasks import Tasks

AT_ONCE = 4  # threads; the kernel lets only one change interfaces at a time
POOL = IPv4Network("10.90.0.0/16")  # of networks whose subnet is left to us
POOL_PREFIX = 24
NETWORKS_MAX = 1024

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
        self._publishing = Publishing(store.leases.networks, tasks, ports)
        self._record = record
        self._host: Host | None = None
        self._opening = threading.Lock()
        self._room = asyncio.Semaphore(AT_ONCE)

    async def settle(self, spec: Spec) -> Spec:
        """With a number for each port whose number on the host was left to us."""
        ports = [await asyncio.to_thread(_numbered, port) for port in spec.networking.ports]
        return replace(spec, networking=replace(spec.networking, ports=tuple(ports)))

    @property
    def publishing(self) -> Publishing:
        return self._publishing

    def all(self) -> Iterable[Network]:
        return self._store.leases.networks()

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

    async def create(self, name: str, uid: int, *, subnet: IPv4Network | None, internal: bool) -> Network:
        """Its bridge is made when the first container needs it."""
        self._refuse_if_taken(name)
        made = self._new(name, uid, subnet, internal=internal)
        try:
            await asyncio.to_thread(lambda: self._opened().check_free(made))
        except OSError as error:
            raise SetupFailed("look for routes", error.strerror or error) from error
        self._refuse_if_taken(name)  # again: others were served meanwhile
        self._store.add_network(made)
        self._events.network_added(made)
        return made

    async def remove(self, network: Network) -> None:
        self._store.remove_network(network)
        self._events.network_removed(network)
        try:
            await asyncio.to_thread(lambda: self._opened().remove(network, lambda: not self.all()))
            await self._publishing.secure()
        except OSError as error:
            raise SetupFailed(f"remove the bridge {network.interface}", error.strerror or error) from error

    def leases(self, record: Record) -> tuple[Lease, ...]:
        return self._store.leases.of(record.id)

    def name_server(self, record: Record) -> str:
        """Where it asks for names: the host's address on the network that it leaves by, or the first; or empty."""
        connections = sorted(self._connections(record), key=lambda connection: not connection.leads_out)
        return str(connections[0].network.gateway) if connections else ""

    def links(self, record: Record) -> tuple[str, ...]:
        """The host's ends of its interfaces."""
        return tuple(connection.link for connection in self._connections(record))

    async def attach(self, record: Record, stage: Stage) -> None:
        """The blocked child gets its interfaces, addresses and routes."""
        connections = self._connections(record)
        if not connections:
            return
        await self._publishing.secure()
        if record.spec.networking.ports:
            await self._publishing.publish(record, _way_in(connections, record))
        naming = asyncio.ensure_future(self._naming.put(record, connections))
        namespace = stage.open_namespace("net")
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
        self, record: Record, network: Network, wanted: Fixed, aliases: tuple[str, ...], pid: int
    ) -> Record:
        """The record with one more network. pid: of its first process if it runs, which then has the interface."""
        if any(lease.network == network.name for lease in self.leases(record)):
            raise InvalidArgs(f"container {record.spec.name!r} is connected to network {network.name!r} already")
        spec = replace(record.spec, networking=record.spec.networking.joined(network.name, aliases))
        way_out = next((c for c in self._connections(record) if c.leads_out), None)
        leases = self._store.leases
        position = leases.position(record.id, way_out.lease.position + 1 if way_out else 0)
        lease = leases.choose(network, record.id, position, wanted)
        leases.taken(lease)
        try:
            if pid:
                await self._join(replace(record, spec=spec), lease, pid)
            return self._store.amend(record, spec, lambda: leases.insert(lease))
        except BaseException:
            made = next(c for c in self._connections(record) if c.lease == lease)
            leases.released(lease)
            if pid:
                await self._leave(record, made, None, pid)
            raise

    async def disconnect(self, record: Record, network: Network, pid: int) -> Record:
        """The record with one network less; its address there is free."""
        before = self._connections(record)
        gone = next((c for c in before if c.network == network), None)
        if gone is None:
            raise InvalidArgs(f"container {record.spec.name!r} is not connected to network {network.name!r}")
        way_out = next((c for c in before if c is not gone and not c.network.internal), None)
        if record.spec.networking.ports and way_out is None:
            raise InvalidArgs(
                f"container {record.spec.name!r} publishes ports by network {network.name!r}: take them back first"
            )
        spec = replace(record.spec, networking=record.spec.networking.left(network.name))
        after = self._store.amend(record, spec, lambda: self._store.leases.delete(gone.lease))
        self._store.leases.released(gone.lease)
        if pid:
            await self._leave(after, gone, way_out if gone.leads_out else None, pid)
        return after

    async def _join(self, record: Record, lease: Lease, pid: int) -> None:
        connections = self._connections(record)
        await self._publishing.secure()
        added = [connection for connection in connections if connection.lease == lease]
        await self._change(f"connect to network {lease.network}", pid, lambda host, ns: host.connect(added, ns))
        await self._naming.put(record, connections)
        self._naming.offer(added)

    async def _leave(self, record: Record, gone: Connection, way_out: Connection | None, pid: int) -> None:
        name = f"disconnect from network {gone.network.name}"
        try:
            await self._change(name, pid, lambda host, ns: host.disconnect(gone, way_out, ns))
        except SetupFailed as error:  # it has just ended, and its interfaces with it
            log.info("%s", error)
        connections = self._connections(record)
        if connections:
            await self._naming.put(record, connections)
        else:
            self._naming.drop(record.id)
        if record.spec.networking.ports and gone.leads_out:
            await self._publishing.move(record, self._way_in(record))

    async def _change(self, what: str, pid: int, work: Callable[[Host, int], None]) -> None:
        """In the namespace of what runs: the caller has it under its lock and will know when it has ended."""
        try:
            namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                async with self._room:
                    await _in_thread(lambda: work(self._opened(), namespace))
            finally:
                os.close(namespace)
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
        return _way_in(self._connections(record), record)

    def detached(self, record: Record) -> None:
        """Its namespace has ended, or will now."""
        self._publishing.withdraw(record)
        self._naming.drop(record.id)
        if self._host is not None:
            self._host.disconnected(self._connections(record))

    async def cut(self, record: Record) -> None:
        """Its interfaces go at once, though others may still be in its namespace: its addresses are free."""
        connections = self._connections(record)
        try:
            await asyncio.to_thread(lambda: self._opened().cut(connections))
        except OSError as error:
            log.error("the interfaces of container %s stay: %s", record.spec.name, error.strerror or error)

    async def examine_names(self) -> tuple[str, Mapping[str, str]]:
        """Why the name server does not answer, or empty; and why it cannot listen, by address."""
        return await self._naming.examine()

    async def restore(self, running: Sequence[tuple[Record, int]]) -> None:
        """After a start of the service: what runs keeps its network, what crashes have left behind goes.

        With the pids of first processes.
        """
        if not self._store.leases.networks():
            return
        connected = [(record, found) for record, _ in running if (found := self._connections(record))]
        connections = [connection for _, found in connected for connection in found]
        await self._naming.restore(connected)
        self._naming.offer(connections)
        try:
            await self._publishing.restore([(r, _way_in(c, r)) for r, c in connected if r.spec.networking.ports])
            lost = await asyncio.to_thread(lambda: self._opened().restore(connections))
            for name in lost:
                log.info("the link %s belonged to no container that runs, and is removed", name)
            for record, pid in running if lost else ():
                await self._lead_out(record, pid, lost)
        except (OSError, MctlError) as error:
            log.warning("networks cannot be restored: %s", error)

    async def _lead_out(self, record: Record, pid: int, lost: Sequence[str]) -> None:
        """It was being disconnected, and its default route may have led there."""
        way_out = next((connection for connection in self._connections(record) if connection.leads_out), None)
        if way_out is not None and any(link_name(record.id, network.name) in lost for network in self.all()):
            await self._change("restore the default route", pid, lambda host, ns: host.lead_out(way_out, ns))

    async def take_down(self) -> None:
        """The host as it was before the first network."""
        networks = self._store.leases.networks()
        if networks:
            await asyncio.to_thread(lambda: self._opened().take_down(networks))
            await self._publishing.take_down()

    def close(self) -> None:
        self._publishing.close()
        self._naming.close()
        if self._host is not None:
            self._host.close()

    def _find(self, name: str) -> Network:
        found = self._store.leases.network(name)
        if found is not None:
            return found
        if name != DEFAULT:
            raise NoSuchNetwork(f"there is no network {name!r}")
        made = self._new(DEFAULT, ROOT_UID, self._default)
        self._store.add_network(made)
        self._events.network_added(made)
        return made

    def _new(self, name: str, uid: int, subnet: IPv4Network | None, *, internal: bool = False) -> Network:
        known = list(self.all())
        wanted = subnet or next((s for s in POOL.subnets(new_prefix=POOL_PREFIX) if not _overlapping(s, known)), None)
        if wanted is None:
            raise LimitsExceeded(f"all subnets of {POOL} are in use: choose one yourself")
        if clash := _overlapping(wanted, known):
            raise SubnetInUse(f"Subnet {wanted} overlaps {clash.subnet} of {_called(clash, uid)}")
        return Network(
            name, _interface(name, known), uid, wanted, _local_subnet6(), time.time_ns() // 1_000, internal
        )  # fmt: skip

    def _refuse_if_taken(self, name: str) -> None:
        if self.get(name):
            raise NameTaken(f"network name {name!r} is taken: choose another")

    def _connections(self, record: Record) -> list[Connection]:
        leases = [(lease, self._find(lease.network)) for lease in self.leases(record)]
        way_out = next((lease for lease, network in leases if not network.internal), None)
        alias = f"container {record.spec.name}"
        return [Connection(network, lease, alias, leads_out=lease is way_out) for lease, network in leases]

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


def _way_in(connections: Iterable[Connection], record: Record) -> Lease:
    for connection in connections:
        if connection.leads_out:
            return connection.lease
    raise InvalidArgs(f"container {record.spec.name!r} has no network with a way in: no port can be published")


def _numbered(port: Port) -> Port:
    return port if port.host else replace(port, host=reservation.choose(port))


def _local_subnet6() -> IPv6Network:
    """A unique local one, RFC 4193: fd, 40 random bits, subnet 0."""
    return IPv6Network((b"\xfd" + secrets.token_bytes(5) + bytes(10), 64))


def _overlapping(subnet: IPv4Network, networks: Iterable[Network]) -> Network | None:
    return next((network for network in networks if network.subnet.overlaps(subnet)), None)


def _called(network: Network, uid: int) -> str:
    return f"network {network.name!r}" if network.is_visible_to(uid) else "another user's network"


def _interface(name: str, networks: Iterable[Network]) -> str:
    """The default network's is mctl0; others take the first number that is free."""
    taken = {network.interface for network in networks}
    numbers = range(0 if name == DEFAULT else 1, NETWORKS_MAX + 1)
    free = next((f"mctl{number}" for number in numbers if f"mctl{number}" not in taken), None)
    if free is None:
        raise LimitsExceeded(f"there are {NETWORKS_MAX} networks already, which is the most: remove one")
    return free


async def _in_thread(work: Callable[[], None]) -> None:
    """It may end in another network namespace than it began in."""
    await alone(work, "network")
