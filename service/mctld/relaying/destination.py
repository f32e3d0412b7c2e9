# SPDX-License-Identifier: GPL-3.0-or-later
"""Where connections go, and for how long without one the container stays as it is; as mctl-wake has written it."""

from __future__ import annotations

import json
from dataclasses import dataclass

FILE = "destination.json"  # in the service's RuntimeDirectory=


@dataclass(frozen=True, slots=True)
class Destination:
    """ports: of the container, by port of the host. idle: seconds, or None for ever."""

    address: str
    ports: dict[int, int]
    idle: float | None


def read(directory: str) -> Destination | None:
    """None: the container could not be started."""
    try:
        with open(f"{directory}/{FILE}", encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        return None
    ports = {int(outside): int(inside) for outside, inside in found["ports"]}
    return Destination(found["address"], ports, found["idle"])
