# SPDX-License-Identifier: GPL-3.0-or-later
"""PID 1 over org.freedesktop.systemd1: units by job, jobs by signal, never by polling.

It may execute itself anew at any time: calls are then made again, and jobs whose end it could not tell are looked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import MctlError, SetupFailed
from .presence import Presence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

NAME = "org.freedesktop.systemd1"
PATH = "/org/freedesktop/systemd1"
INTERFACE = f"{NAME}.Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"
UNIT_EXISTS = f"{NAME}.UnitExists"
OVER = ("inactive", "failed", "deactivating")
RESTARTS = ("restart", "try-restart")
FORCE = True  # also over links that lead elsewhere
RUNTIME = True  # not beyond the next boot, and for a transient unit not beyond its end
RELOAD_SPACING = 0.5  # seconds
UNKNOWN = "lost, and the unit not there"  # where a job's end has not been told
AFTER = {"start": ("active", "activating", "reloading"), "stop": ("inactive", "failed")}
LEFTOVER_TIMEOUT = 10.0  # seconds that PID 1 may take to let go of a unit whose processes are all gone


class Bus(Protocol):
    """What the service's bus connection offers to this floor."""

    async def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", body: Sequence[Any] = ()
    ) -> list[Any]: ...

    async def on_signal(
        self, sender: str, interface: str, member: str, callback: Callable[[str, list[Any]], None]
    ) -> None: ...


@dataclass(slots=True)
class _Job:
    """One that has been asked for. It may end before PID 1 has said which it is."""

    result: asyncio.Future[str]
    path: str = ""
    ended: dict[str, str] = field(default_factory=dict)

    def has_path(self, path: str) -> None:
        self.path = path
        if path in self.ended:
            self.result.set_result(self.ended[path])

    def has_ended(self, path: str, result: str) -> None:
        self.ended[path] = result
        if path == self.path and not self.result.done():
            self.result.set_result(result)


class Manager:
    """systemd's manager, seen by one client."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._presence = Presence(NAME)
        self._jobs: dict[str, list[_Job]] = {}
        self._removals: dict[str, list[asyncio.Future[None]]] = {}
        self._next_reload: asyncio.Future[None] | None = None
        self._reload_due = 0.0
        self._stop_requested: Callable[[str], None] = lambda _unit: None
        self._job_made: Callable[[str, str], None] = lambda _unit, _job: None
        self._job_over: Callable[[str], None] = lambda _unit: None

    async def open(
        self, stop_requested: Callable[[str], None], job_made: Callable[[str, str], None],
        job_over: Callable[[str], None],
    ) -> None:
        """`stop_requested` is called with a scope's name when PID 1 asks its controller to stop it, `job_made` with a
        unit's name and a job's path, `job_over` with a unit's name when that job has ended, however."""
        self._stop_requested, self._job_made, self._job_over = stop_requested, job_made, job_over
        await self._presence.watch(self._bus)
        await self._bus.on_signal(NAME, INTERFACE, "JobNew", lambda _, body: self._job_made(body[2], body[1]))
        await self._bus.on_signal(NAME, INTERFACE, "JobRemoved", self._on_job_removed)
        await self._bus.on_signal(NAME, INTERFACE, "UnitRemoved", self._on_unit_removed)
        await self._bus.on_signal(NAME, f"{NAME}.Scope", "RequestStop", self._on_request_stop)
        await self._call("Subscribe")

    async def _call(self, member: str, signature: str = "", *body: Any) -> list[Any]:
        return await self._ask(PATH, INTERFACE, member, signature, *body)

    async def _ask(self, path: str, interface: str, member: str, signature: str = "", *body: Any) -> list[Any]:
        """Again, if PID 1 has executed itself anew before it has answered."""
        while True:
            returns = self._presence.returns
            try:
                return await self._bus.call(NAME, path, interface, member, signature, body)
            except MctlError as error:
                await self._presence.await_return(error, returns)

    async def start_transient(self, unit: str, properties: list[list[Any]]) -> None:
        """Start a transient unit and wait for its job. A leftover of the same name is waited for, once."""
        gone, returns = self._removal_of(unit), self._presence.returns
        try:
            await self._start_transient(unit, properties)
        except MctlError as error:
            if getattr(error, "name", "") != UNIT_EXISTS:
                raise
            if self._presence.returns != returns and await self._was_taken(unit, properties):
                return
            await self._let_go(unit, gone)
            await self._start_transient(unit, properties)
        finally:
            self._removals[unit].remove(gone)
            if not self._removals[unit]:
                del self._removals[unit]

    async def _start_transient(self, unit: str, properties: list[list[Any]]) -> None:
        await self._job(unit, "StartTransientUnit", "ssa(sv)a(sa(sv))", "fail", properties, [])

    async def _was_taken(self, unit: str, properties: list[list[Any]]) -> bool:
        """Whether PID 1 had made the unit, which exists now, for us before it executed itself anew."""
        number, job = await self._get(path_of(unit), f"{NAME}.Unit", "Job")
        if number:
            with self._awaited(unit) as awaited:
                await self._end(unit, awaited, job)
        for _, pids in (found for found in properties if found[0] == "PIDs"):
            (path,) = await self._call("GetUnitByPID", "u", pids.value[0])
            if path != path_of(unit):
                return False
        return True

    async def start(self, unit: str) -> None:
        await self._job(unit, "StartUnit", "ss", "replace")

    async def stop(self, unit: str) -> None:
        await self._job(unit, "StopUnit", "ss", "replace", verb="stop")

    async def restart(self, unit: str) -> None:
        await self._job(unit, "RestartUnit", "ss", "replace")

    async def stop_rest(self, unit: str) -> None:
        """What is left of a unit that may have ended meanwhile."""
        with contextlib.suppress(MctlError):
            await self.stop(unit)

    async def restart_soon(self, unit: str) -> None:
        """Also while it is being started: the job that does that then starts it anew."""
        await self._call("RestartUnit", "ss", unit, "replace")

    async def reload(self) -> None:
        """Returns when PID 1 has read all units' files again, as they are now.

        That keeps it from all else for a while, so who asks at the same time is served by the same one, and no user
        who changes something again and again can have it done more often than RELOAD_SPACING allows.
        """
        if self._next_reload is None:
            self._next_reload = asyncio.ensure_future(self._reload())
        await asyncio.shield(self._next_reload)

    async def _reload(self) -> None:
        now = asyncio.get_running_loop().time()
        self._reload_due = max(now, self._reload_due)
        await asyncio.sleep(self._reload_due - now)
        self._reload_due += RELOAD_SPACING
        self._next_reload = None  # who comes from here on may have written what this one does not see
        await self._call("Reload")

    async def enable(self, unit: str) -> None:
        await self._call("EnableUnitFiles", "asbb", [unit], not RUNTIME, not FORCE)

    async def disable(self, unit: str) -> None:
        await self._call("DisableUnitFiles", "asb", [unit], not RUNTIME)

    async def hold(self, unit: str) -> None:
        """PID 1 forgets no unit that somebody holds, and so not how its main process has ended."""
        await self._call("RefUnit", "s", unit)

    async def let_go(self, unit: str) -> None:
        await self._call("UnrefUnit", "s", unit)

    async def service(self, unit: str) -> dict[str, Any]:
        """The properties of a service, as a unit and as a service."""
        found: dict[str, Any] = {}
        for interface in (f"{NAME}.Unit", f"{NAME}.Service"):
            (values,) = await self._ask(path_of(unit), PROPERTIES, "GetAll", "s", interface)
            found |= {name: variant.value for name, variant in values.items()}
        return found

    async def counters(self, unit: str, names: Iterable[str]) -> dict[str, int]:
        """Properties of a scope or service, as what it has used."""
        interface = f"{NAME}.{unit.rpartition('.')[2].capitalize()}"
        return {name: int(await self._get(path_of(unit), interface, name)) for name in names}

    async def _job(self, unit: str, member: str, signature: str, *rest: Any, verb: str = "start") -> None:
        """A call about `unit` that makes a job, and the job's end."""
        with self._awaited(unit) as job:
            (path,) = await self._call(member, signature, unit, *rest)
            await self._end(unit, job, path, verb)

    async def _end(self, unit: str, job: _Job, path: str, verb: str = "start") -> None:
        job.has_path(path)
        while not await self._presence.unless_it_returns(job.result):
            if not await self.type_of(path) and not job.result.done():  # it has ended, and nobody was told
                job.has_ended(path, await self._standing(unit, verb))
        result = job.result.result()
        if result != "done":
            raise SetupFailed(f"{verb} {unit}", f"systemd's job ended with {result!r}: see journalctl -b UNIT={unit}")

    @contextlib.contextmanager
    def _awaited(self, unit: str) -> Iterator[_Job]:
        """One whose end is listened for."""
        job = _Job(asyncio.get_running_loop().create_future())
        self._jobs.setdefault(unit, []).append(job)
        try:
            yield job
        finally:
            self._jobs[unit].remove(job)
            if not self._jobs[unit]:
                del self._jobs[unit]

    async def _standing(self, unit: str, verb: str) -> str:
        """What a job that is over has come to, by what is there."""
        return "done" if await self._state(unit) in AFTER[verb] else UNKNOWN

    async def _let_go(self, unit: str, gone: asyncio.Future[None]) -> None:
        await self.reset_failed(unit)  # if it is gone meanwhile the wait below tells
        try:
            await asyncio.wait_for(gone, LEFTOVER_TIMEOUT)
        except TimeoutError as error:
            raise SetupFailed(f"start {unit}", "a unit of that name still exists: see systemctl status") from error

    async def reset_failed(self, unit: str) -> None:
        """As if it had never failed, nor been started too often. Nothing where it has not."""
        with contextlib.suppress(MctlError):
            await self._call("ResetFailedUnit", "s", unit)

    def _removal_of(self, unit: str) -> asyncio.Future[None]:
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._removals.setdefault(unit, []).append(gone)
        return gone

    async def active(self, pattern: str) -> list[str]:
        """Names of the units that match and are there."""
        states = ["active", "activating", "reloading"]
        (found,) = await self._call("ListUnitsByPatterns", "asas", states, [pattern])
        return [unit[0] for unit in found]

    async def kill(self, unit: str, signal: int) -> None:
        """A signal to every process of the unit."""
        await self._call("KillUnit", "ssi", unit, "all", signal)

    async def freeze(self, unit: str) -> None:
        """Answered when the kernel has frozen every process of the unit."""
        await self._call("FreezeUnit", "s", unit)

    async def thaw(self, unit: str) -> None:
        await self._call("ThawUnit", "s", unit)

    async def version(self) -> int:
        """As it tells it: 257.9-1~deb13u1, of which the first number; 0 where there is none."""
        found = re.match(r"\d+", str(await self._get(PATH, INTERFACE, "Version")))
        return int(found[0]) if found else 0

    async def is_stopping(self) -> bool:
        """Whether the host is shutting down."""
        return bool(await self._get(PATH, INTERFACE, "SystemState") == "stopping")

    async def type_of(self, job: str) -> str:
        """start, stop and others; empty where the job is over."""
        try:
            return str(await self._get(job, f"{NAME}.Job", "JobType"))
        except MctlError:
            return ""

    async def is_coming_back(self, unit: str) -> bool:
        """Whether what ends now is being restarted, and PID 1 keeps its descriptors meanwhile."""
        _, job = await self._get(path_of(unit), f"{NAME}.Unit", "Job")
        return await self.type_of(job) in RESTARTS

    async def is_over(self, unit: str) -> bool:
        """Whether nothing of it runs, or it has been told to end."""
        try:
            return await self._state(unit) in OVER
        except MctlError:  # nobody can say
            return False

    async def is_down(self, unit: str) -> bool:
        """Whether nothing of it runs, and PID 1 is not about to start it."""
        return await self._state(unit) in AFTER["stop"]

    async def _state(self, unit: str) -> str:
        return str(await self._get(path_of(unit), f"{NAME}.Unit", "ActiveState"))

    async def _get(self, path: str, interface: str, name: str) -> Any:
        (found,) = await self._ask(path, PROPERTIES, "Get", "ss", interface, name)
        return found.value

    async def set_properties(self, unit: str, properties: list[list[Any]]) -> None:
        """All of them or none, until the unit ends. In force when it returns: PID 1 takes messages in turn, and writes
        to the cgroup before it takes the next one (manager_dispatch_cgroup_realize_queue)."""
        await self._call("SetUnitProperties", "sba(sv)", unit, RUNTIME, properties)
        await self._ask(PATH, "org.freedesktop.DBus.Peer", "Ping")

    def _on_job_removed(self, _path: str, body: list[Any]) -> None:
        _, job, unit, result = body
        for waiting in self._jobs.get(unit, ()):
            waiting.has_ended(job, result)
        self._job_over(unit)

    def _on_unit_removed(self, _path: str, body: list[Any]) -> None:
        for gone in self._removals.get(body[0], ()):
            if not gone.done():
                gone.set_result(None)

    def _on_request_stop(self, path: str, _body: list[Any]) -> None:
        self._stop_requested(unit_of(path))


def path_of(unit: str) -> str:
    """As sd_bus_path_encode(3); no unit's name begins with a digit here."""
    return f"{PATH}/unit/" + "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):02x}" for c in unit)


def unit_of(path: str) -> str:
    """The unit's name in an object path, unescaped as sd_bus_path_decode(3) does."""
    escaped = path.removeprefix(f"{PATH}/unit/")
    head, *rest = escaped.split("_")
    return head + "".join(chr(int(part[:2], 16)) + part[2:] for part in rest)
