# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's side of the spawner and of a blocked child."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import select
import socket
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import VERSION
from ..errors import ADVICE, CommandNotExecutable, CommandNotFound, SetupFailed, SpawnerUnavailable
from . import namespace
from .spawner import MESSAGE_MAX, PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .plan import Plan
    from .users import IdMap

OPEN = b"o"
STAGE_ANSWER_MAX = 64 << 10


@dataclass(frozen=True, slots=True)
class Status:
    """What the spawner knows of a child; pid None: never heard of it.

    code is None while it runs, then CLD_EXITED, CLD_KILLED or CLD_DUMPED, and status as in waitid(2).
    note: what join() was given.
    """

    pid: int | None = None
    code: int | None = None
    status: int = 0
    note: Any = None


@dataclass(frozen=True, slots=True)
class Inherited:
    """What only a parent outside can give to a child: limits of setrlimit(2) by name, the strict ones as asked for."""

    resource_limits: Mapping[str, tuple[int, int]]
    strict_limits: tuple[str, ...] = ()
    oom_score_adjust: int = 0

    def described(self) -> dict[str, Any]:
        return {
            "resource_limits": dict(self.resource_limits), "strict_limits": self.strict_limits,
            "oom_score_adjust": self.oom_score_adjust,
        }  # fmt: skip


class Stage:
    """A child that exists in its namespaces and waits for its plan. Closing the channel ends it."""

    def __init__(self, pid: int, pidfd: int, channel: socket.socket) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self._channel = channel
        self._handed_up: dict[str, int] = {}

    def open_namespace(self, kind: str) -> int:
        """kind: a name below /proc/PID/ns, namespaces(7)."""
        return namespace.opened(self.pidfd, kind)

    def begin(self, plan: Plan, descriptors: Mapping[str, int]) -> None:
        """The one message down: from here on the child works by itself, as far as the plan's gate."""
        memory = os.memfd_create("plan", os.MFD_CLOEXEC)
        try:
            os.write(memory, plan.encode())
            os.lseek(memory, 0, os.SEEK_SET)
            names = ["plan", *descriptors]
            socket.send_fds(
                self._channel, [json.dumps({"descriptors": names}).encode()], [memory, *descriptors.values()]
            )
        finally:
            os.close(memory)

    async def finish(self, plan: Plan) -> None:
        """Open the gate. Returns when the payload has been executed; otherwise raises, and the child is gone."""
        with contextlib.suppress(ConnectionError):  # it has failed before its gate: the answer tells how
            self._channel.send(OPEN)
        await self.executed(plan)

    async def executed(self, plan: Plan) -> None:
        """As finish, for a plan without gate."""
        while message := await self._message():
            answer, received = json.loads(message[0]), message[1]
            if "descriptors" not in answer:
                raise _failure(answer, plan)
            self._handed_up |= zip(answer["descriptors"], [_only(received)], strict=True)

    async def _message(self) -> tuple[bytes, list[int]] | None:
        """None at the end."""
        while True:
            try:
                message, received, _, _ = socket.recv_fds(self._channel, STAGE_ANSWER_MAX, 1)
            except BlockingIOError:
                await self._readable()
                continue
            for descriptor in received:  # recv_fds() ignores MSG_CMSG_CLOEXEC, as all its flags
                os.set_inheritable(descriptor, False)  # noqa: FBT003  the call takes no keyword
            return (message, list(received)) if message else None

    async def _readable(self) -> None:
        loop, arrived = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._channel, arrived.set)
        try:
            await arrived.wait()
        finally:
            loop.remove_reader(self._channel)

    def take(self, name: str) -> int | None:
        """What the plan has made for us, which is the caller's from now on."""
        return self._handed_up.pop(name, None)

    def close(self) -> None:
        self._channel.close()
        while self._handed_up:
            os.close(self._handed_up.popitem()[1])


def _failure(answer: dict[str, Any], plan: Plan) -> Exception:
    if answer["operation"] in ("program", "execute"):
        name = plan.steps[-1].arguments["command"][0]
        if answer["error"] in ("ENOENT", "ENOTDIR"):
            return CommandNotFound(f"command {name!r} does not exist in the container: {answer['text']}")
        if answer["error"] in ("EACCES", "ENOEXEC", "ELOOP", "EISDIR"):
            return CommandNotExecutable(f"command {name!r} cannot be executed: {answer['text']}")
    return SetupFailed(answer["does"], answer["text"])


def _only(descriptors: list[int]) -> int:
    """The kernel drops what does not fit below RLIMIT_NOFILE, and only says that it did: unix(7), MSG_CTRUNC."""
    if not descriptors:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return descriptors[0]


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _is_hung_up(connected: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connected, 0)
    return bool(poll.poll(0))


def _held(descriptors: list[int]) -> list[int]:
    """Copies, for whoever gave them may close them before they are sent."""
    held: list[int] = []
    try:
        for descriptor in descriptors:
            held.append(os.dup(descriptor))
    except OSError as error:
        _close(held)
        raise SetupFailed("ask for a process", error.strerror) from error
    return held


def _birth(verb: str, namespaces: int, ids: IdMap | None, inherited: Inherited) -> dict[str, Any]:
    maps = {"uid_map": ids.uids, "gid_map": ids.gids} if ids else {}
    return {"verb": verb, "namespaces": namespaces, **inherited.described(), **maps}


class Spawner:
    """One connection to a spawner, `unit`; requests are answered in the order they are sent."""

    def __init__(self, path: str, unit: str = "mctl-spawner.service") -> None:
        self._path = path
        self._unit = unit
        self._protocol: int | None = None
        self._version = ""
        self._socket: socket.socket | None = None
        self._waiting: deque[asyncio.Future[tuple[dict[str, Any], list[int]]]] = deque()
        self._unsent: deque[tuple[bytes, list[int]]] = deque()  # with descriptors of their own

    async def connect(self) -> dict[str, int]:
        """The names and pids of the children that run or have not been forgotten."""
        hello, _ = await self._ask({"verb": "hello"})
        self._protocol, self._version = hello["protocol"], hello.get("version", "")
        children: dict[str, int] = hello["children"]
        return children

    @property
    def outdated(self) -> bool:
        """It was started by another version of this package: what has been mended since, it does not know."""
        return self._protocol is not None and (self._protocol, self._version) != (PROTOCOL, VERSION)

    @property
    def understands(self) -> bool:
        """Our births and plans, as far as we know."""
        return self._protocol in (None, PROTOCOL)

    async def spawn(
        self, name: str, namespaces: int, ids: IdMap | None, inherited: Inherited, network: Sequence[int] = ()
    ) -> Stage:
        """network: a pidfd of the process whose network namespace it shall share, where it has none of its own."""
        return await self._stage({**_birth("spawn", namespaces, ids, inherited), "name": name}, *network)

    async def bear(
        self, namespaces: int, ids: IdMap | None, inherited: Inherited, cgroup: int, network: Sequence[int] = ()
    ) -> Stage:
        """A child of PID 1's, in an open cgroup directory: nobody but PID 1 hears of its end."""
        return await self._stage(_birth("bear", namespaces, ids, inherited), cgroup, *network)

    async def join(self, name: str, container: int, cgroup: int, note: Any, inherited: Inherited) -> Stage:
        """Born in the PID namespace of the process that `container`, a pidfd, means, and in an open cgroup directory.

        `note` comes back with the status, whoever asks, until the name is forgotten.
        """
        request = {"verb": "join", "name": name, "note": note, **inherited.described()}
        return await self._stage(request, container, cgroup)

    async def _stage(self, request: dict[str, Any], *descriptors: int) -> Stage:
        self._look_whether_it_is_gone()
        if self._protocol is None:
            await self.connect()
        if not self.understands:
            raise SpawnerUnavailable(
                f"{self._unit} is of version {self._version or 'unknown'}, mctld.service of {VERSION}: "
                "systemctl restart mctld.service brings them together, and no running container notices"
            )
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(0)
        try:
            with theirs:
                reply, received = await self._ask(request, [theirs.fileno(), *descriptors])
            return Stage(reply["pid"], _only(received), ours)
        except BaseException:
            ours.close()  # which ends the child
            raise

    async def user_namespace(self, ids: IdMap) -> int:
        """A descriptor of a user namespace with these maps, for idmapped mounts."""
        _, descriptors = await self._ask({"verb": "map", "uid_map": ids.uids, "gid_map": ids.gids})
        return _only(descriptors)

    async def status(self, name: str) -> Status:
        reply, _ = await self._ask({"verb": "status", "name": name})
        return Status(**reply)

    async def forget(self, name: str) -> None:
        await self._ask({"verb": "forget", "name": name})

    async def _ask(self, request: dict[str, Any], descriptors: list[int] | None = None) -> tuple[dict[str, Any], Any]:
        self._look_whether_it_is_gone()
        waiting = self._send(request, descriptors or [])
        try:
            reply, received = await waiting
        except asyncio.CancelledError:
            if not waiting.cancelled() and not waiting.exception():  # both happened at once
                _close(waiting.result()[1])
            raise
        if "error" in reply:
            raise SetupFailed(f"{request['verb']} a process", f"{reply['error']}; {ADVICE}")
        return reply, received

    def _send(
        self, request: dict[str, Any], descriptors: list[int]
    ) -> asyncio.Future[tuple[dict[str, Any], list[int]]]:
        waiting: asyncio.Future[tuple[dict[str, Any], list[int]]] = asyncio.get_running_loop().create_future()
        try:
            self._write(self._connected(), json.dumps(request).encode(), descriptors)
        except OSError as error:
            self._lose(error)
            raise SpawnerUnavailable(
                f"{self._unit} cannot be reached ({error.strerror}): see systemctl status {self._unit}"
            ) from error
        self._waiting.append(waiting)
        return waiting

    def _write(self, connected: socket.socket, request: bytes, descriptors: list[int]) -> None:
        """The kernel keeps few requests for a spawner that is busy (net.unix.max_dgram_qlen): the others wait here."""
        if not self._unsent:
            try:
                socket.send_fds(connected, [request], descriptors)
            except BlockingIOError:
                pass
            else:
                return
        self._unsent.append((request, _held(descriptors)))
        asyncio.get_running_loop().add_writer(connected, self._write_more)

    def _write_more(self) -> None:
        assert self._socket is not None
        try:
            while self._unsent:
                request, descriptors = self._unsent[0]
                socket.send_fds(self._socket, [request], descriptors)
                self._drop_unsent()
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        asyncio.get_running_loop().remove_writer(self._socket)

    def _drop_unsent(self) -> None:
        _close(self._unsent.popleft()[1])

    def _connected(self) -> socket.socket:
        if self._socket is None:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                made.connect(self._path)
            except OSError:
                made.close()
                raise
            made.settimeout(0)
            asyncio.get_running_loop().add_reader(made, self._receive)
            self._socket = made
        return self._socket

    def _receive(self) -> None:
        assert self._socket is not None
        try:
            message, descriptors, _, _ = socket.recv_fds(self._socket, MESSAGE_MAX, 4)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        if not message:
            self._lose(ConnectionResetError(errno.ECONNRESET, "it is gone"))
            return
        waiting = self._waiting.popleft()
        if waiting.cancelled():
            _close(descriptors)
        else:
            waiting.set_result((json.loads(message), list(descriptors)))

    def _look_whether_it_is_gone(self) -> None:
        """The event loop has not come to it yet; PID 1 starts another one for whoever connects anew."""
        while self._socket is not None and _is_hung_up(self._socket):
            self._receive()  # what it has answered, and then the end

    def _lose(self, error: OSError) -> None:
        """The spawner is gone: whoever waits is told, and the next request connects anew."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            asyncio.get_running_loop().remove_writer(self._socket)
            self._socket.close()
            self._socket, self._protocol = None, None
        while self._unsent:
            self._drop_unsent()
        told = f"{self._unit} went away ({error.strerror}): see systemctl status {self._unit}"
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(SpawnerUnavailable(told))

    def close(self) -> None:
        if self._socket is not None:
            self._lose(ConnectionAbortedError(103, "the service is stopping"))
