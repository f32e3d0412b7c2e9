# SPDX-License-Identifier: GPL-3.0-or-later
"""update: other limits for a container that runs."""

from __future__ import annotations

import sys

from ...errors import InvalidArgs, NotRunning
from .. import arguments, creation, reading, resources, state
from ..cgroup import home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..call import Call

# By option: where the number, or with False the text, belongs in the specification's resources.
NUMBERS = {
    "memory": ("memory", "limit"), "memory-reservation": ("memory", "reservation"), "memory-swap": ("memory", "swap"),
    "cpu-period": ("cpu", "period"), "cpu-quota": ("cpu", "quota"), "cpu-share": ("cpu", "shares"),
    "cpu-burst": ("cpu", "burst"), "cpu-idle": ("cpu", "idle"), "pids-limit": ("pids", "limit"),
    "blkio-weight": ("blockIO", "weight"),
}  # fmt: skip
TEXTS = {"cpuset-cpus": ("cpu", "cpus"), "cpuset-mems": ("cpu", "mems")}
OPTIONS = dict.fromkeys((*NUMBERS, *TEXTS, "resources"), arguments.TEXT)


def run(call: Call) -> int:
    with state.find(call.root, call.options.identifier()) as entry:
        record = entry.record()
        if not state.is_alive(record):
            raise NotRunning(f"cannot update container {entry.name!r}: container not running")
        wanted = resources.read(_given(call))
        if wanted.rules:
            raise InvalidArgs("resources.devices cannot be changed while the container runs")
        home.change(record.manager, record.unit, record.cgroup, wanted.files, rootless=record.rootless)
    return 0


def _given(call: Call) -> reading.Value:
    path = call.options.text("resources")
    if path:
        text = sys.stdin.buffer.read(reading.SIZE_MAX + 1) if path == "-" else creation.read_file(path)
        return reading.read(text, "resources")
    found: dict[str, dict[str, Any]] = {}
    for name, (part, key) in NUMBERS.items():
        if call.options.given(name):
            found.setdefault(part, {})[key] = call.options.number(name, -1, reading.INT64_MAX)
    for name, (part, key) in TEXTS.items():
        if call.options.given(name):
            found.setdefault(part, {})[key] = call.options.text(name)
    if not found:
        raise InvalidArgs("update needs --resources FILE or one of the limits")
    return reading.Value(found, "resources")
