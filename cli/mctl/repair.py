# SPDX-License-Identifier: GPL-3.0-or-later
"""Images whose files are no longer what they were: removed, and fetched anew where a registry has them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from .client import IMAGE, Call
from .failures import Failure, UsageError
from .images import path_of, properties
from .origin import names_registry
from .output import complain, put

if TYPE_CHECKING:
    from .client import Client


class Damaged:
    """An image as it was called, with what was known of it."""

    __slots__ = ("_image", "_layers", "_path", "_text", "names", "source")

    def __init__(self, text: str, path: str, layers: list[str], image: dict[str, Any]) -> None:
        self._text = text
        self._layers = layers
        self._path = path
        self._image = image
        self.names: list[str] = image["Names"]
        mine = image["OwnerUID"] == os.getuid() and not image["MadeHere"]
        sources = [name for name in self.names if mine and names_registry(name)]
        self.source = min(sources, key=lambda name: "@" not in name, default="")  # a digest means the same for ever

    @classmethod
    def found(cls, client: Client, text: str) -> Damaged | None:
        """None where all is well."""
        path = path_of(client, text)
        layers = damaged_layers(client, path)
        return cls(text, path, layers, properties(client, path)) if layers else None

    def tell(self, *, remedy: bool) -> None:
        then = f" and pulls {self.source}" if self.source else ", then bring it in again"
        for layer in self._layers:
            what = f"; `mctl image check --repair` removes the image{then}" if remedy else ""
            complain(f"{self._text}: the layer {layer} is damaged{what}")

    def remove(self, client: Client) -> None:
        client.call(Call(self._path, IMAGE, "Remove", "t", 0))
        put(f"{self._text}: removed{'' if self.source else '; bring it in again'}\n")

    def bring_back(self, client: Client) -> int:
        """The exit status. What is not its owner's to pull, or was made here, is left to whoever has it."""
        if not self.source:
            return 0
        try:
            return self._pulled(client, self._pull(client, self.source))
        except (Failure, UsageError) as error:
            complain(f"{self._text}: not there any more: {error}; `mctl pull {self.source}` brings it in again")
            return 1

    # Inside

    def _pulled(self, client: Client, identity: str) -> int:
        if identity != self._image["Id"]:
            others = ", ".join(name for name in self.names if name != self.source)
            lost = f"; what was called {others} is not there any more" if others else ""
            complain(f"{self._text}: {self.source} is another image by now, {identity}, which was pulled{lost}")
            return 1
        path = path_of(client, self.source)
        for name in self.names:
            if "@" not in name and name != self.source:
                client.call(Call(path, IMAGE, "Tag", "st", name, 0))
            elif name != self.source:
                self._pull(client, name)
        if damaged_layers(client, path):
            complain(f"{self._text}: pulled again, but damaged still: another image or a container has kept the layer; "
                     "remove that first")  # fmt: skip
            return 1
        put(f"{self._text}: pulled again\n")
        return 0

    def _pull(self, client: Client, name: str) -> str:
        from .parser import Arguments
        from .transfers import pull

        variant = json.loads(self._image["Configuration"]).get("variant", "")
        platform = "/".join(part for part in (self._image["OS"], self._image["Architecture"], variant) if part)
        return pull(Arguments({"platform": platform, "private": not self._image["Shared"]}, []), client, name)


def damaged_layers(client: Client, path: str) -> list[str]:
    (found,) = client.call(Call(path, IMAGE, "Check", "t", 0))
    return list(found)
