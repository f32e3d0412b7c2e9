# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl history: the steps that an image's configuration tells of, the last one first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..failures import UsageError
from ..formats import JSON
from ..images import path_of, properties
from ..moments import calendar
from ..output import put, span, table, to_json
from ..pager import put_long
from ..parser import Option, Verb
from ..sizes import readable

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

HEADS = ("CREATED", "CREATED BY", "SIZE", "COMMENT")
WIDTH = 60

VERB = Verb(
    usage="[OPTION...] IMAGE",
    options=(
        Option(("--no-trunc",), "whole commands"),
        Option(("-q", "--quiet"), "only the digests of layers"),
        JSON,
    ),
    notes="A step without a layer has no size.",
)


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) != 1:
        raise UsageError("one image must be named: mctl history IMAGE")
    found = steps(properties(client, path_of(client, arguments.operands[0])))
    style = arguments.get("json", "off")
    if arguments.get("quiet"):
        put("".join(f"{step['Layer']}\n" for step in found if step["Layer"]))
    elif style != "off":
        put_long(to_json(found, pretty=style == "pretty"), arguments)
    else:
        whole = bool(arguments.get("no_trunc"))
        give = () if whole else ("COMMENT", "CREATED BY")
        put_long(table(HEADS, [row(step, whole=whole) for step in found], give), arguments)
    return 0


def steps(image: dict[str, Any]) -> list[dict[str, Any]]:
    """The service has checked the document. Layers that it tells nothing of, as of images without history, come too."""
    import json

    history = json.loads(image["Configuration"]).get("history") or []
    layers = list(zip(image["Layers"], image["LayerSizes"], strict=True))
    found = []
    for entry in history:
        layer, size = ("", 0) if entry.get("empty_layer") is True or not layers else layers.pop(0)
        found.append(step(entry, layer, size))
    found += [step({}, layer, size) for layer, size in layers]
    return found[::-1]


def step(entry: dict[str, Any], layer: str, size: int) -> dict[str, Any]:
    told = {key: entry.get(name) or "" for key, name in TOLD.items()}
    return {**told, "Layer": layer, "Size": size}


def row(step: dict[str, Any], *, whole: bool) -> tuple[str, ...]:
    command = " ".join(step["CreatedBy"].split())
    if not whole and len(command) > WIDTH:
        command = command[: WIDTH - 1] + "…"
    return created(step["Created"]), command, readable(step["Size"]) if step["Layer"] else "", step["Comment"]


def created(text: str) -> str:
    usec = calendar(text) if text else None
    return f"{span(time.time() - usec / 1_000_000)} ago" if usec and usec > 0 else ""


TOLD = {"Created": "created", "CreatedBy": "created_by", "Comment": "comment"}
