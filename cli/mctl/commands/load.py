# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl load."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..archives import open_archive
from ..failures import UsageError
from ..output import put
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="[OPTION...]",
    options=(
        Option(("-i", "--input"), "a file in place of standard input", value="FILE"),
        Option(("--platform",), "which image, where there are several, as linux/arm64", value="PLATFORM"),
        Option(("--private",), "for root: do not share them with other users"),
        Option(("-q", "--quiet"), "only ids"),
    ),
    notes=(
        "The archive is what `docker save`, `podman save`, `skopeo copy` and `mctl save` write, plain or compressed\n"
        "by gzip, zstd or xz. All its images are loaded, or none."
    ),
)


def run(arguments: Arguments, client: Client) -> int:
    if arguments.operands:
        raise UsageError(f"load takes no operand, but got {arguments.operands[0]!r}: mctl load -i FILE")
    file = arguments.get("input", "-")
    if file == "-" and os.isatty(0):
        raise UsageError("an archive is nothing to type: give -i FILE, or redirect standard input")
    if os.path.isdir(file):
        raise UsageError(f"{file!r} is a directory: pack it as `tar -C {file} -c . | mctl load`")
    archive = open_archive(file)
    options: dict[str, tuple[str, Any]] = {"Archive": ("h", archive.given)}
    if arguments.get("private"):
        options["Private"] = ("b", True)
    if "platform" in arguments.options:
        options["Platform"] = ("s", arguments.options["platform"])
    try:
        (images,) = client.manager("LoadImages", "a{sv}t", options, 0)
    finally:
        archive.close()
    quiet = bool(arguments.get("quiet"))
    put("".join(f"{identity}\n" if quiet else described(identity, names) for _, identity, names in images))
    return 0


def described(identity: str, names: list[str]) -> str:
    """As docker says it, which scripts read."""
    if names:
        return "".join(f"Loaded image: {name}\n" for name in names)
    return f"Loaded image ID: {identity}\n"
