# SPDX-License-Identifier: GPL-3.0-or-later
"""Parent and reaper of every container's first process; a service of its own that outlives mctld.

Single-threaded and light, so that a fork of it costs a millisecond and needs no care. It reaps nobody before
mctld says so: an exit status waits for as long as it takes. Requests are JSON, one to a message, on a root-only
SOCK_SEQPACKET socket that systemd listens on (sd_listen_fds(3)); descriptors travel beside them as SCM_RIGHTS.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket

from ..kernel import constants as c
from ..kernel import process
from . import stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Reply = tuple[dict[str, Any], list[int]]

PROTOCOL = 1  # of the requests and of the plans; tests/contract/test_protocol.py tells when it has to change
LISTEN_FD = 3
MESSAGE_MAX = 192 << 10  # below the default limit of a message, net.core.wmem_default
FIRST_PROCESS_OOM_SCORE = "0"


class Children:
    """The first processes of containers, by the name that mctld gave them.

    One that has ended stays a zombie until mctld has taken note: the kernel keeps its status, its pid cannot
    be given to another, and its last lines can still be attributed to it.
    """

    def __init__(self) -> None:
        self._pids: dict[str, int] = {}

    def add(self, name: str, pid: int) -> None:
        self.forget(name)
        self._pids[name] = pid

    def status(self, name: str) -> dict[str, Any]:
        """{} for a name never heard of; else its pid and, once it has ended, a code of waitid(2)."""
        pid = self._pids.get(name)
        if pid is None:
            return {}
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return {"pid": pid}
        return {"pid": pid, "code": ended.si_code, "status": ended.si_status}

    def forget(self, name: str) -> None:
        """Reap it, if it has ended; one that runs is not forgotten."""
        if "code" in self.status(name):
            os.waitpid(self._pids.pop(name), 0)

    def pids(self) -> dict[str, int]:
        return dict(self._pids)


class Spawner:
    """Answers one request after the other."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._children = Children()
        self._clients: dict[int, socket.socket] = {}
        self._poll = select.poll()
        self._verbs: dict[str, Callable[[dict[str, Any], list[int]], Reply]] = {
            "hello": lambda _request, _descriptors: ({"protocol": PROTOCOL, "children": self._children.pids()}, []),
            "spawn": self._spawn,
            "map": self._map,
            "status": lambda request, _descriptors: (self._children.status(request["name"]), []),
            "forget": self._forget,
        }

    def serve(self) -> None:
        self._poll.register(self._listener, select.POLLIN)
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._listener.fileno():
                    self._accept()
                else:
                    self._converse(descriptor)

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
        """A child in new namespaces, blocked on its channel; its pidfd comes back."""
        pid, pidfd = self._clone(request["namespaces"], received[0])
        try:
            self._prepare(pid, request)
        except OSError:
            os.close(pidfd)
            _discard(pid)
            raise
        self._children.add(request["name"], pid)
        return {"pid": pid}, [pidfd]

    def _clone(self, namespaces: int, channel: int) -> tuple[int, int]:
        pid, pidfd = process.clone(namespaces)
        if pid == 0:
            self._become_stage(channel)
        return pid, pidfd

    def _become_stage(self, channel: int) -> None:
        """In the child: let go of the spawner's descriptors, then follow the plan. Never returns."""
        try:
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
        _write(f"/proc/{pid}/oom_score_adj", FIRST_PROCESS_OOM_SCORE)

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


def _discard(pid: int) -> None:
    """A child that never became a container: no status is owed to anybody."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


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
    gc.freeze()  # a collection in a child would copy every page that it shares with us
    gc.disable()
    Spawner(listener).serve()
