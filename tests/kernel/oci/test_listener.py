# SPDX-License-Identifier: GPL-3.0-or-later
"""SCMP_ACT_NOTIFY: another process gets the filter's listener, and answers in the kernel's place."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kernel.oci.conftest import Runtime

RECEIVE, SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV and _SEND, linux/seccomp.h
NOTIFICATION, ANSWER = 80, struct.Struct("=QqiI")  # struct seccomp_notif's size; struct seccomp_notif_resp
SECONDS = 20
PRETEND = "hostname pretended && hostname"


class Agent:
    """Says of the first notified call of each process that it has succeeded."""

    def __init__(self, path: str) -> None:
        self.told: list[dict[str, Any]] = []
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(path)
        self._listening.listen()
        self._listening.settimeout(SECONDS)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Agent:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)  # wakes up who waits in accept(2)
        self._listening.close()
        self._thread.join(SECONDS)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(SECONDS)
                message, (listener,), _, _ = socket.recv_fds(connection, 65536, 1)
                assert connection.recv(1) == b""  # one state for each connection, which is then closed
            self.told.append(json.loads(message))
            _answer(listener)
            os.close(listener)


def _answer(listener: int) -> None:
    notification = bytearray(NOTIFICATION)
    fcntl.ioctl(listener, RECEIVE, notification)
    (identifier,) = struct.unpack_from("=Q", notification)
    fcntl.ioctl(listener, SEND, ANSWER.pack(identifier, 0, 0, 0))


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with Agent(str(tmp_path / "agent")) as made:
        yield made


def profile(path: object, **changes: Any) -> dict[str, Any]:
    rule = {"names": ["sethostname"], "action": "SCMP_ACT_NOTIFY"}
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], "listenerPath": str(path), **changes}


@pytest.mark.parametrize("flags", [[], ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_LOG"]], ids=len)
def test_the_agent_answers_for_the_first_process(
    runtime: Runtime, agent: Agent, tmp_path: Path, flags: list[str]
) -> None:
    seccomp = profile(tmp_path / "agent", listenerMetadata="about", flags=flags)
    assert runtime.run("sh", "-c", PRETEND, hostname="box", linux_seccomp=seccomp, process_capabilities={
        kind: ["CAP_SYS_ADMIN"] for kind in ("bounding", "effective", "permitted")
    }) == "box\n"  # fmt: skip
    (told,) = agent.told
    assert (told["fds"], told["metadata"], told["ociVersion"]) == (["seccompFd"], "about", "1.2.1")
    assert (told["state"]["id"], told["state"]["bundle"]) == ("one", str(runtime.bundle))
    assert told["pid"] == told["state"]["pid"] > 0


def test_the_agent_answers_for_an_exec(runtime: Runtime, agent: Agent, tmp_path: Path) -> None:
    seccomp = profile(tmp_path / "agent")
    runtime.configure("sh", "-c", "hostname x; exec sleep 100", hostname="box", linux_seccomp=seccomp)
    assert runtime.create().returncode == 0
    assert agent.told == []  # before the start there is no filter
    runtime.call("start", "one")
    assert runtime.call("exec", "one", "sh", "-c", PRETEND).stdout == "box\n"
    first, second = agent.told
    assert first["pid"] == second["state"]["pid"] != second["pid"]


def test_without_an_agent_nothing_is_started(runtime: Runtime, tmp_path: Path) -> None:
    runtime.configure("sh", "-c", "hostname x; exec sleep 100", linux_seccomp=profile(tmp_path / "agent"))
    assert runtime.create().returncode == 0
    failed = runtime.call("start", "one", check=False)
    assert (failed.returncode, "listenerPath" in failed.stderr) == (1, True)
    assert runtime.status() == "created"
    with Agent(str(tmp_path / "agent")):
        runtime.call("start", "one")
        runtime.call("delete", "--force", "one")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"listenerPath": None}, "linux.seccomp.listenerPath is missing: SCMP_ACT_NOTIFY needs a process"),
        ({"listenerPath": "agent"}, "must be an absolute path"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "no process that would answer"),
        ({"syscalls": [{"names": ["sendmsg"], "action": "SCMP_ACT_NOTIFY"}]}, "sendmsg hands the listener over"),
    ],
)
def test_what_cannot_be(runtime: Runtime, changes: dict[str, Any], sentence: str) -> None:
    assert sentence in runtime.fails("true", linux_seccomp=profile("/nowhere", **changes))
