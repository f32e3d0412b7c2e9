# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces of containers on a link of the host's. They have no end on the host: only inside they can be removed."""

from __future__ import annotations

import contextlib
import errno
import re
from typing import TYPE_CHECKING

from ..errors import InvalidArgs
from . import messages
from .links import Link, find_link

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from ..networking import Network
    from .connection import Connection
    from .netlink import Netlink

_OF_OURS = re.compile(r"eth[0-9]{1,3}")


def check_parent(netlink: Netlink, network: Network) -> None:
    """Raises InvalidArgs where its link is none that containers could be on."""
    parent = find_link(netlink, network.interface)
    if parent is None:
        raise InvalidArgs(f"Parent {network.interface}: this host has no such interface; `ip link` lists what it has")
    if not parent.is_ethernet:
        raise InvalidArgs(f"Parent {network.interface} is no Ethernet interface")
    if parent.master:
        raise InvalidArgs(f"Parent {network.interface} is a port of another interface: name that one")


def add_link(netlink: Netlink, connection: Connection, namespace: int) -> None:
    """Of a container, made straight in its namespace."""
    network = connection.network
    assert network.macvlan is not None
    parent = find_link(netlink, network.interface)
    if parent is None:
        raise OSError(errno.ENODEV, f"the interface {network.interface}, on whose link it is, is not there")
    request = messages.add_macvlan(
        parent.index, mode=network.macvlan.mode, inside=connection.inside, mac=connection.mac, namespace=namespace
    )
    try:
        netlink.do(request)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EBUSY):
            why = (
                f"{error.strerror}: the interface {network.interface} is a port of another one, "
                "or its link is a container's alone already (mode passthru)"
            )
            raise OSError(error.errno, why) from error
        raise


def explain(error: OSError, connection: Connection) -> OSError:
    """What the kernel means by refusing to raise one."""
    if error.errno in (errno.EADDRINUSE, errno.EBUSY) and connection.network.macvlan:
        on = connection.network.interface
        return OSError(error.errno, f"the hardware address {connection.mac} is in use on the interface {on} already")
    return error


def remove(inside: Netlink, keep: Container[str], *, renamed: bool) -> list[str]:
    """In the namespace of a container, which may have renamed them; what it has made itself lies on one inside.

    Returns what was removed.
    """
    lost = [
        link.name for link in _all(inside) if link.name not in keep and (renamed or _OF_OURS.fullmatch(link.name))
    ]
    for name in lost:
        with contextlib.suppress(OSError):  # its link has just gone, and it with that
            inside.do(messages.delete_link(name))
    return lost


def _all(inside: Netlink) -> Iterator[Link]:
    for body in inside.ask(messages.list_links()):
        link = Link.parse(body)
        if link.kind == "macvlan" and link.reaches_out:
            yield link
