# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets to the name server, which has one queue for all containers of a network."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import pytest

from kernel.laboratory import NETWORK, Namespace, connection
from mctld.network.firewall import Firewall
from mctld.network.host import Host
from mctld.network.ruleset import Ruleset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace takes root")

ASKED_AT = (str(NETWORK.gateway), 53)
ALLOWED, ALLOWED_A_SECOND = 2_000, 1_000
FLOOD = 100_000  # datagrams
SO_RCVBUFFORCE = 33  # asm-generic/socket.h
PATIENCE = 60  # seconds for what comes in any case


def test_who_floods_leaves_room_for_others(tmp_path: Path) -> None:
    host, noisy, quiet = Namespace(), Namespace(), Namespace()
    host.shell("ip link set lo up")
    engine: Host = host.do(lambda: Host(str(tmp_path / "found")))
    firewall: Firewall = host.do(Firewall)
    host.do(lambda: firewall.replace(Ruleset((NETWORK,))))
    for name, number, namespace in (("a", 2, noisy), ("b", 3, quiet)):
        host.do(partial(engine.connect, [connection(name, number, NETWORK)], namespace.descriptor))
    server: socket.socket = host.do(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with server:
        server.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 128 << 20)  # so that only the rule drops anything
        server.bind(ASKED_AT)
        begin = time.monotonic()
        noisy.do(lambda: ask(FLOOD))
        took = time.monotonic() - begin
        quiet.do(lambda: ask(1))
        found = Counter(received(server))
    assert 0 < found["172.20.0.2"] <= ALLOWED + ALLOWED_A_SECOND * (took + 1) < FLOOD
    engine.close()
    for each in (host, noisy, quiet):
        each.close()


def ask(count: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        for _ in range(count):
            made.sendto(b"?", ASKED_AT)


def received(server: socket.socket) -> Iterator[str]:
    """Who has asked, one after the other, up to the one who asks once."""
    server.settimeout(PATIENCE)
    asker = ""
    while asker != "172.20.0.3":
        _, (asker, _) = server.recvfrom(16)
        yield asker
