# SPDX-License-Identifier: GPL-3.0-or-later
"""-P: what an image says it listens on, and what --expose adds, on free ports of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .client import IMAGE, PROPERTIES, Call
from .networking import exposed
from .origin import is_path, present

if TYPE_CHECKING:
    from .client import Client
    from .networking import Port
    from .parser import Arguments


def with_exposed(
    arguments: Arguments, client: Client, options: dict[str, tuple[str, Any]]
) -> dict[str, tuple[str, Any]]:
    """The options of CreateContainer, with Ports for -P. Fetches the image where that is wanted and not yet done."""
    wanted = [exposed("EXPOSE", text) for text in of_image(arguments, client)] + arguments.get("expose", [])
    given: list[Port] = list(options.get("Ports", ("", []))[1])
    taken = {each for port in given for each in singly(port)}
    each_wanted = dict.fromkeys(each for port in wanted for each in singly(port))
    added = [(protocol, "", 0, number, 1) for protocol, number in each_wanted if (protocol, number) not in taken]
    return {**options, "Ports": ("a(ssqqq)", given + added)} if added else options


def of_image(arguments: Arguments, client: Client) -> list[str]:
    text = arguments.operands[0]
    if is_path(text):
        return []
    present(arguments, client)
    (path,) = client.manager("GetImage", "s", text)
    ports: list[str] = client.call(Call(path, PROPERTIES, "Get", "ss", IMAGE, "ExposedPorts"))[0][1]
    return ports


def singly(port: Port) -> list[tuple[str, int]]:
    """Protocol and number inside, one by one."""
    protocol, _, _, first, count = port
    return [(protocol, first + offset) for offset in range(count)]
