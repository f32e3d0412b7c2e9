# SPDX-License-Identifier: GPL-3.0-or-later
"""podman --runtime mctl-oci: what its users do every day."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

import pytest

from .machine import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine.guest import Result

    from .machine import Engines

IMAGE_NAME = "localhost/busybox:latest"
FEW = ("--ulimit", "nofile=1000:1000", "--ulimit", "nproc=1000:1000")
TRAPS = "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done"


class Podman:
    def __init__(self, machine: Engines) -> None:
        self.machine = machine

    def __call__(self, *words: str, check: bool = True, user: str | None = None) -> Result:
        command = ["podman", "--runtime", "/usr/bin/mctl-oci", *words]
        return self.machine.run(command, check=check, user=user, timeout=60)

    def becomes(self, wanted: str, *words: str) -> None:
        """What it prints, sooner or later."""
        deadline = time.monotonic() + 20
        while wanted not in (told := self(*words).text):
            assert time.monotonic() < deadline, told
            time.sleep(0.1)


@pytest.fixture
def podman(clean: Engines) -> Iterator[Podman]:
    made = Podman(clean)
    if made("image", "exists", IMAGE_NAME, check=False).returncode:
        made("load", "-i", IMAGE)
    yield made
    made("pod", "rm", "-f", "-a", "-t", "0")
    made("rm", "-f", "-a", "-t", "0")


def test_the_status_and_the_output_are_the_commands(podman: Podman) -> None:
    done = podman("run", "--rm", IMAGE_NAME, "sh", "-c", "echo out; echo err >&2; exit 5", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (5, b"out\n", b"err\n")


def test_a_command_that_is_not_there(podman: Podman) -> None:
    """podman reads 127 and 126 out of the runtime's sentence."""
    assert podman("run", "--rm", IMAGE_NAME, "nonsense", check=False).returncode == 127
    assert podman("run", "--rm", IMAGE_NAME, "/nonsense", check=False).returncode == 127
    assert podman("run", "--rm", IMAGE_NAME, "/bin", check=False).returncode == 126


def test_a_container_from_its_start_to_its_end(podman: Podman) -> None:
    podman("run", "-d", "--name", "web", IMAGE_NAME, "sh", "-c", TRAPS)
    podman.becomes("up", "logs", "web")
    assert podman("exec", "web", "sh", "-c", "exit 7", check=False).returncode == 7
    assert podman("exec", "-u", "1000:1000", "-w", "/tmp", "-e", "A=b", "web", "sh", "-c",
                  "id -u; pwd; echo $A").text == "1000\n/tmp\nb\n"  # fmt: skip
    assert "sleep" in podman("top", "web").text
    assert json.loads(podman("inspect", "web").stdout)[0]["OCIRuntime"] == "/usr/bin/mctl-oci"
    assert podman("stats", "--no-stream", "--format", "{{.Name}}", "web").text == "web\n"
    podman("pause", "web")
    assert podman("inspect", "--format", "{{.State.Status}}", "web").text == "paused\n"
    assert podman("exec", "web", "true", check=False).returncode != 0
    podman("unpause", "web")
    podman("stop", "-t", "20", "web")
    assert podman("inspect", "--format", "{{.State.ExitCode}}", "web").text == "3\n"
    podman("start", "web")
    podman("kill", "-s", "KILL", "web")
    podman.becomes("137", "inspect", "--format", "{{.State.ExitCode}}", "web")
    podman("rm", "web")


def test_the_process_is_in_a_scope_below_the_slice(podman: Podman) -> None:
    podman("run", "-d", "--name", "w", IMAGE_NAME, "sleep", "1000")
    pid = podman("inspect", "--format", "{{.State.Pid}}", "w").text.strip()
    groups = podman.machine.read(f"/proc/{pid}/cgroup").decode()
    assert re.search(r"^0::/machine\.slice/libpod-[0-9a-f]{64}\.scope$", groups, re.MULTILINE)


def test_a_terminal(podman: Podman) -> None:
    assert podman("run", "--rm", "-t", IMAGE_NAME, "tty").text == "/dev/pts/0\r\n"


def test_a_pod(podman: Podman) -> None:
    podman("pod", "create", "--name", "pair")
    podman("run", "-d", "--pod", "pair", IMAGE_NAME, "sh", "-c", "echo hi > /index.html; exec httpd -f -p 80 -h /")
    asked = "until wget -qO- http://127.0.0.1/; do sleep 0.1; done 2> /dev/null"
    assert podman("run", "--rm", "--pod", "pair", IMAGE_NAME, "sh", "-c", asked).text == "hi\n"


def test_a_build_with_run(podman: Podman) -> None:
    podman.machine.write("/srv/context/Containerfile", f"FROM {IMAGE_NAME}\nRUN echo built > /made\n")
    # By default it asks for more than these machines may have.
    podman("build", *FEW, "-q", "-t", "made", "/srv/context")
    assert podman("run", "--rm", "localhost/made", "cat", "/made").text == "built\n"


def test_a_health_check(podman: Podman) -> None:
    podman("run", "-d", "--name", "sick", "--health-cmd", "test -e /well", "--health-interval", "1h", IMAGE_NAME,
           "sleep", "1000")  # fmt: skip
    assert podman("healthcheck", "run", "sick", check=False).returncode == 1
    podman("exec", "sick", "touch", "/well")
    podman("healthcheck", "run", "sick")


def test_what_is_shown_of_the_host(podman: Podman) -> None:
    podman.machine.write("/srv/shown/file", "shown\n")
    script = "cat /data/file; ! touch /data/x; ! touch /x; touch /t/x; cat /proc/self/uid_map"
    told = podman("run", "--rm", "--read-only", "--tmpfs", "/t", "-v", "/srv/shown:/data:ro", "--userns", "host",
                  IMAGE_NAME, "sh", "-ec", script).text.split()  # fmt: skip
    assert told == ["shown", "0", "0", "4294967295"]


def test_a_limit_that_the_host_cannot_keep_is_refused(podman: Podman) -> None:
    """As with crun, whose sentence is: the requested cgroup controller `pids` is not available."""
    done = podman("run", "--rm", "--pids-limit", "100", IMAGE_NAME, "true", check=False)
    assert done.returncode == 126
    assert b"pids.max" in done.stderr
