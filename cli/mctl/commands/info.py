# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl info: what serves here, what this host offers it, and how much there is that the caller may see."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from .. import VERSION
from ..client import MANAGER, PROPERTIES, ROOT, Call, unwrapped
from ..failures import UsageError
from ..formats import JSON
from ..output import put, to_json
from ..parser import Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="[OPTION...]",
    options=(JSON,),
    notes="Containers, images and volumes are those that you may see. `mctl check` says what the host lacks.",
)


def run(arguments: Arguments, client: Client) -> int:
    if arguments.operands:
        raise UsageError(f"info takes no names, but got {arguments.operands[0]!r}: `mctl inspect` shows a container")
    found = gathered(client)
    style = arguments.get("json", "off")
    put(to_json(found, pretty=style == "pretty") if style != "off" else told(found))
    return 0


def gathered(client: Client) -> dict[str, Any]:
    service = unwrapped(client.call(Call(ROOT, PROPERTIES, "GetAll", "s", MANAGER))[0])
    only = {"Properties": ("as", ["State"])}
    states = Counter(each["State"] for each in client.containers(only))
    host = os.uname()
    return {
        "Version": service["Version"],
        "ClientVersion": VERSION,
        "Kernel": f"{host.sysname} {host.release}",
        "Architecture": host.machine,
        "Features": sorted(service["Features"]),
        "Containers": dict(sorted(states.items())),
        "Images": len(client.manager("ListImages", "a{sv}t", {}, 0)[0]),
        "Volumes": len(client.manager("ListVolumes", "t", 0)[0]),
        "Networks": len(client.manager("ListNetworks", "t", 0)[0]),
    }


def told(found: dict[str, Any]) -> str:
    states = found["Containers"]
    each = ", ".join(f"{count} {state}" for state, count in states.items())
    lines = {
        "Service": f"mctld {found['Version']}",
        "Client": f"mctl {found['ClientVersion']}",
        "Kernel": f"{found['Kernel']} {found['Architecture']}",
        "Features": " ".join(found["Features"]) or "none",
        "Containers": f"{sum(states.values())}" + (f" ({each})" if each else ""),
        "Images": str(found["Images"]),
        "Volumes": str(found["Volumes"]),
        "Networks": str(found["Networks"]),
    }
    return "".join(f"{key + ':':<12}{value}\n" for key, value in lines.items())
