# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl images: one call, one table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .. import template
from ..client import unwrapped
from ..failures import UsageError
from ..formats import JSON, truth
from ..images import own_size, short_id, split, steps
from ..output import span, table, to_json
from ..owners import owner_name
from ..pager import put_long
from ..parser import Option, Verb
from ..sizes import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..client import Client
    from ..parser import Arguments

    Choice = tuple[str, Callable[[dict[str, Any]], bool]]

HEADS = ("REPOSITORY", "TAG", "ID", "OWNER", "CREATED", "SIZE", "UNIQUE")
NONE = "<none>"



def choice(flag: str, text: str) -> Choice:
    key, _, value = text.partition("=")
    if key == "dangling":
        nameless = truth(f"{flag} {key}", value)
        return key, lambda image: bool(image["Names"]) != nameless
    if key == "reference" and value:
        return key, lambda image: any(is_called(name, value) for name in image["Names"])
    if key == "label" and value:
        name, equals, content = value.partition("=")
        return key, lambda image: name in image["Labels"] and (not equals or image["Labels"][name] == content)
    raise UsageError(f"{flag} {text[:80]!r} is not known: give dangling=BOOL, reference=PATTERN or label=KEY[=VALUE]")


def is_called(name: str, pattern: str) -> bool:
    """With or without tag, registry and what else comes before the last slashes."""
    from fnmatch import fnmatchcase  # with re: 4 ms

    parts = name.split("/")
    tails = ["/".join(parts[at:]) for at in range(len(parts))]
    return any(fnmatchcase(each, pattern) for tail in tails for each in (tail, split(tail)[0]))


VERB = Verb(
    usage="[OPTION...] [NAME...]",
    options=(
        Option(("-a", "--all"), "also those that are only steps of others"),
        Option(("-q", "--quiet"), "only ids"),
        Option(("-f", "--filter"), "by reference=, label= or dangling=", value="K=V", convert=choice, repeat=True),
        Option(("--format",), "table, json, or a template as '{{.Repository}}:{{.Tag}} {{.Size}}'", value="FORMAT"),
        Option(("--no-trunc",), "whole ids"),
        JSON,
    ),
    notes="Without names all images that you may use, but not what `mctl build` has left on the way to another one.\n"
    "OWNER is followed by a * where all users may use it. UNIQUE is how much of SIZE no other one of them has too.",
)


def run(arguments: Arguments, client: Client) -> int:
    images = every = _listed(client, {})
    if arguments.operands:
        images = _listed(client, {"Names": ("as", arguments.operands)})
    left_out = steps(every)
    kept = [image for image in every if image not in left_out]
    if not arguments.operands and not arguments.get("all"):
        images = kept
    images = chosen(images, arguments.get("filter", []))
    images.sort(key=lambda image: image["ImportTimestamp"], reverse=True)
    put_long(listing(images, kept, arguments), arguments)
    return 0


def chosen(images: list[dict[str, Any]], choices: Sequence[Choice]) -> list[dict[str, Any]]:
    """Those that all keys let through, each by any of its values."""
    alike = [[fits for each, fits in choices if each == key] for key in dict.fromkeys(key for key, _ in choices)]
    return [image for image in images if all(any(fits(image) for fits in tests) for tests in alike)]


def _listed(client: Client, wanted: dict[str, tuple[str, Any]]) -> list[dict[str, Any]]:
    return [unwrapped(each) for each in client.manager("ListImages", "a{sv}t", wanted, 0)[0]]


def listing(images: list[dict[str, Any]], kept: list[dict[str, Any]], arguments: Arguments) -> str:
    """kept: those whose layers count as somebody else's; what a build has left on the way has none of its own."""
    style, whole = arguments.get("format", "table"), bool(arguments.get("no_trunc"))
    if arguments.get("quiet"):
        return "".join(f"{identity}\n" for identity in dict.fromkeys(short_id(i, whole=whole) for i in images))
    json_style = arguments.get("json", "pretty" if style == "json" else "off")
    if json_style != "off":
        return to_json(images, pretty=json_style == "pretty")
    rows = [fields for image in images for fields in for_people(image, kept, whole=whole)]
    if style == "table":
        keys = ("Repository", "Tag", "ID", "Owner", "Created", "Size", "Unique")
        give = () if whole else ("REPOSITORY", "-UNIQUE", "TAG")
        return table(HEADS, [tuple(fields[key] for key in keys) for fields in rows], give)
    if "{{" not in style:
        raise UsageError(f"--format {style!r} is neither table nor json nor a template")
    template.fields_of(style)  # right or wrong, also where there is no image
    return template.listing(style, [(fields, {}) for fields in rows])


def for_people(image: dict[str, Any], kept: list[dict[str, Any]], *, whole: bool) -> list[dict[str, Any]]:
    """A row for each name."""
    created = image["CreateTimestamp"]
    common = {
        **image,
        "ID": short_id(image, whole=whole),
        "Owner": owner_name(image["OwnerUID"]) + ("*" if image["Shared"] else ""),
        "Created": f"{span(time.time() - created / 1_000_000)} ago" if created else "",
        "Size": readable(image["Size"]),
        "Unique": readable(own_size(image, kept)),
    }
    names = [split(name) for name in image["Names"]] or [(NONE, NONE)]
    return [{**common, "Repository": repository, "Tag": tag} for repository, tag in names]
