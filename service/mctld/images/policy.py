# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host's containers-policy.json(5) asks of an image: skopeo enforces it, polkit's rules may judge by it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .skopeo import POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..reference import Reference

BYTES_MAX = 1 << 20
SIGNED = ("signedBy", "sigstoreSigned")


def is_signed(reference: Reference, path: str = POLICY) -> bool:
    """Whether a pull of it succeeds only with a signature by a key that the host trusts for that."""
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(BYTES_MAX))
        scopes = found.get("transports", {}).get("docker", {})
        asked = next((scopes[scope] for scope in _scopes(reference) if scope in scopes), found.get("default", []))
        return any(each["type"] in SIGNED for each in asked)  # all of them have to be met
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False  # nothing can be pulled then


def _scopes(reference: Reference) -> Iterator[str]:
    """The nearest first; the last one is that of all registries."""
    yield str(reference)
    name = reference.repository
    while name:
        yield name
        name = name.rpartition("/")[0]
    host = reference.registry
    while "." in host:
        host = host.partition(".")[2]
        yield f"*.{host}"
    yield ""
