# SPDX-License-Identifier: GPL-3.0-or-later
"""Published ports as people read them; all addresses of both families are shown as 0.0.0.0, as docker does."""

from __future__ import annotations

from typing import Any

ANY = "0.0.0.0"

Port = tuple[str, str, int, int, int]  # protocol, address, host port, container port, count


def port_of(found: Any) -> Port:
    """From what D-Bus has."""
    protocol, address, host, container, count = found
    return protocol, address, host, container, count


def line(port: Port) -> str:
    """80/tcp -> 0.0.0.0:8080."""
    return f"{_inside(port)} -> {outside(port)}"


def cell(port: Port) -> str:
    """0.0.0.0:8080->80/tcp."""
    return f"{outside(port)}->{_inside(port)}"


def at(port: Port, inside: int, protocol: str) -> Port | None:
    """The one of a range that leads to `inside`, if it is among them."""
    of, address, host, first, count = port
    if of != protocol or not first <= inside < first + count:
        return None
    return of, address, host + inside - first, inside, 1


def _inside(port: Port) -> str:
    protocol, _, _, container, count = port
    return f"{_range(container, count)}/{protocol}"


def outside(port: Port) -> str:
    """0.0.0.0:8080."""
    _, address, host, _, count = port
    shown = f"[{address}]" if ":" in address else address or ANY
    return f"{shown}:{_range(host, count)}"


def _range(first: int, count: int) -> str:
    return f"{first}-{first + count - 1}" if count > 1 else str(first)
