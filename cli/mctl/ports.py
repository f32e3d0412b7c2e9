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
    return f"{_inside(port)} -> {_outside(port)}"


def cell(port: Port) -> str:
    """0.0.0.0:8080->80/tcp."""
    return f"{_outside(port)}->{_inside(port)}"


def _inside(port: Port) -> str:
    protocol, _, _, container, count = port
    return f"{_range(container, count)}/{protocol}"


def _outside(port: Port) -> str:
    _, address, host, _, count = port
    shown = f"[{address}]" if ":" in address else address or ANY
    return f"{shown}:{_range(host, count)}"


def _range(first: int, count: int) -> str:
    return f"{first}-{first + count - 1}" if count > 1 else str(first)
