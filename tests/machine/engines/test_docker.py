# SPDX-License-Identifier: GPL-3.0-or-later
"""docker with mctl-oci as its default runtime, set up by mctl-oci(8)'s recipe."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from .machine import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine.guest import Result

    from .machine import Engines

TRAPS = "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done"


class Docker:
    def __init__(self, machine: Engines) -> None:
        self.machine = machine

    def __call__(self, *words: str, check: bool = True) -> Result:
        return self.machine.run(["env", "DOCKER_BUILDKIT=0", "docker", *words], check=check, timeout=120)

    def becomes(self, wanted: str, *words: str) -> None:
        deadline = time.monotonic() + 20
        while wanted not in (told := self(*words).text):
            assert time.monotonic() < deadline, told
            time.sleep(0.1)


@pytest.fixture(scope="module")
def daemon(engines: Engines) -> Iterator[Engines]:
    engines.run(["systemctl", "start", "docker.service"], timeout=120)
    engines.run(["docker", "load", "-i", IMAGE])
    yield engines
    engines.run(["systemctl", "stop", "docker.socket", "docker.service"])


@pytest.fixture
def docker(daemon: Engines, clean: Engines) -> Iterator[Docker]:
    made = Docker(clean)
    assert daemon is clean
    yield made
    names = made("ps", "-a", "-q").text.split()
    if names:
        made("rm", "-f", *names)


def test_the_runtime_is_ours(docker: Docker) -> None:
    assert docker("info", "--format", "{{.DefaultRuntime}}").text == "mctl-oci\n"
    done = docker("run", "--rm", "busybox", "sh", "-c", "echo out; exit 5", check=False)
    assert (done.returncode, done.stdout) == (5, b"out\n")
    assert docker("run", "--rm", "busybox", "nonsense", check=False).returncode == 127


def test_a_container_from_its_start_to_its_end(docker: Docker) -> None:
    docker("run", "-d", "--name", "web", "busybox", "sh", "-c", TRAPS)
    docker.becomes("up", "logs", "web")
    assert docker("exec", "web", "sh", "-c", "exit 7", check=False).returncode == 7
    assert "sleep" in docker("top", "web").text
    assert docker("stats", "--no-stream", "--format", "{{.Name}}").text == "web\n"
    docker("pause", "web")
    assert docker("inspect", "--format", "{{.State.Status}}", "web").text == "paused\n"
    docker("unpause", "web")
    docker("stop", "-t", "20", "web")
    assert docker("inspect", "--format", "{{.State.ExitCode}} {{.HostConfig.Runtime}}", "web").text == "3 mctl-oci\n"


def test_exec_with_a_terminal(docker: Docker) -> None:
    docker("run", "-d", "--name", "web", "busybox", "sleep", "1000")
    line = "docker exec -it web sh -c 'tty; exit 9'"
    done = docker.machine.run(["script", "-qec", line, "/dev/null"], check=False)
    assert done.returncode == 9
    assert "/dev/pts/0" in done.text


def test_two_containers_on_a_network(docker: Docker) -> None:
    docker("network", "create", "pair")
    docker("run", "-d", "--name", "web", "--network", "pair", "busybox", "sh", "-c",
           "echo hi > /index.html; exec httpd -f -p 80 -h /")  # fmt: skip
    asked = "until wget -qO- http://web/; do sleep 0.1; done 2> /dev/null"
    assert docker("run", "--rm", "--network", "pair", "busybox", "sh", "-c", asked).text == "hi\n"
    docker("rm", "-f", "web")
    docker("network", "rm", "pair")


def test_a_build_with_run(docker: Docker) -> None:
    docker.machine.write("/srv/docker-context/Dockerfile", "FROM busybox\nRUN echo built > /made\n")
    docker("build", "-q", "-t", "made", "/srv/docker-context")
    assert docker("run", "--rm", "made", "cat", "/made").text == "built\n"
