# SPDX-License-Identifier: GPL-3.0-or-later
"""Parent and reaper of containers' processes that nobody else is the parent of; a service that outlives mctld.

Single-threaded and light, so that a fork of it costs a millisecond and needs no care. It reaps nobody before
mctld says so: an exit status waits for as long as it takes. Requests are JSON, one to a message, on a root-only
SOCK_SEQPACKET socket that systemd listens on (sd_listen_fds(3)); descriptors travel beside them as SCM_RIGHTS.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import resource
import select
import signal
import socket
import sys

from .. import VERSION
from ..kernel import constants as c
from ..kernel import process
from . import programs, stage
from .children import Children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Reply = tuple[dict[str, Any], list[int]]

# Of births and of the plans; tests/contract/test_protocol.py tells when it has to change. hello, status and forget are
# understood by every version of the service: it asks its predecessor's spawner until nobody of that one's runs.
PROTOCOL = 1
LISTEN_FD = 3
COREDUMP_FILTER = "0x33"  # core(5)
MESSAGE_MAX = 192 << 10  # below the default limit of a message, net.core.wmem_default
ELSEWHERE = {"net": c.CLONE_NEWNET, "pid": c.CLONE_NEWPID}


class Spawner:
    """Answers one request after the other."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._children = Children()
        self._clients: dict[int, socket.socket] = {}
        self._poll = select.poll()
        self._verbs: dict[str, Callable[[dict[str, Any], list[int]], Reply]] = {
            "hello": lambda _request, _descriptors: (self._about(), []),
            "spawn": self._spawn,
            "bear": self._bear,
            "join": self._join,
            "map": self._map,
            "status": lambda request, _descriptors: (self._children.status(request["name"]), []),
            "forget": self._forget,
        }

    def serve(self) -> None:
        deaths = _told_of_deaths()
        self._poll.register(self._listener, select.POLLIN)
        self._poll.register(deaths, select.POLLIN)
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._listener.fileno():
                    self._accept()
                elif descriptor == deaths:
                    os.read(deaths, 4096)
                    self._children.reap_joined()
                else:
                    self._converse(descriptor)

    def _about(self) -> dict[str, Any]:
        return {"protocol": PROTOCOL, "version": VERSION, "children": self._children.pids()}

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self._clients[client.fileno()] = client
        self._poll.register(client, select.POLLIN)

    def _converse(self, descriptor: int) -> None:
        client = self._clients[descriptor]
        try:
            message, received, _, _ = socket.recv_fds(client, MESSAGE_MAX, 8)
            if not message:
                raise ConnectionResetError
            reply, sent = self._answer(message, received)
            self._send(client, reply, sent)
        except OSError:  # the client is gone; what it started goes on
            self._poll.unregister(descriptor)
            del self._clients[descriptor]
            client.close()

    def _answer(self, message: bytes, received: list[int]) -> Reply:
        try:
            request = json.loads(message)
            return self._verbs[request["verb"]](request, received)
        except Exception as error:  # whatever it is: the parent of all containers goes on
            return {"error": stage.sentence(error)}, []
        finally:
            for descriptor in received:
                os.close(descriptor)

    def _send(self, client: socket.socket, reply: dict[str, Any], descriptors: list[int]) -> None:
        try:
            socket.send_fds(client, [json.dumps(reply).encode()], descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _spawn(self, request: dict[str, Any], received: list[int]) -> Reply:
        """A child in new namespaces, blocked on its channel; its pidfd comes back.

        Beside the channel may come a pidfd of whom it shall share the network with.
        """
        channel, *network = received
        pid, pidfd = _inheriting(network, lambda: process.clone(request["namespaces"]))
        if pid == 0:
            self._become_stage(channel)
        try:
            self._prepare(pid, request)
        except BaseException:
            os.close(pidfd)
            _discard(pid)
            raise
        self._children.add(request["name"], pid)
        return {"pid": pid}, [pidfd]

    def _bear(self, request: dict[str, Any], received: list[int]) -> Reply:
        """As _spawn, but in a cgroup, and not ours: our parent's, PID 1's, who keeps the status as that of a service's
        main process. Nothing of it is remembered here."""
        channel, cgroup, *network = received
        pid, pidfd = _inheriting(network, lambda: process.clone_for_parent(request["namespaces"], cgroup))
        if pid == 0:
            self._become_stage(channel)
        try:
            self._prepare(pid, request)
        except BaseException:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
            raise
        return {"pid": pid}, [pidfd]

    def _join(self, request: dict[str, Any], received: list[int]) -> Reply:
        """As _spawn, but in the cgroup and the PID namespace of a container that runs.

        A PID namespace is entered by being born into it: setns(2) is for children to come. The rest the child does
        itself, so neither a hostile container nor a frozen one can hold us up.
        """
        channel, container, cgroup = received
        pid, pidfd = _out_of_reach(lambda: _elsewhere("pid", container, lambda: process.clone(0, cgroup)))
        if pid == 0:
            self._become_stage(channel)
        try:
            self._prepare(pid, request)
        except BaseException:
            os.close(pidfd)
            _discard(pid)
            raise
        self._children.add_joined(request["name"], pid, request["note"])
        return {"pid": pid}, [pidfd]

    def _become_stage(self, channel: int) -> None:
        """In the child: let go of what is the spawner's, then follow the plan. Never returns."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            sys.meta_path.clear()  # what is not loaded by now would be looked for among the container's files
            kept = os.dup2(channel, LISTEN_FD, inheritable=False)
            os.closerange(LISTEN_FD + 1, 1 << 16)
            stage.run(socket.socket(fileno=kept))
        finally:
            os._exit(stage.EXIT_SETUP_FAILED)

    def _prepare(self, pid: int, request: dict[str, Any]) -> None:
        """What only a parent outside the new user namespace may write, user_namespaces(7)."""
        if "uid_map" in request:
            _write(f"/proc/{pid}/uid_map", request["uid_map"])
            _write(f"/proc/{pid}/gid_map", request["gid_map"])
        _write(f"/proc/{pid}/oom_score_adj", str(request["oom_score_adjust"]))
        for name, (soft, hard) in request["resource_limits"].items():
            _limit(pid, name, soft, hard, strict=name in request["strict_limits"])

    def _map(self, request: dict[str, Any], _: list[int]) -> Reply:
        """A user namespace with the asked-for maps and nobody in it: what an idmapped mount takes."""
        pid, pidfd = process.clone(c.CLONE_NEWUSER)
        if pid == 0:
            signal.pause()
            os._exit(0)
        try:
            _write(f"/proc/{pid}/uid_map", request["uid_map"])
            _write(f"/proc/{pid}/gid_map", request["gid_map"])
            return {}, [os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)]
        finally:
            os.close(pidfd)
            _discard(pid)

    def _forget(self, request: dict[str, Any], _: list[int]) -> Reply:
        self._children.forget(request["name"])
        return {}, []


def _inheriting(network: list[int], clone: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    """With a pidfd in `network`, the child is born in the network namespace of that process.

    It could not enter by itself: where it is root, in its own user namespace, it has no rights in another's.
    """
    return _elsewhere("net", network[0], clone) if network else clone()


def _elsewhere(kind: str, owner: int, clone: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    """The child is born in the namespace of that kind, "net" or "pid", of the process that the pidfd `owner` means.

    We are back in our own before anything else is done.
    """
    own = os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    pid = -1
    try:
        process.enter_namespaces(owner, ELSEWHERE[kind])
        pid, pidfd = clone()
        return pid, pidfd
    finally:
        if pid:
            _come_back(own, ELSEWHERE[kind])
        os.close(own)


def _come_back(own: int, namespace: int) -> None:
    """Else the next one would be born in a container that it has nothing to do with: rather PID 1 starts another in our
    place, which no container notices."""
    try:
        process.enter_namespaces(own, namespace)
    except OSError as error:
        raise SystemExit(f"no way back into our own namespace: {error.strerror}") from error


def _out_of_reach(clone: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    """The child is in the container at once, and nobody there may trace it: CVE-2016-9962. execve(2) sets it anew."""
    process.set_dumpable(dumpable=False)
    pid = -1
    try:
        pid, pidfd = clone()
        return pid, pidfd
    finally:
        if pid:
            process.set_dumpable(dumpable=True)


def _told_of_deaths() -> int:
    """A descriptor that is readable when a child has ended."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # without a handler there would be no wakeup
    return reading


def _discard(pid: int) -> None:
    """A child that never became a container: no status is owed to anybody."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _limit(pid: int, name: str, soft: int, hard: int, *, strict: bool) -> None:
    """prlimit(2) from outside: within a user namespace a hard limit can only be lowered.

    Where even we may not go beyond our own hard limit, that one holds, unless `strict`: somebody asked for it.
    """
    number = getattr(resource, f"RLIMIT_{name}")
    wanted = tuple(resource.RLIM_INFINITY if value >= programs.UNLIMITED else value for value in (soft, hard))
    try:
        resource.prlimit(pid, number, (wanted[0], wanted[1]))
    except PermissionError as error:
        own = resource.getrlimit(number)[1]
        if strict:
            raise OSError(errno.EPERM, f"mctl-spawner.service has a hard limit of {own} itself", name) from error
        bound = own if wanted[0] == resource.RLIM_INFINITY else min(wanted[0], own)
        resource.prlimit(pid, number, (bound, own))


def _own_scheduling() -> None:
    """What children inherit is PID 1's, whatever drop-ins say about this service."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.sched_setaffinity(0, os.sched_getaffinity(1))
    os.setpriority(os.PRIO_PROCESS, 0, 0)
    process.reset_attributes()
    _write("/proc/self/coredump_filter", COREDUMP_FILTER)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def main() -> None:
    """Serve on the socket that systemd passed."""
    listener = socket.socket(fileno=LISTEN_FD)
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET"):
        os.environ.pop(name, None)
    _own_scheduling()
    gc.freeze()  # a collection in a child would copy every page that it shares with us
    gc.disable()
    Spawner(listener).serve()
