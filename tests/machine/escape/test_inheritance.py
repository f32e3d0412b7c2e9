# SPDX-License-Identifier: GPL-3.0-or-later
"""A container is born the same whatever its ancestors are like: both services are given all that can be inherited."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from . import expected, root
from .conftest import parse
from .profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from machine.containers.conftest import Mctl
    from machine.guest import Machine

    from .conftest import Walls

pytestmark = pytest.mark.nspawn
POISON = Path(__file__).with_name("poison.py")
SERVICES = ("mctl-spawner", "mctld")
DROP_IN = "[Service]\nExecStart=\nExecStart=/usr/bin/python3 -IS /srv/poison.py /usr/libexec/{}\n"
RESTART = "systemctl daemon-reload; systemctl reset-failed; systemctl restart mctl-spawner mctld"
# Python ignores SIGPIPE and SIGXFSZ itself: busybox shows what was inherited.
STATUS = {"SigBlk": "0" * 16, "SigIgn": "0" * 16, "SigPnd": "0" * 16, "CapInh": "0" * 16, "CapAmb": "0" * 16,
          "Umask": "0022", "Groups": ""}  # fmt: skip


@pytest.fixture(scope="module")
def poisoned(session_machine: Machine, walls: Walls) -> Iterator[Machine]:
    machine = session_machine
    machine.write("/srv/poison.py", POISON.read_bytes())
    for service in SERVICES:
        machine.write(f"/run/systemd/system/{service}.service.d/poison.conf", DROP_IN.format(service))
    machine.run(["sh", "-euc", f"systemctl set-environment MANAGERS_LEAK=yes; {RESTART}"])
    yield machine
    remove = " ".join(f"/run/systemd/system/{service}.service.d" for service in SERVICES)
    machine.run(["sh", "-euc", f"rm -r {remove}; systemctl unset-environment MANAGERS_LEAK; {RESTART}"])


@pytest.fixture(scope="module")
def born(poisoned: Machine) -> dict[str, dict[str, Any]]:
    return parse(poisoned.run([*PROFILES[0].argv(), *expected.BIRTH], check=False, timeout=120))


def status_of(machine: Machine, pid: str) -> dict[str, str]:
    lines = machine.read(f"/proc/{pid}/status").decode().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_the_services_are_poisoned(poisoned: Machine) -> None:
    """Or nothing below would prove anything."""
    for service in SERVICES:
        pid = poisoned.run(["systemctl", "show", "-P", "MainPID", service]).text.strip()
        status = status_of(poisoned, pid)
        assert status["Groups"] == "4 6"
        assert all(int(status[name], 16) for name in ("SigIgn", "SigBlk", "CapAmb", "CapInh"))
        assert len(poisoned.run(["ls", f"/proc/{pid}/fd"]).text.split()) > 480


@pytest.mark.parametrize("name", expected.INHERITABLE)
def test_a_container_inherits_nothing(born: dict[str, dict[str, Any]], name: str) -> None:
    assert born[name]["outcome"] in expected.BIRTH[name]


@pytest.mark.parametrize("options", [(), ("-u", "1000:1000")], ids=["root", "user"])
def test_a_static_program_inherits_nothing(poisoned: Machine, options: tuple[str, ...]) -> None:
    command = ["mctl", "run", "--rm", *options, root.ROOT, "/bin/busybox", "cat", "/proc/self/status"]
    lines = poisoned.run(command).text.splitlines()
    status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert {name: status[name] for name in STATUS} == STATUS


def test_no_descriptor_of_the_services_is_a_working_directory(poisoned: Machine) -> None:
    """CVE-2024-21626: they hold 490 on /etc; one that is open would let us in."""
    each = f"mctl run --rm -w /proc/self/fd/$0 {root.ROOT} /bin/busybox ls; echo $?"
    numbers = "seq 0 20; seq 21 16 499"
    result = poisoned.run(["sh", "-c", f"({numbers}) | xargs -P 4 -n 1 sh -c '{each}' 2>/dev/null"], timeout=200)
    assert set(result.text.split()) == {"125"}
    assert len(result.text.split()) > 40


def test_the_environment_of_the_client_does_not_pass(mctl: Mctl) -> None:
    leaks = "LEAK=yes LD_LIBRARY_PATH=/etc http_proxy=http://leak NOTIFY_SOCKET=@leak LISTEN_FDS=3"
    lines = mctl.shell(f"env {leaks} mctl run --rm {mctl.rootfs} /bin/busybox env").text.splitlines()
    assert sorted(lines) == sorted(set(expected.DECLARED) - {"DECLARED=yes"})


def test_descriptors_of_the_client_do_not_pass(mctl: Mctl) -> None:
    listing = f"mctl run --rm {mctl.rootfs} /bin/busybox ls -l /proc/self/fd"
    text = mctl.shell(f"exec 5</etc 6</etc/shadow 9>/tmp/nine; {listing}; rm /tmp/nine").text
    assert sorted(re.findall(r" (\d+) -> ", text)) == ["0", "1", "2"]
    assert "/etc" not in text
