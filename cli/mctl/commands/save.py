# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl save."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..client import IMAGE, Call
from ..failures import Failure, UsageError
from ..images import path_of
from ..parser import Option, Verb

if TYPE_CHECKING:
    from ..client import Client
    from ..parser import Arguments

VERB = Verb(
    usage="[OPTION...] NAME",
    options=(Option(("-o", "--output"), "a file in place of standard output", value="FILE"),),
    notes="The archive is both an OCI image layout and what `docker load`, `podman load` and skopeo read.",
    descriptors=True,
)


def run(arguments: Arguments, client: Client) -> int:
    if len(arguments.operands) != 1:
        raise UsageError("one image must be named: mctl save [-o FILE] NAME")
    file = arguments.get("output")
    if file is None and os.isatty(1):
        raise UsageError("an archive is nothing for a terminal: give -o FILE, or redirect standard output")
    path = path_of(client, arguments.operands[0])
    if file is None:
        client.call(Call(path, IMAGE, "Save", "ht", 1, 0))
        return 0
    written = f"{file}.part"
    output = opened(written)
    try:
        client.call(Call(path, IMAGE, "Save", "ht", output, 0))
        os.rename(written, file)
    except (Failure, OSError):
        os.unlink(written)
        raise
    finally:
        os.close(output)
    return 0


def opened(path: str) -> int:
    """A new file: what is there stays whole until the new one is."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot write to {path!r}: {reason}") from None
