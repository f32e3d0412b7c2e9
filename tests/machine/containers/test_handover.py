# SPDX-License-Identifier: GPL-3.0-or-later
"""An upgrade with another protocol between service and spawner, while containers run: a new spawner beside the old."""

from __future__ import annotations

import re
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .conftest import Mctl

pytestmark = pytest.mark.nspawn

HOME = "mctl-spawner.service"
VERSION = "0.0.99"  # as long as no real one: Python must not take compiled files of one version for the other's
# What makes a package of another version: its spawner would not understand a plan of ours.
OLDER = {
    "mctld/__init__.py": ('VERSION = "', f'VERSION = "{VERSION}"  # "'),
    "mctld/runtime/spawner.py": ("\nPROTOCOL = ", "\nPROTOCOL = 70  # "),
    "mctld/runtime/stage.py": ('"keyring"', '"session-keyring"'),
    "mctld/runtime/planner.py": ('"keyring"', '"session-keyring"'),
}
ENDS = "trap 'exit {}' TERM; while :; do sleep 0.1; done"
WAIT = 45.0  # seconds: the spawner keeps the status of an exec for half a minute


@pytest.fixture(scope="session")
def older(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This package, as another version of it."""
    place = tmp_path_factory.mktemp("older")
    tree, made = place / "tree", place / "older.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", str(deb), str(tree)], check=True)
    for name, (before, after) in OLDER.items():
        file = tree / "usr/lib/python3/dist-packages" / name
        assert before in file.read_text()
        file.write_text(file.read_text().replace(before, after))
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", f"Version: {VERSION}", control.read_text()))
    (tree / "DEBIAN/md5sums").unlink()
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(tree), str(made)], check=True, capture_output=True)
    return made


@pytest.fixture
def upgraded(mctl: Mctl, older: Path, deb: Path) -> Iterator[None]:
    """Begins with the older version, and nothing that runs; ends with ours, whatever happens.

    Statuses of commands that other tests have executed would be held for half a minute: without them.
    """
    mctl.shell("systemctl stop mctld.service mctl-spawner.service")
    mctl.machine.install(older)
    yield
    mctl.machine.install(deb)


def main_pid(mctl: Mctl, unit: str = HOME) -> int:
    return int(mctl.shell(f"systemctl show -P MainPID {unit}").text)


def parent(mctl: Mctl, name: str) -> int:
    pid = mctl.properties(name)["MainPID"]
    return int(mctl.shell(f"ps -o ppid= -p {pid}").text)


def run(mctl: Mctl, name: str, status: int) -> None:
    options = ["-d", "--name", name, "--network", "none"]
    mctl.run("sh", "-c", ENDS.format(status), options=options)


def ends_with(mctl: Mctl, name: str, status: int) -> None:
    mctl("stop", name)
    found = mctl.properties(name)
    assert (found["State"], found["ExitHow"], found["ExitStatus"]) == ("exited", "exited", status)


def successors(mctl: Mctl) -> list[str]:
    listed = mctl.shell("systemctl list-units --all --plain --no-legend 'mctl-spawner@*.service'").text
    return [line.split()[0] for line in listed.splitlines()]


@pytest.mark.usefixtures("upgraded")
@pytest.mark.allow_journal(r"mctld\.service: (Main process exited|Failed with result 'signal').*")
def test_an_upgrade_hands_over_to_a_new_spawner(mctl: Mctl, deb: Path) -> None:
    run(mctl, "lasting", 42)
    run(mctl, "short", 7)
    mctl.shell("(mctl exec short sh -c 'sleep 4; exit 9'; echo $? > /tmp/exec) > /dev/null 2>&1 &")
    mctl.until("pgrep -fx 'sleep 4'")
    before, old = [mctl.properties(name) for name in ("lasting", "short")], main_pid(mctl)
    assert parent(mctl, "lasting") == old

    mctl.machine.install(deb)

    assert [mctl.properties(name) for name in ("lasting", "short")] == before
    assert main_pid(mctl) == old
    (successor,) = successors(mctl)
    run(mctl, "new", 5)
    assert parent(mctl, "new") == main_pid(mctl, successor) != old
    assert mctl("exec", "lasting", "sh", "-c", "echo inside; exit 3", check=False).text == "inside\n"

    mctl.kill_service()

    assert [mctl.properties(name) for name in ("lasting", "short")] == before
    assert parent(mctl, "new") == main_pid(mctl, successor)
    mctl.shell("while [ ! -s /tmp/exec ]; do sleep 0.1; done")
    assert mctl.shell("cat /tmp/exec; rm /tmp/exec").text == "9\n"
    ends_with(mctl, "short", 7)
    mctl("start", "short")
    assert parent(mctl, "short") == main_pid(mctl, successor)
    ends_with(mctl, "lasting", 42)  # the last one of the old spawner
    wait_for(lambda: main_pid(mctl) not in (0, old))
    assert successors(mctl) == [successor]  # whose are "new" and "short"
    mctl("start", "lasting")
    assert parent(mctl, "lasting") == main_pid(mctl)
    ends_with(mctl, "new", 5)
    ends_with(mctl, "short", 7)
    wait_for(lambda: not successors(mctl))
    assert mctl.shell("ls /run/mctl/ | grep spawner").text == "spawner.sock\n"
    ends_with(mctl, "lasting", 42)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
