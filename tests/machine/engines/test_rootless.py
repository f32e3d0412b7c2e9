# SPDX-License-Identifier: GPL-3.0-or-later
"""podman of a user who is not root, with mctl-oci: the user's ids, no bus, no cgroup of the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .machine import IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from machine.guest import Result

    from .machine import Engines

NAME = "localhost/busybox:latest"
HOME = "/home/alice"
PREPARE = f"""
loginctl enable-linger alice
until [ -d /run/user/1000 ]; do sleep 0.1; done
mkdir -p /srv/alice-store {HOME}/.config/containers
cat > {HOME}/.config/containers/storage.conf <<'END'
[storage]
driver = "overlay"
graphroot = "/srv/alice-store"
runroot = "/run/user/1000/containers"
END
cat > {HOME}/.config/containers/containers.conf <<'END'
[containers]
pids_limit = 0
[engine]
cgroup_manager = "cgroupfs"
runtime = "/usr/bin/mctl-oci"
END
chown -R alice: /srv/alice-store {HOME}/.config
chmod 644 {IMAGE}
"""


@pytest.fixture(scope="module")
def alice(engines: Engines) -> Iterator[Callable[..., Result]]:
    engines.run(["sh", "-ec", PREPARE])

    def podman(*words: str, check: bool = True) -> Result:
        command = ["env", "XDG_RUNTIME_DIR=/run/user/1000", "podman", "--runtime", "/usr/bin/mctl-oci", *words]
        return engines.run(command, user="alice", check=check)

    podman("load", "-i", IMAGE)
    yield podman
    podman("rm", "-f", "-a", "-t", "0")
    assert engines.run(["ls", "/run/user/1000/mctl-oci"]).text == ""
    engines.run(["loginctl", "disable-linger", "alice"])


def test_root_inside_is_alice(alice: Callable[..., Result]) -> None:
    script = "id -u; cat /proc/self/uid_map; echo > /dev/null; exit 5"
    done = alice("run", "--rm", "--network", "none", NAME, "sh", "-c", script, check=False)
    assert (done.returncode, done.text.split()[:4]) == (5, ["0", "0", "1000", "1"])


def test_from_start_to_end(alice: Callable[..., Result]) -> None:
    alice("run", "-d", "--name", "w", "--network", "none", NAME, "sleep", "1000")
    assert alice("exec", "w", "id", "-u").text == "0\n"
    assert alice("exec", "-u", "1000", "w", "sh", "-c", "id -u; exit 7", check=False).returncode == 7
    assert alice("exec", "-t", "w", "tty").text == "/dev/pts/0\r\n"
    alice("kill", "-s", "KILL", "w")
    alice("wait", "w")
    alice("rm", "w")


def test_a_build_with_run(alice: Callable[..., Result], engines: Engines) -> None:
    engines.write("/srv/alice-context/Containerfile", f"FROM {NAME}\nRUN echo built > /made\n")
    alice("build", "-q", "--network", "none", "-t", "made", "/srv/alice-context")
    assert alice("run", "--rm", "--network", "none", "localhost/made", "cat", "/made").text == "built\n"


def test_a_limit_without_a_cgroup_is_refused(alice: Callable[..., Result]) -> None:
    done = alice("run", "--rm", "--network", "none", "--memory", "64m", NAME, "true", check=False)
    assert done.returncode == 126
    assert b"without a cgroup" in done.stderr
