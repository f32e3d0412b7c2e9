# SPDX-License-Identifier: GPL-3.0-or-later
"""How skopeo(1) is called, and what its complaints mean.

It fetches into an OCI image layout, since it asks for no blob that is in one already, which it tells by the name alone.
With --preserve-digests manifest and configuration stay as the registry has them; docker's own would be written anew,
without their health checks and under another id. Signatures have no place there: they have been judged by then.
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
STAGING = "transfer"  # its directory, in that of what is being made
IMAGE, ARCHIVE, DIGEST = "image", "image.tar", "digest"  # in it
_LEVEL = re.compile(r'level=(?:fatal|error) msg=("(?:[^"\\]|\\.)*"|\S+)')
DENIED = ("authentication required", "unauthorized", "access to the resource is denied")
_BEGINNING = re.compile(  # what people do not ask: it is said of which image this is
    r'Error parsing image name "[^"]*": |parsing image name "[^"]*": |initializing source \S+: |'
    r"trying to reuse blob \S+ at destination: |checking whether a blob \S+ exists in \S+: "
)
_TELLING = 600  # characters


def look(reference: Reference, platform: Platform, place: str, authentication: str, *, verify: bool) -> list[str]:
    """What is called so now: prints the image's configuration, whose digest is its id."""
    return _inspect(["--config"], reference, platform, place, authentication, verify=verify)


def manifest(reference: Reference, platform: Platform, place: str, authentication: str, *, verify: bool) -> list[str]:
    """Prints what the registry has under the name: a manifest, or an index of some for several platforms."""
    return _inspect([], reference, platform, place, authentication, verify=verify)


def _inspect(
    what: list[str], reference: Reference, platform: Platform, place: str, authentication: str, *, verify: bool
) -> list[str]:
    return [
        *_on_platform(platform, place),
        "inspect", *what, "--raw", "--retry-times", "2", "--authfile", authentication,
        *([] if verify else ["--tls-verify=false"]), f"docker://{reference}",
    ]  # fmt: skip


def pull(reference: Reference, platform: Platform, place: str, authentication: str, *, verify: bool) -> list[str]:
    return [
        *_on_platform(platform, place),
        "copy", "--retry-times", "2", "--authfile", authentication, *([] if verify else ["--src-tls-verify=false"]),
        "--preserve-digests", "--remove-signatures", f"docker://{reference}", f"oci:{place}/{IMAGE}",
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
    while beginning := _BEGINNING.match(text):
        text = text[beginning.end() :]
    return text if len(text) <= _TELLING else text[: _TELLING - 3] + "..."


def advice(complaint: str, name: str, *, known: bool) -> str:
    """What to do about it; known: a user's name and password were given for the image of that name."""
    if any(words in complaint for words in DENIED):
        if known:
            return "; check the user name, the password, whether this user may, and the name of the image"
        return f"; log in by `skopeo login {name.partition('/')[0]}`, or give --creds USER"
    return "; it has no such image, or none with this tag" if complaint.endswith("manifest unknown") else ""


def _unquoted(text: str) -> str:
    """Go's %q is JSON's for what is printable."""
    try:
        return str(json.loads(text))
    except ValueError:
        return text.strip('"')
