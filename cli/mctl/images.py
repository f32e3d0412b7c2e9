# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a person calls an image to its object."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .client import IMAGE, PROPERTIES, Call, unwrapped

if TYPE_CHECKING:
    from .client import Client

DEFAULT_TAG = ":latest"


def path_of(client: Client, text: str) -> str:
    path: str = client.manager("GetImage", "s", text)[0]
    client.called(path, text)
    return path


def properties(client: Client, path: str) -> dict[str, Any]:
    return unwrapped(client.call(Call(path, PROPERTIES, "GetAll", "s", IMAGE))[0])


def meant(text: str, names: list[str]) -> str | None:
    """Which of an image's names `text` is; None: it is an id."""
    return next((name for name in names if name in (text, text + DEFAULT_TAG)), None)


def split(name: str) -> tuple[str, str]:
    """Repository and tag, or as much of a digest as people tell apart. A port has a slash behind it."""
    if "@" in name:
        repository, _, digest = name.partition("@")
        return repository, "@" + digest[: len("sha256:") + 12]
    repository, _, tag = name.rpartition(":")
    return repository, tag


def short_id(image: dict[str, Any], *, whole: bool) -> str:
    identity: str = image["Id"]
    return identity if whole else identity.removeprefix("sha256:")[:12]


def own_size(image: dict[str, Any], others: list[dict[str, Any]]) -> int:
    """Bytes of the layers that no image of another id among the others has too."""
    elsewhere = {layer for other in others if other["Id"] != image["Id"] for layer in other["Layers"]}
    sizes = dict(zip(image["Layers"], image["LayerSizes"], strict=True))
    return sum(size for layer, size in sizes.items() if layer not in elsewhere)


def steps(images: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those without a name that another one of the same owner has been built on, as a build leaves them."""
    known = [(image, _history(image)) for image in images]
    return [
        image
        for image, history in known
        if not image["Names"] and history and any(_goes_on(image, history, *each) for each in known)
    ]


def _history(image: dict[str, Any]) -> list[str]:
    return [entry.get("created_by", "") for entry in json.loads(image["Configuration"]).get("history") or []]


def _goes_on(image: dict[str, Any], history: list[str], later: dict[str, Any], longer: list[str]) -> bool:
    return (
        len(longer) > len(history)
        and longer[: len(history)] == history
        and later["Layers"][: len(image["Layers"])] == image["Layers"]
        and later["OwnerUID"] == image["OwnerUID"]
    )
