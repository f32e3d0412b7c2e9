# SPDX-License-Identifier: GPL-3.0-or-later
"""--change of import: an instruction as in a Dockerfile -> keys of ImportImage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .failures import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

KNOWN = "CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR"
TEXTS = {"STOPSIGNAL": "StopSignal", "USER": "User", "WORKDIR": "WorkingDirectory"}

Change = tuple[str, str]  # instruction, what follows


def change(flag: str, text: str) -> Change:
    word, _, rest = text.strip().partition(" ")
    instruction, rest = word.upper(), rest.strip()
    if not rest or instruction not in KNOWN.split(", "):
        raise UsageError(f"{flag} {text!r} is not an instruction with something behind it; known are {KNOWN}")
    return instruction, rest


def options(changes: Iterable[Change]) -> dict[str, tuple[str, Any]]:
    """Later ones go before earlier ones."""
    found: dict[str, tuple[str, Any]] = {}
    for instruction, text in changes:
        if instruction in TEXTS:
            found[TEXTS[instruction]] = ("s", text)
        elif instruction in ("CMD", "ENTRYPOINT"):
            found["Command" if instruction == "CMD" else "Entrypoint"] = ("as", command(text))
        elif instruction == "EXPOSE":
            ports = [port if "/" in port else f"{port}/tcp" for port in text.split()]
            found["ExposedPorts"] = ("as", [*found.get("ExposedPorts", ("", []))[1], *ports])
        elif instruction == "VOLUME":
            found["Volumes"] = ("as", [*found.get("Volumes", ("", []))[1], *several(text)])
        elif instruction == "ENV":
            found["Environment"] = ("as", [*found.get("Environment", ("", []))[1], *map("=".join, pairs(text))])
        else:
            found["Labels"] = ("a{ss}", {**found.get("Labels", ("", {}))[1], **dict(pairs(text))})
    return found


def command(text: str) -> list[str]:
    """A JSON array is the words; anything else is for a shell."""
    words = array(text)
    return ["/bin/sh", "-c", text] if words is None else words


def several(text: str) -> list[str]:
    words = array(text)
    return text.split() if words is None else words


def array(text: str) -> list[str] | None:
    if not text.startswith("["):
        return None
    import json

    try:
        words = json.loads(text)
    except ValueError:
        return None
    return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def pairs(text: str) -> list[tuple[str, str]]:
    """KEY=VALUE several times, quoted as for a shell; or one KEY and its value behind a space."""
    import shlex

    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--change: {text!r} is not quoted rightly: {error}") from None
    if "=" not in words[0]:
        key, _, value = text.partition(" ")
        return [(key, value.strip())]
    if bad := next((word for word in words if "=" not in word), None):
        raise UsageError(f"--change: {bad!r} is not KEY=VALUE")
    return [(key, value) for key, _, value in (word.partition("=") for word in words)]
