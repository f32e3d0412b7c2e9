# SPDX-License-Identifier: GPL-3.0-or-later
"""For what machine is built: this one's kind, in Go's words, as the ARGs that are known without being given."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .containerfile import Instruction

MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "i686": "386"}


def host() -> str:
    machine = os.uname().machine
    return f"linux/{MACHINES.get(machine, machine)}"


def arguments() -> dict[str, str]:
    """https://docs.docker.com/reference/dockerfile/#automatic-platform-args-in-the-global-scope"""
    platform = host()
    system, architecture, variant = (*platform.split("/"), "")[:3]
    words = {"PLATFORM": platform, "OS": system, "ARCH": architecture, "VARIANT": variant}
    return {f"{of}{name}": text for of in ("TARGET", "BUILD") for name, text in words.items()}


def check(instruction: Instruction, wanted: str) -> None:
    """FROM --platform."""
    if wanted not in ("", host(), host().removeprefix("linux/")):
        raise instruction.wrong(f"FROM --platform={wanted} cannot be built here: this host is {host()}")
