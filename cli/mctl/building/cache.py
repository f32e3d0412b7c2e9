# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an earlier image is what a step would make: by its settings too, for a history is its maker's own words.

An image of somebody's may have the layers and the history of a well-known one, and other variables, or another
entrypoint: what was built on it is no cache for what is built on the well-known one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .service import Options

# What an option replaces: which value it has been given the history tells.
REPLACED = {
    "Command": "Cmd", "Entrypoint": "Entrypoint", "User": "User", "WorkingDirectory": "WorkingDir",
    "StopSignal": "StopSignal", "Shell": "Shell", "OnBuild": "OnBuild", "HealthCommand": "Healthcheck",
    "ExposedPorts": "ExposedPorts", "Volumes": "Volumes",
}  # fmt: skip
ADDED = ("Env", "Labels")


def goes_on(before: Mapping[str, Any], said: Options, after: Mapping[str, Any]) -> bool:
    """Settings of the image below, what has been said since, and settings of the image that may have come of it."""
    open_to_change = {*ADDED, *(REPLACED[name] for name in said if name in REPLACED)}
    kept = (before.keys() | after.keys()) - open_to_change
    return (
        all((before.get(name) or None) == (after.get(name) or None) for name in kept)
        and _variables(after.get("Env")) == _variables([*(before.get("Env") or []), *_said(said, "Environment", [])])
        and (after.get("Labels") or {}) == {**(before.get("Labels") or {}), **_said(said, "Labels", {})}
    )


def _said(said: Options, name: str, otherwise: Any) -> Any:
    return said[name][1] if name in said else otherwise


def _variables(texts: list[str] | None) -> dict[str, str]:
    return dict(text.partition("=")[::2] for text in texts or [])
