# SPDX-License-Identifier: GPL-3.0-or-later
"""What polkit's policy says of an action where no rule decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .client import Call
from .failures import Failure
from .output import printable

if TYPE_CHECKING:
    from .client import Client

RULES = "a rule in /etc/polkit-1/rules.d can decide otherwise: see polkit(8) and /usr/share/doc/mctl/examples"
POLKIT = "org.freedesktop.PolicyKit1"
AUTHORITY = "/org/freedesktop/PolicyKit1/Authority"
# PolkitImplicitAuthorization, as polkit(8) spells its values
WORDS = ("no", "auth_self", "auth_admin", "auth_self_keep", "auth_admin_keep", "yes")


class Defaults:
    """Of one action: for who is in no session here, in one that is not in front, and in one that is."""

    __slots__ = ("action", "active", "any", "description", "inactive")

    def __init__(self, action: str, description: str, implicit: tuple[int, int, int]) -> None:
        self.action = action
        self.description = description
        self.any, self.inactive, self.active = (WORDS[i] if i < len(WORDS) else str(i) for i in implicit)


def decided(client: Client, action: str) -> list[str]:
    """Sentences on what decides where no rule does."""
    known = defaults(client, action)
    if known is None:
        return [f"polkit does not tell of the action {action}; where it does not answer only root may do anything"]
    return [
        f"the action of polkit that decides is {action} ({printable(known.description)})",
        f"  where no rule decides: {known.any} elsewhere, {known.inactive} in a session at this host that is not in"
        f" front, {known.active} in one that is",
        f"  {RULES}",
    ]


def defaults(client: Client, action: str) -> Defaults | None:
    """None where polkit does not answer, or does not know the action."""
    try:
        call = Call(AUTHORITY, f"{POLKIT}.Authority", "EnumerateActions", "s", "", destination=POLKIT)
        (known,) = client.call(call)
    except Failure:
        return None
    for identity, description, _, _, _, _, *implicit, _ in known:
        if identity == action:
            return Defaults(identity, description, (implicit[0], implicit[1], implicit[2]))
    return None
