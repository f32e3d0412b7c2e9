# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container is made from: an image by its name, or a root directory by its path."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .failures import MCTL, Failure
from .stdio import open_rootfs

if TYPE_CHECKING:
    from .parser import Arguments

NO_SUCH_IMAGE = MCTL + "NoSuchImage"


def is_path(text: str) -> bool:
    """As for a shell that looks for a program: a name is not a path. Names of images have slashes and dots too."""
    return text in (".", "..") or text.startswith(("/", "./", "../"))


def origin_options(arguments: Arguments) -> dict[str, tuple[str, Any]]:
    """The keys of CreateContainer for the first operand and --entrypoint."""
    text = arguments.operands[0]
    if is_path(text):
        return {"Rootfs": ("h", open_rootfs(text))}
    found: dict[str, tuple[str, Any]] = {"Image": ("s", text)}
    if "entrypoint" in arguments.options:
        found["Entrypoint"] = ("as", arguments.options["entrypoint"])
    return found


def entrypoint(flag: str, text: str) -> list[str]:
    """A program; nothing at all; or several words as a JSON array, as podman takes it."""
    del flag
    if text.startswith("["):
        import json

        try:
            words = json.loads(text)
        except ValueError:
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
    return [text] if text else []


def explained(failure: Failure, text: str) -> Failure:
    """Who meant a directory of that name is told how to write it."""
    if failure.name != NO_SUCH_IMAGE:
        return failure
    hint = f"to run the directory of that name, write ./{text}" if os.path.isdir(text) else "`mctl images` lists them"
    return Failure(f"{failure}; {hint}", status=failure.status, name=failure.name, text=failure.text)
