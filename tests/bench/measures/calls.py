# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that do next to nothing, by a client that does nothing: the bus, our dispatch, and polkit's share."""

from __future__ import annotations

import json
import pwd
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench import command
from bench.figures import OURS, Cell, Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.peer import Peer

PID_1 = "systemd-run"  # whose service it is
USER = "alice"  # of every machine of ours
RULE = Path("/etc/polkit-1/rules.d/50-bench.rules")
ALLOWED = f"""
polkit.addRule(function(action, subject) {{
    if (action.id == "org.mctl1.create" && subject.user == "{USER}") return polkit.Result.YES;
}});
"""
NAME = "bench-calls"
AT_A_TIME = 25
PEER = ("org.freedesktop.DBus.Peer", "Ping")
STATE = ("org.mctl1", "/org/mctl1/container/bench_2dcalls", "org.freedesktop.DBus.Properties", "Get",
         "org.mctl1.Container", "State")  # fmt: skip


def measure(peers: Sequence[Peer], runs: int) -> Iterator[Row]:
    ours = [peer for peer in peers if peer.name == OURS]
    if not ours:
        return
    pings, pid_1s, roots, owners = (list[float]() for _ in range(4))
    with _container_of_a_user(ours[0]):
        for _ in range(runs):  # side by side, so that their differences mean something
            pings += _called("org.mctl1", "/org/mctl1", *PEER)
            pid_1s += _called("org.freedesktop.systemd1", "/org/freedesktop/systemd1", *PEER)
            roots += _called(*STATE)
            owners += _called(*STATE, user=USER)
    yield Row("calls", "Peer.Ping, to the reply", "ms", {OURS: Cell(tuple(pings)), PID_1: Cell(tuple(pid_1s), "PID 1")})
    root, owner = Cell(tuple(roots), "polkit is not asked"), Cell(tuple(owners), "polkit is asked")
    yield Row("calls", "a property read by root", "ms", {OURS: root})
    yield Row("calls", "the same by its container's owner", "ms", {OURS: owner})
    yield Row("calls", "what polkit adds, by the medians", "ms", {OURS: Cell((owner.median - root.median,))})


@contextmanager
def _container_of_a_user(ours: Peer) -> Iterator[None]:
    """That never ran. Its root directory is the user's: another's would take an administrator's consent."""
    directory, user = ours.rootfs.directory.with_name("own"), pwd.getpwnam(USER)
    shutil.copytree(ours.rootfs.directory, directory, symlinks=True)
    command.output(["chown", "-R", f"{user.pw_uid}:{user.pw_gid}", str(directory)])
    RULE.write_text(ALLOWED)
    command.output(["systemctl", "restart", "polkit.service"])
    try:
        made = ["mctl", "create", "--no-ask-password", "--name", NAME, str(directory), "/bin/true"]
        command.output(["runuser", "-u", USER, "--", *made])
        yield
        command.output(["mctl", "rm", NAME])
    finally:
        RULE.unlink()
        shutil.rmtree(directory)


def _called(*asked: str, user: str | None = None) -> list[float]:
    """Milliseconds of some calls over one connection."""
    argv = [sys.executable, "-B", "-P", "-m", "bench.caller", str(AT_A_TIME), *asked]
    done = subprocess.run(argv, capture_output=True, user=user, group=user, check=False)
    if done.returncode:
        raise command.FailedError(done.stderr.decode(errors="replace"))
    found: list[float] = json.loads(done.stdout)
    return found
