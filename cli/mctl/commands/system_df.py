# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl system df: what images, containers and volumes take of the disk, and what pruning would give back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..client import Client, unwrapped
from ..failures import UsageError
from ..formats import JSON
from ..output import put, table, to_json
from ..pager import put_long
from ..parser import Option, Verb
from ..sizes import readable

if TYPE_CHECKING:
    from ..parser import Arguments

HEADS = ("TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE")
PARTS = ("KIND", "NAME", "ID", "OWNER", "ACTIVE", "SIZE")
ACTIVE = ("running", "paused", "starting", "stopping", "restarting")

VERB = Verb(
    usage="[OPTION...]",
    options=(Option(("-v", "--verbose"), "each of them"), JSON),
    notes="Of what you may see. Every file is looked at, which may take a while. A layer that several images share\n"
    "counts once; of a container what it has changed counts. Downloads are what interrupted pulls have left for\n"
    "the next. `mctl system prune` frees space.",
)

Entry = dict[str, Any]  # Kind, Name, Id, OwnerUID, Active, Size; of images also Layers


def run(arguments: Arguments, client: Client) -> int:
    if arguments.operands:
        raise UsageError(f"system df takes no names, but got {arguments.operands[0]!r}")
    entries, style = found(client), arguments.get("json", "off")
    if style != "off":
        put_long(to_json(entries, pretty=style == "pretty"), arguments)
    elif arguments.get("verbose"):
        put_long(table(PARTS, [part(entry) for entry in entries], ("NAME",)), arguments)
    else:
        kinds = [(name, [e for e in entries if e["Kind"] == kind]) for name, kind in KINDS]
        put(table(HEADS, [row(name, some) for name, some in kinds]))
    return 0


KINDS = (("Images", "image"), ("Containers", "container"), ("Volumes", "volume"), ("Downloads", "download"))


def found(client: Client) -> list[Entry]:
    wanted = {"Properties": ("as", ["Id", "State", "ImageId"])}
    containers = client.containers(wanted)
    volumes = [unwrapped(each) for each in client.manager("ListVolumes", "t", 0)[0]]
    active = {c["Id"] for c in containers if c["State"] in ACTIVE}
    active |= {v["Id"] for v in volumes if v["Containers"]}
    images = [image(unwrapped(each), containers) for each in client.manager("ListImages", "a{sv}t", {}, 0)[0]]
    rest = [unwrapped(each) for each in client.manager("GetDiskUsage", "t", 0)[0]]
    return images + [{**each, "Active": each["Id"] in active} for each in rest]


def image(image: dict[str, Any], containers: list[dict[str, Any]]) -> Entry:
    used = any(container["ImageId"] == image["Id"] for container in containers)
    name = image["Names"][0] if image["Names"] else ""
    return {
        "Kind": "image", "Name": name, "Id": image["Id"], "OwnerUID": image["OwnerUID"], "Active": used,
        "Size": image["Size"], "UniqueSize": image["UniqueSize"], "Layers": layers(image),
    }  # fmt: skip


def layers(image: dict[str, Any]) -> dict[str, int]:
    return dict(zip(image["Layers"], image["LayerSizes"], strict=True))


def size(entries: list[Entry]) -> int:
    """Layers once each."""
    shared: dict[str, int] = {digest: each for e in entries for digest, each in e.get("Layers", {}).items()}
    return sum(shared.values()) + sum(int(e["Size"]) for e in entries if "Layers" not in e)


def row(name: str, entries: list[Entry]) -> tuple[str, ...]:
    busy = [entry for entry in entries if entry["Active"]]
    free, whole = size(entries) - size(busy), size(entries)
    share = f" ({100 * free // whole}%)" if whole else ""
    return name, str(len(entries)), str(len(busy)), readable(whole), readable(free) + share


def part(entry: Entry) -> tuple[str, ...]:
    from ..owners import owner_name

    active = "yes" if entry["Active"] else "no"
    identity = entry["Id"].removeprefix("sha256:")[:12]
    return entry["Kind"], entry["Name"], identity, owner_name(entry["OwnerUID"]), active, readable(entry["Size"])
