# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a person calls a container to its object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .client import MANAGER, ROOT, Call
from .failures import NO_SUCH, Failure, UsageError

if TYPE_CHECKING:
    from typing import Any

    from .client import Client

PREFIX = "/org/mctl1/container/"
NETWORKS = "/org/mctl1/network/"
NAME_RULE = "1 to 63 of a-z, 0-9 and -, beginning with a letter or digit"
NAME_MAX = 63
FEWEST_DIGITS = 4

_HEX = frozenset("0123456789abcdef")
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_DIGITS = frozenset("0123456789")


def escape(label: str) -> str:
    """One path element as sd_bus_path_encode(3) writes it."""
    if not label:
        return "_"
    first = label[0]
    out = [first if first in _LETTERS else _escaped(first)]
    out += [c if c in _LETTERS or c in _DIGITS else _escaped(c) for c in label[1:]]
    return "".join(out)


def _escaped(character: str) -> str:
    return "".join(f"_{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def is_name(text: str) -> bool:
    return 0 < len(text) <= NAME_MAX and text[0] != "-" and _NAME.issuperset(text)


def looks_like_id(text: str) -> bool:
    return len(text) >= FEWEST_DIGITS and _HEX.issuperset(text.lower())


def new_name(flag: str, text: str) -> str:
    """A name for a container that is to be made. Raises UsageError."""
    if not is_name(text):
        shown = text if len(text) <= 80 else text[:77] + "..."
        raise UsageError(f"{flag} {shown!r} is not a valid name: use {NAME_RULE}{_like_it(text)}")
    return text


def _like_it(text: str) -> str:
    """For names that docker and podman take: this one is a host name as well."""
    near = text.lower().replace("_", "-").replace(".", "-")
    return f"; {near} would do" if is_name(near) else ""


def network_path(name: str) -> str:
    return NETWORKS + escape(name)


def path_of(name: str) -> str:
    return PREFIX + escape(name)


def call_on(client: Client, text: str, call: Call) -> tuple[Any, ...]:
    """Has `call` done on the container called `text`: a name, an id, or the beginning of one."""
    found = found_by_id(client, text)
    call.path = found or path_of(text)
    try:
        if found or is_name(text):
            return client.call(call)
    except Failure as error:
        if error.name not in NO_SUCH:
            raise
    return by_id(client, text, call)


def found_by_id(client: Client, text: str) -> str:
    """The path of what may be called by an id and that the caller may see; empty where there is none.

    To who may not see others' containers a name that is none looks like one of theirs, so it cannot be tried first.
    """
    if not looks_like_id(text):
        return ""
    call = Call(ROOT, MANAGER, "GetContainer", "s", text if is_name(text) else text.lower())
    client.send(call)
    try:
        found: str = client.result(call, ask=False)[0]
    except Failure:
        return ""
    return found


def by_id(client: Client, text: str, call: Call) -> tuple[Any, ...]:
    """As call_on, for what is known to be no name."""
    if looks_like_id(text):
        try:
            call.path = client.manager("GetContainer", "s", text.lower())[0]
            return client.call(call)
        except Failure as error:
            if error.name not in NO_SUCH:
                raise
    raise Failure(
        f"there is no container {text!r} that you may see{_similar(client, text)}; `mctl ps -a` lists them",
        status=client.failure_status,
        name=NO_SUCH[0],
    )


def _similar(client: Client, text: str) -> str:
    """The name that was meant, perhaps; only those who mistype pay for it."""
    from .similarity import suggestion

    wanted = {"Properties": ("as", ["Name"])}
    try:
        (found,) = client.manager("ListContainers", "a{sv}t", wanted, 0)
    except Failure:  # the first answer says more
        return ""
    return suggestion(text, [str(each["Name"][1]) for each in found])


def named(text: str, error: Failure) -> str:
    """The sentence for one of several names; it begins with the name unless it quotes it."""
    sentence = str(error)
    return sentence if repr(text) in sentence else f"{text}: {sentence}"
