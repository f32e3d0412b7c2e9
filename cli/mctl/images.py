# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a person calls an image to its object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .client import IMAGE, PROPERTIES, Call, unwrapped

if TYPE_CHECKING:
    from .client import Client

DEFAULT_TAG = ":latest"


def path_of(client: Client, text: str) -> str:
    path: str = client.manager("GetImage", "s", text)[0]
    return path


def properties(client: Client, path: str) -> dict[str, Any]:
    return unwrapped(client.call(Call(path, PROPERTIES, "GetAll", "s", IMAGE))[0])


def meant(text: str, names: list[str]) -> str | None:
    """Which of an image's names `text` is; None: it is an id."""
    return next((name for name in names if name in (text, text + DEFAULT_TAG)), None)


def split(name: str) -> tuple[str, str]:
    """Repository and tag. A port has a slash behind it."""
    repository, _, tag = name.rpartition(":")
    return repository, tag


def short_id(image: dict[str, Any], *, whole: bool) -> str:
    identity: str = image["Id"]
    return identity if whole else identity.removeprefix("sha256:")[:12]
