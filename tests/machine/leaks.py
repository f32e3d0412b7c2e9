# SPDX-License-Identifier: GPL-3.0-or-later
"""What a test left behind in its machine: the state before, the state after, the difference."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from machine.guest import Machine

PROBE = Path(__file__).with_name("probe.py")
# Within 2 on an idle machine PID 1 unloads the last scope, and the kernel frees the last network namespace.
SETTLE_SECONDS = 30.0

# What the first use of the service brings and what stays on purpose.
EXPECTED = {
    "mounts": r"/run/user/\d+ .*|/proc/sys/fs/binfmt_misc .*|/run/credentials/.*",
    "units": r"(mctld|mctl-spawner|mctl-names)\.(service|socket) .*|mctl\S*\.slice .*",
    "cgroups": r".*/(mctld|mctl-spawner|mctl-names)\.service(/.*)?",
    "processes": r".* in \S*/(mctld|mctl-spawner|mctl-names)\.service(/.*)?",
    "links": r"mctl0:",  # the bridge of the default network stays
    "records": r".*:(mctld|mctl-spawner|mctl-names)\.(service|socket)|.*:mctl\S*\.slice",
    "files": r"/run/mctl/([^/]+\.(sock|socket|lock|pid)|staging(/\d+)?|network(/found)?|health"
    r"|seccomp(/[0-9a-f]{64})?)",
    "failed": r"",
}
# A machine in systemd-nspawn has not all controllers; the service says so once at each of its starts.
EXPECTED_LINES = (r"^This host lacks (cgroup\.(memory|cpu|cpuset|io|pids|hugetlb)(, |: )){6}",)


KEPT = "/memfd:seccomp"  # a compiled filter for each set of capabilities, which the service bounds in number


@dataclass(frozen=True)
class Snapshot:
    """The answer of the probe: lists of names, descriptors per service, journal lines since the last cursor."""

    names: dict[str, list[str]]
    fds: dict[str, dict[str, Any]]
    journal: list[dict[str, Any]]
    cursor: str


def snapshot(machine: Machine, cursor: str = "") -> Snapshot:
    since = [cursor] if cursor else []
    result = machine.run(["python3", "-IS", "-", *since], input=PROBE.read_bytes(), timeout=120)
    state = json.loads(result.stdout)
    return Snapshot({name: state[name] for name in EXPECTED}, state["fds"], state["journal"], state["cursor"])


def check(machine: Machine, before: Snapshot, allowed: Sequence[str]) -> list[str]:
    """Waits until nothing is left that was not there before; returns sentences on what stays nevertheless."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        after = snapshot(machine, before.cursor)
        found = compare(before, after)
        if not found or time.monotonic() > deadline:
            return found + unexpected_lines(after.journal, allowed)
        time.sleep(0.2)


def compare(before: Snapshot, after: Snapshot) -> list[str]:
    found = []
    for kind, expected in EXPECTED.items():
        grown = Counter(after.names[kind]) - Counter(before.names[kind])
        found += [f"{kind}: {name}" for name in grown.elements() if not re.fullmatch(expected, name)]
    return found + grown_fds(before.fds, after.fds)


def grown_fds(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> list[str]:
    """A service that was restarted, or first started, in between has nothing to be compared with."""
    found = []
    for unit, now in after.items():
        then = before.get(unit)
        if then and then["pid"] == now["pid"]:
            was, has = ([name for name in state["open"] if not name.startswith(KEPT)] for state in (then, now))
            grown = sorted((Counter(has) - Counter(was)).elements())
            if len(has) > len(was):
                found.append(f"fds: {unit} has {len(has)}, had {len(was)}; new: {grown}")
    return found


def unexpected_lines(journal: Sequence[dict[str, Any]], allowed: Sequence[str]) -> list[str]:
    found = []
    for line in journal:
        message = line.get("MESSAGE", "")
        text = message if isinstance(message, str) else bytes(message or b"").decode(errors="replace")
        if not any(re.search(pattern, text) for pattern in (*allowed, *EXPECTED_LINES)):
            found.append(f"journal (priority {line.get('PRIORITY')}): {text}")
    return found
