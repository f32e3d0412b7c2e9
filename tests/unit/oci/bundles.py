# SPDX-License-Identifier: GPL-3.0-or-later
"""Configurations to try: the least that is one, and changes by the path of a property."""

from __future__ import annotations

import copy
import json
from typing import Any

from mctld.oci import configuration, reading

LEAST: dict[str, Any] = {
    "ociVersion": "1.2.0",
    "root": {"path": "rootfs"},
    "process": {"cwd": "/", "args": ["sh"]},
    "linux": {"namespaces": [{"type": kind} for kind in ("mount", "pid", "ipc", "uts", "network", "cgroup")]},
}
USER = [{"type": "mount"}, {"type": "user"}]
IDS = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def changed(**changes: Any) -> dict[str, Any]:
    """linux__hostname=x is {"linux": {"hostname": x}}."""
    document = copy.deepcopy(LEAST)
    for path, given in changes.items():
        *above, last = path.split("__")
        place = document
        for key in above:
            place = place.setdefault(key, {})
        place[last] = given
    return document


def read(document: dict[str, Any]) -> configuration.Configuration:
    return configuration.read(reading.read(json.dumps(document).encode(), "config.json"), "/bundle")
