# SPDX-License-Identifier: GPL-3.0-or-later
"""A lifecycle without containers: what the bus asks for, answered from memory."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, TypeVar

from bus.simulated_copies import SimulatedCopies
from bus.simulated_execs import SimulatedExecs
from bus.simulated_images import SimulatedImages, SimulatedTransfers
from bus.simulated_volumes import SimulatedVolumes
from mctld.errors import AlreadyRunning, InvalidArgs, NameTaken, NoSuchNetwork, NoTerminal, NotRunning
from mctld.lifecycle.events import Events, Exit
from mctld.lifecycle.limits import difference
from mctld.networking import DEFAULT, Network
from mctld.process import Process
from mctld.spec import Rootfs, Spec
from mctld.state import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from mctld.change import Change
    from mctld.credential import Credentials
    from mctld.draft import Draft
    from mctld.image import Image
    from mctld.lifecycle.committing import Configure
    from mctld.lifecycle.logs import EventQuery, LogQuery
    from mctld.lifecycle.vitals import Result
    from mctld.macvlan import Macvlan
    from mctld.networking import Fixed, Lease
    from mctld.ports import Port
    from mctld.reference import Reference
    from mctld.usage import Usage
    from mctld.volume import Volume

T = TypeVar("T")


@dataclass(eq=False)
class SimulatedContainer:
    registry: SimulatedRegistry
    spec: Spec
    id: str
    owner_uid: int
    state: State = State.CREATED
    enabled: bool = False
    main_pid: int = 0
    uid_shift: int = 1_000_000
    warnings: tuple[str, ...] = ()
    created_usec: int = 1
    started_usec: int = 0
    started_monotonic_usec: int = 0
    exited_usec: int = 0
    exited_monotonic_usec: int = 0
    leases: tuple[Lease, ...] = ()
    end: Exit | None = None
    restarts: int = 0
    next_start_usec: int = 0
    health: str = "none"
    ready: bool = False
    status_text: str = ""
    health_results: Sequence[Result] = ()
    done: list[tuple[object, ...]] = field(default_factory=list)  # what was called, for tests
    hold: asyncio.Event | None = None  # if set, start waits for it
    window: tuple[int, int] = (0, 0)
    sockets: list[socket.socket] = field(default_factory=list)  # of those attached to the terminal

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def unit(self) -> str:
        return f"mctl-{self.name}.scope"

    @property
    def slice(self) -> str:
        return f"mctl-u{self.owner_uid}.slice"

    @property
    def control_group(self) -> str:
        return f"/mctl.slice/{self.slice}/{self.unit}" if self.main_pid else ""

    async def start(
        self, *, stdin: int | None = None, attach: bool = False, window: tuple[int, int] = (0, 0)
    ) -> tuple[int, ...]:
        self.done.append(("start",))
        if stdin is not None:
            self.registry.stdin.append(os.read(stdin, 100))
        self.window = window
        if self.hold:
            await self.hold.wait()
        if not self.state.can_start:
            raise AlreadyRunning(f"container {self.name!r} is {self.state.value} already")
        self.state, self.main_pid, self.started_usec, self.end = State.RUNNING, 4242, 2, None
        self.registry.events.changed(self, "State", "MainPID", "StartTimestamp", "ControlGroup")  # type: ignore[arg-type]
        return self.attach() if attach else ()

    async def export(self, output: int, uid: int, *, pause: bool) -> None:
        self.done.append(("export", pause))
        try:
            if self.hold:
                await self.hold.wait()
        except asyncio.CancelledError:
            self.done.append(("export", "given up"))
            raise
        os.write(output, self.name.encode())

    async def list_changes(self, output: int, uid: int) -> None:
        os.write(output, b"A /new\0C /etc\0D /etc/issue\0")

    async def commit(
        self, uid: int, references: Sequence[Reference], configure: Configure, *, private: bool, pause: bool
    ) -> tuple[Image, int]:
        self.done.append(("commit", pause))
        return await self.registry.images.commit(self.spec, uid, references, configure, private=private)

    def attach(self) -> tuple[int, ...]:
        """Pipes that end at once, or a socket whose other end is in `sockets`."""
        self._refuse_if_not_running()
        if self.spec.terminal:
            ours, theirs = socket.socketpair()
            self.sockets.append(ours)
            return (theirs.detach(),)
        pairs = [os.pipe() for _ in range(2)]
        for _, writer in pairs:
            os.close(writer)
        return tuple(reader for reader, _ in pairs)

    def resize(self, rows: int, columns: int, /) -> None:
        self._refuse_if_not_running()
        if not self.spec.terminal:
            raise NoTerminal(f"container {self.name!r} has no terminal")
        self.window = (rows, columns)

    async def stop(self, *, timeout_usec: int | None) -> None:
        self.done.append(("stop", timeout_usec))
        self.finish(Exit("killed", self.spec.stop_signal))

    async def restart(self, *, timeout_usec: int | None) -> None:
        self.done.append(("restart", timeout_usec))

    async def kill(self, number: int, /, *, everyone: bool) -> None:
        self.done.append(("kill", number, everyone))
        self._refuse_if_not_running()

    async def processes(self, told: Callable[[Sequence[Process]], T], ready: Callable[[], Awaitable[None]], /) -> T:
        self._refuse_if_not_running()
        await ready()
        found = [
            Process(4242, 1, 77, self.uid_shift + 5, "S", 1_000, 2_000_000, 4096, "sh", ("sh", "-c", "a b")),
            Process(4243, 9, 4242, 3, "Z", 0, 1, 0, "x\x1b", ()),
        ]
        return await asyncio.to_thread(told, found)

    async def start_in_unit(self) -> None:
        await self.start()

    async def enable(self) -> None:
        self.enabled = True
        self.registry.events.changed(self, "Enabled")  # type: ignore[arg-type]

    async def disable(self) -> None:
        self.enabled = False
        self.registry.events.changed(self, "Enabled")  # type: ignore[arg-type]

    async def freeze(self) -> None:
        self.done.append(("freeze",))

    async def thaw(self) -> None:
        self.done.append(("thaw",))

    async def update(self, change: Change, /) -> None:
        before, self.spec = self.spec, change.of(self.spec)
        self.registry.events.changed(self, *difference(before, self.spec))  # type: ignore[arg-type]

    async def remove(self, *, force: bool) -> None:
        self.done.append(("remove", force))
        self.registry.forget(self)

    async def publish(self, *, added: Sequence[Port] = (), removed: Sequence[Port] = ()) -> None:
        self.done.append(("publish", tuple(added), tuple(removed)))

    async def connect(self, network: Network, wanted: Fixed, aliases: tuple[str, ...], /) -> None:
        self.done.append(("connect", network.name, wanted, *aliases))

    async def disconnect(self, network: Network, /) -> None:
        self.done.append(("disconnect", network.name))

    async def wait(self) -> Exit:
        while self.state.is_active:
            await self.registry.something_ended()
        return self.end or Exit("never-started")

    async def wait_ready(self) -> bool:
        while self.state.is_active and not self.ready:
            await self.registry.something_ended()
        return self.ready

    def follow_log(self, query: LogQuery, *, reader_uid: int) -> tuple[int, int]:
        self.done.append(("follow_log", query))
        log, end = os.pipe(), os.pipe()
        os.write(log[1], b"one line\n")
        os.write(end[1], b"s=1\n")
        for _, writing in (log, end):
            os.close(writing)
        return log[0], end[0]

    def open_log(self, query: LogQuery, *, reader_uid: int) -> int:
        self.done.append(("open_log", query))
        reader, writer = os.pipe()
        os.write(writer, b"one line\n")
        os.close(writer)
        return reader

    def _refuse_if_not_running(self) -> None:
        if not self.state.can_be_signalled:
            raise NotRunning(f"container {self.name!r} is not running")

    def finish(self, end: Exit) -> None:
        self.state, self.main_pid, self.exited_usec, self.end = State.EXITED, 0, 3, end
        self.registry.events.changed(self, "State", "MainPID", "ExitHow", "ExitStatus")  # type: ignore[arg-type]
        self.registry.events.exited(self, end)  # type: ignore[arg-type]
        self.registry.wake()
        if self.spec.auto_remove:
            self.registry.forget(self)


class SimulatedNetworks:
    def __init__(self, events: Events) -> None:
        self.found: dict[str, Network] = {}
        self._events = events

    def all(self) -> Iterable[Network]:
        return tuple(self.found.values())

    def get(self, name: str) -> Network | None:
        return self.found.get(name)

    def find(self, names: Iterable[str], uid: int) -> list[Network]:
        wanted = tuple(names)
        if DEFAULT in wanted and DEFAULT not in self.found:
            self.add(DEFAULT, 0)
        found = [self.found.get(name) for name in wanted]
        if not all(network and network.is_visible_to(uid) for network in found):
            raise NoSuchNetwork("there is no such network")
        return [network for network in found if network]

    def users(self, network: Network) -> int:
        return len(network.name)

    def add(
        self,
        name: str,
        uid: int,
        subnet: str = "10.90.0.0/24",
        *,
        internal: bool = False,
        macvlan: Macvlan | None = None,
    ) -> Network:
        interface = macvlan.parent if macvlan else "mctl1"
        made = Network(name, interface, uid, IPv4Network(subnet), IPv6Network("fd12::/64"), 7, internal, macvlan)
        self.found[name] = made
        self._events.network_added(made)
        return made

    async def create(self, draft: Draft, uid: int) -> Network:
        if draft.name in self.found:
            raise NameTaken(f"network name {draft.name!r} is taken")
        subnet = str(draft.subnet or "10.90.0.0/24")
        return self.add(draft.name, uid, subnet, internal=draft.internal, macvlan=draft.macvlan)

    async def remove(self, network: Network) -> None:
        del self.found[network.name]
        self._events.network_removed(network)


class SimulatedRegistry:
    def __init__(self) -> None:
        self.copies = SimulatedCopies()
        self.events = Events()
        self.networks = SimulatedNetworks(self.events)
        self.images = SimulatedImages()
        self.transfers = SimulatedTransfers()
        self.volumes = SimulatedVolumes()
        self.execs = SimulatedExecs(self.events)
        self.containers: dict[str, SimulatedContainer] = {}
        self.gone: dict[str, tuple[int, Exit]] = {}
        self.stdin: list[bytes] = []
        self.secrets: dict[str, Credentials] = {}
        self.used: dict[str, Usage] = {}
        self.asked: list[tuple[EventQuery, int]] = []  # for events, by whom
        self.counted_for: list[int] = []  # uids
        self._ids = itertools.count(1)
        self._waiters: list[asyncio.Future[None]] = []

    def add(self, name: str, owner_uid: int, **options: object) -> SimulatedContainer:
        """owner=None: of a directory that shows other users' files."""
        rootfs = Rootfs("/srv/rootfs", 1, 2, options.pop("owner", (owner_uid, owner_uid)))  # type: ignore[arg-type]
        return self._enlist(Spec(name=name, rootfs=rootfs, command=("/bin/true",), **options), owner_uid)  # type: ignore[arg-type]

    def get(self, name: str) -> SimulatedContainer | None:
        return self.containers.get(name)

    def find(self, name_or_id: str) -> SimulatedContainer | None:
        if name_or_id in self.containers:
            return self.containers[name_or_id]
        found = [c for c in self.all() if len(name_or_id) >= 4 and c.id.startswith(name_or_id)]
        if len(found) > 1:
            raise InvalidArgs(f"id {name_or_id!r} is ambiguous")
        return found[0] if found else None

    def all(self) -> Iterable[SimulatedContainer]:
        return tuple(self.containers.values())

    async def usage(self, containers: Sequence[SimulatedContainer]) -> list[Usage | None]:
        return [self.used.get(container.name) for container in containers]

    async def disk_use(
        self, containers: Sequence[SimulatedContainer], volumes: Sequence[Volume], *, uid: int
    ) -> list[int]:
        self.counted_for.append(uid)
        return [len(name) for name in (*(c.name for c in containers), *(v.name for v in volumes))]

    def departed(self, name_or_id: str) -> tuple[int, Exit] | None:
        return self.gone.get(name_or_id)

    def generate_name(self, rootfs_path: str) -> str:
        return f"{os.path.basename(rootfs_path).lower().replace('_', '-')[:20]}-{len(self.containers)}"

    async def create(self, spec: Spec, owner_uid: int, secrets: Credentials) -> SimulatedContainer:
        if spec.name in self.containers:
            raise NameTaken(f"name {spec.name!r} is taken")
        self.secrets[spec.name] = secrets
        return self._enlist(spec, owner_uid)

    async def run(
        self, spec: Spec, owner_uid: int, secrets: Credentials, *,
        stdin: int | None, attach: bool, window: tuple[int, int],
    ) -> tuple[SimulatedContainer, tuple[int, ...]]:
        made = await self.create(spec, owner_uid, secrets)
        return made, await made.start(stdin=stdin, attach=attach, window=window)

    def open_events(self, query: EventQuery, *, reader_uid: int) -> int:
        self.asked.append((query, reader_uid))
        reader, writer = os.pipe()
        os.close(writer)
        return reader

    async def rename(self, container: SimulatedContainer, name: str) -> None:
        if name in self.containers:
            raise NameTaken(f"name {name!r} is taken")
        self.events.removed(container)  # type: ignore[arg-type]
        del self.containers[container.name]
        container.spec = replace(container.spec, name=name)
        self.containers[name] = container
        self.events.added(container)  # type: ignore[arg-type]

    def forget(self, container: SimulatedContainer) -> None:
        del self.containers[container.name]
        self.gone[container.name] = self.gone[container.id] = (
            container.owner_uid,
            container.end or Exit("never-started"),
        )
        self.events.removed(container)  # type: ignore[arg-type]

    async def something_ended(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def _enlist(self, spec: Spec, owner_uid: int) -> SimulatedContainer:
        made = SimulatedContainer(self, spec, f"{next(self._ids):032x}"[::-1], owner_uid)
        self.containers[spec.name] = made
        self.events.added(made)  # type: ignore[arg-type]
        return made
