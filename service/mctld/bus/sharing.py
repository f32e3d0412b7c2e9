# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose network a container is to share: found and judged before anybody is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..bounds import shown
from ..dangers import dangers
from ..errors import InvalidArgs, NoSuchContainer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .engine import Container
    from .question import Call
    from .visible import Visible

KEY = "NetworkContainer"
ROOT_UID = 0


def resolved(call: Call, values: Mapping[str, Any], visible: Visible) -> tuple[Mapping[str, Any], str]:
    """The options with the id in place of the name, and what of it takes an administrator's consent, in words."""
    key = values.get(KEY, "")
    if not key:
        return values, ""
    found = visible.find(call.uid, key)
    if found is None or call.uid not in (ROOT_UID, found.owner_uid):
        raise NoSuchContainer(f"{KEY} {shown(key)}: there is no such container of yours")
    _check(found)
    return {**values, KEY: found.id}, _danger(found)


def _check(found: Container) -> None:
    networking = found.spec.networking
    if networking.host:
        raise InvalidArgs(f"{KEY}: container {found.name!r} has the host's network: ask for that one instead")
    if networking.container:
        raise InvalidArgs(
            f"{KEY}: container {found.name!r} has the network of container {networking.container[:12]} itself: "
            "name that one"
        )


def _danger(found: Container) -> str:
    """Who is in its network serves on its ports: what an administrator has agreed to was another command there."""
    risks = dangers(found.spec)
    return f"the network of container {found.name}, which has {'; '.join(risks)}" if risks else ""
