# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container is made from: an image by its name, or a root directory by its path."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .failures import MCTL, Failure
from .stdio import open_rootfs

if TYPE_CHECKING:
    from .client import Client
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


def made(arguments: Arguments, client: Client, *call: Any) -> tuple[Any, ...]:
    """The answer of a call to the manager that makes a container, with its image fetched as --pull says."""
    text, when = arguments.operands[0], arguments.get("pull", "missing")
    if when == "always" and not is_path(text):
        fetch(arguments, client)
    try:
        return client.manager(*call)
    except Failure as error:
        if error.name != NO_SUCH_IMAGE or when != "missing" or not names_registry(text):
            raise explained(error, text) from None
    fetch(arguments, client)
    return client.manager(*call)


def present(arguments: Arguments, client: Client) -> None:
    """Has the image here, as --pull says, for who must know it before. Raises Failure."""
    text, when = arguments.operands[0], arguments.get("pull", "missing")
    if when == "always":
        fetch(arguments, client)
        arguments.options["pull"] = "missing"  # once is enough
        return
    try:
        client.manager("GetImage", "s", text)
    except Failure as error:
        if error.name != NO_SUCH_IMAGE or when != "missing" or not names_registry(text):
            raise explained(error, text) from None
        fetch(arguments, client)


def fetch(arguments: Arguments, client: Client) -> None:
    from .transfers import pull

    pull(arguments, client, arguments.operands[0])


def names_registry(text: str) -> bool:
    """As docker tells a host from the first part of a name."""
    first, slash, _ = text.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def explained(failure: Failure, text: str) -> Failure:
    """Who meant a directory of that name is told how to write it."""
    if failure.name != NO_SUCH_IMAGE:
        return failure
    if os.path.isdir(text):
        hint = f"to run the directory of that name, write ./{text}"
    elif text == "busybox":
        hint = f"`mctl import --busybox` makes it of busybox-static, `mctl pull {hub_name(text)}` fetches it"
    elif names_registry(text):
        hint = f"`mctl pull {text}` fetches it"
    else:
        hint = (
            f"`mctl images` lists them; to fetch one, name its registry too, as in {hub_name(text)}; "
            "where none can be reached, `mctl import --busybox` makes a small one"
        )
    return Failure(f"{failure.text}; {hint}", status=failure.status, name=failure.name, text=failure.text)


def hub_name(text: str) -> str:
    return f"docker.io/{text}" if "/" in text else f"docker.io/library/{text}"
