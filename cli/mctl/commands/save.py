# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl save."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..client import IMAGE, Call
from ..destination import put_archive
from ..failures import UsageError
from ..images import path_of
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

FORMATS = ("oci-archive", "docker-archive")


def form(flag: str, text: str) -> str:
    """As podman's --format: what is written is both."""
    if text not in FORMATS:
        raise UsageError(f"{flag} {text[:80]!r} is not offered: the archive is {' and '.join(FORMATS)} at once")
    return text


VERB = Verb(
    usage="[OPTION...] NAME...",
    options=(
        Option(("-o", "--output"), "a file in place of standard output", value="FILE"),
        Option(("--format",), "oci-archive or docker-archive, as podman's: it is always both", value="F", convert=form),
    ),
    notes="The archive is both an OCI image layout and what `docker load`, `podman load` and skopeo read.",
)


def run(arguments: Arguments, client: Client) -> int:
    names = arguments.operands
    if not names:
        raise UsageError("an image must be named: mctl save [-o FILE] NAME...")
    if len(names) > 1:
        put_archive(arguments.get("output"), lambda output: client.manager("SaveImages", "hast", output, names, 0))
        return 0
    path = path_of(client, names[0])
    put_archive(arguments.get("output"), lambda output: client.call(Call(path, IMAGE, "Save", "ht", output, 0)))
    return 0
