# SPDX-License-Identifier: GPL-3.0-or-later
"""How skopeo(1) is called, and what its complaints mean.

`dir:` keeps manifest and configuration as the registry has them; `oci:` would write docker's own anew, without their
health checks and under another id. The price: skopeo empties a `dir:` before it begins, so that blobs which are here
already cannot be offered to it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..platform import Platform
    from ..reference import Reference

PROGRAM = "/usr/bin/skopeo"
POLICY = "/etc/containers/policy.json"
IMAGE, ARCHIVE, DIGEST = "image", "image.tar", "digest"  # in the directory of a transfer
_LEVEL = re.compile(r'level=(?:fatal|error) msg=("(?:[^"\\]|\\.)*"|\S+)')
_TELLING = 600  # characters


def look(reference: Reference, platform: Platform, place: str, authentication: str, *, verify: bool) -> list[str]:
    """What is called so now: prints the image's configuration, whose digest is its id."""
    return [
        *_on_platform(platform, place),
        "inspect", "--config", "--raw", "--retry-times", "2", "--authfile", authentication,
        *([] if verify else ["--tls-verify=false"]), f"docker://{reference}",
    ]  # fmt: skip


def pull(reference: Reference, platform: Platform, place: str, authentication: str, *, verify: bool) -> list[str]:
    return [
        *_on_platform(platform, place),
        "copy", "--retry-times", "2", "--authfile", authentication, *([] if verify else ["--src-tls-verify=false"]),
        f"docker://{reference}", f"dir:{place}/{IMAGE}",
    ]  # fmt: skip


def push(reference: Reference, place: str, authentication: str, *, verify: bool) -> list[str]:
    return [
        PROGRAM, "--tmpdir", place,
        "copy", "--retry-times", "2", "--authfile", authentication, *([] if verify else ["--dest-tls-verify=false"]),
        "--digestfile", f"{place}/{DIGEST}", f"docker-archive:{place}/{ARCHIVE}", f"docker://{reference}",
    ]  # fmt: skip


def _on_platform(platform: Platform, place: str) -> list[str]:
    return [
        PROGRAM, "--tmpdir", place, "--override-os", platform.os, "--override-arch", platform.architecture,
        *(["--override-variant", platform.variant] if platform.variant else []),
    ]  # fmt: skip


def complaint(output: str) -> str:
    """The last thing that it says went wrong, in one line."""
    found = _LEVEL.findall(output)
    lines = [line for line in output.splitlines() if line.strip()]
    last = _unquoted(found[-1]) if found else lines[-1] if lines else ""
    text = "".join(c if c.isprintable() else " " for c in " ".join(last.split()))
    return text if len(text) <= _TELLING else text[: _TELLING - 3] + "..."


def _unquoted(text: str) -> str:
    """Go's %q is JSON's for what is printable."""
    try:
        return str(json.loads(text))
    except ValueError:
        return text.strip('"')
