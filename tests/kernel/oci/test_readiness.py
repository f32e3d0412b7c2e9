# SPDX-License-Identifier: GPL-3.0-or-later
"""NOTIFY_SOCKET: the container's READY=1 reaches the manager, with the pid of the one that will be the service's."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from kernel.oci.conftest import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kernel.oci.conftest import Runtime

LOOK = "echo $NOTIFY_SOCKET; stat -c %a /run/notify; touch /run/notify/x; until [ -e /end ]; do sleep 0.05; done"


class Manager:
    """Stands for systemd: a socket, and who was told what on it."""

    def __init__(self, runtime: Runtime, directory: Path) -> None:
        self.runtime, self.address = runtime, str(directory / "manager.sock")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(30)
        self._socket.bind(self.address)
        self.environment = {**os.environ, "NOTIFY_SOCKET": self.address}

    def begin(self, *words: str) -> subprocess.Popen[bytes]:
        command = [str(PROGRAM), "--root", str(self.runtime.state), "--cgroup-manager", "disabled", *words]
        return subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def told(self) -> list[str]:
        """The next message, and the barrier after it, which holds the sender up until it is closed."""
        message = self._socket.recv(4096)
        barrier, descriptors, _, _ = socket.recv_fds(self._socket, 4096, 1)
        assert barrier == b"BARRIER=1"
        for descriptor in descriptors:
            os.close(descriptor)
        return message.decode().splitlines()

    def pid(self) -> int:
        return int(json.loads(self.runtime.call("state", "one").stdout)["pid"])

    def say(self, message: str) -> None:
        """From the container: by its own view of the files."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(message.encode(), f"/proc/{self.pid()}/root/run/notify/notify.sock")

    def nothing_more(self) -> bool:
        self._socket.setblocking(False)  # noqa: FBT003
        try:
            return not self._socket.recv(4096)
        except BlockingIOError:
            return True

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(runtime: Runtime, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(runtime, tmp_path)
    yield made
    made.close()


def _listening(manager: Manager) -> None:
    path = f"{manager.runtime.state}/one/notify/notify.sock"
    subprocess.run(["sh", "-c", f"until [ -e {path} ]; do sleep 0.02; done"], timeout=30, check=True)
    while manager.runtime.status() != "running":
        time.sleep(0.05)


def test_start_returns_when_it_is_ready(manager: Manager, runtime: Runtime, tmp_path: Path) -> None:
    runtime.configure("sh", "-c", LOOK)
    assert runtime.create(env=manager.environment).returncode == 0
    started = manager.begin("start", "one")
    _listening(manager)
    manager.say("STATUS=warming up")
    assert started.poll() is None
    manager.say("READY=1\nMAINPID=1")
    assert manager.told() == [f"MAINPID={manager.pid()}", "READY=1"]
    assert started.wait(30) == 0
    assert manager.nothing_more()
    (runtime.root / "end").touch()
    output = (tmp_path / "output").read_text().splitlines()
    assert output[:2] == ["/run/notify/notify.sock", "755"]
    assert "Read-only file system" in output[2]


def test_start_returns_when_it_ends(manager: Manager, runtime: Runtime) -> None:
    runtime.configure("true")
    assert runtime.create(env=manager.environment).returncode == 0
    assert manager.begin("start", "one").wait(30) == 0
    assert manager.nothing_more()


def test_it_can_be_killed_while_start_waits(manager: Manager, runtime: Runtime) -> None:
    runtime.configure("sleep", "100")
    assert runtime.create(env=manager.environment).returncode == 0
    started = manager.begin("start", "one")
    _listening(manager)
    runtime.call("kill", "one", "KILL")
    assert started.wait(30) == 0


def test_in_the_foreground_the_main_process_is_ours(manager: Manager, runtime: Runtime) -> None:
    runtime.configure("sh", "-c", LOOK)
    ran = manager.begin("run", "--bundle", str(runtime.bundle), "one")
    _listening(manager)
    manager.say("READY=1")
    assert manager.told() == ["READY=1"]
    with pytest.raises(ConnectionRefusedError):  # nobody listens, so nobody waits
        manager.say("STATUS=x")
    (runtime.root / "end").touch()
    assert ran.wait(30) == 0


def test_detached(manager: Manager, runtime: Runtime) -> None:
    runtime.configure("sh", "-c", LOOK)
    ran = manager.begin("run", "--detach", "--bundle", str(runtime.bundle), "one")
    _listening(manager)
    manager.say("READY=1")
    assert manager.told() == [f"MAINPID={manager.pid()}", "READY=1"]
    assert ran.wait(30) == 0


def test_a_bundle_that_has_a_socket_keeps_it(manager: Manager, runtime: Runtime) -> None:
    """As podman's, which takes care of it by itself."""
    runtime.configure(
        "sh", "-c", "echo $NOTIFY_SOCKET; ! grep notify /proc/mounts", process_env=["PATH=/bin", "NOTIFY_SOCKET=/x"]
    )
    done = runtime.call("run", "--bundle", str(runtime.bundle), "one", env=manager.environment)
    assert done.stdout == "/x\n"


def test_nobody_wants_to_know(runtime: Runtime) -> None:
    assert runtime.run("sh", "-c", "echo $NOTIFY_SOCKET; ! grep notify /proc/mounts") == "\n"


def test_no_address(runtime: Runtime) -> None:
    runtime.configure("true")
    done = runtime.call("run", "--bundle", str(runtime.bundle), "one", check=False,
                        env={**os.environ, "NOTIFY_SOCKET": "vsock:2:9"})  # fmt: skip
    assert done.returncode == 1
    assert "NOTIFY_SOCKET='vsock:2:9' must be an absolute path" in done.stderr
    assert runtime.names() == []
