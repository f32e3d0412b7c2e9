# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces to try things in."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any

from mctld.kernel import process
from mctld.kernel.constants import CLONE_NEWNET
from mctld.network.connection import Connection
from mctld.networking import Network

if TYPE_CHECKING:
    from collections.abc import Callable

NETWORK = Network("bridge", "mctl0", 0, IPv4Network("172.20.0.0/16"), IPv6Network("fd12:3456:789a::/64"))
SECOND = Network("second", "mctl1", 0, IPv4Network("10.89.0.0/24"), IPv6Network("fd12:3456:789b::/64"))
UPLINK = "ip link add uplink type veth peer name far; ip link set uplink up; ip link set far up"


def reaches(outer: Namespace, inner: Namespace, address: str) -> bool:
    """A connection from outside to a port that somebody inside listens on."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with inner.do(lambda: socket.create_server((address, 7), family=family)):

        def connect() -> None:
            socket.create_connection((address, 7), timeout=3).close()

        outer.do(connect)
    return True


def in_thread(work: Callable[[], Any]) -> Any:
    """A thread may end in another namespace than it began in."""
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(work())
        except BaseException as error:
            answers.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(answers[0], BaseException):
        raise answers[0]
    return answers[0]


class Namespace:
    """A network namespace, with nobody in it."""

    def __init__(self) -> None:
        def make() -> int:
            process.unshare(CLONE_NEWNET)
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

        self.descriptor: int = in_thread(make)

    def do(self, work: Callable[[], Any]) -> Any:
        def inside() -> Any:
            process.enter_namespaces(self.descriptor, CLONE_NEWNET)
            return work()

        return in_thread(inside)

    def shell(self, script: str) -> str:
        return str(self.do(lambda: subprocess.run(
            ["sh", "-ec", script], check=True, stdout=subprocess.PIPE, text=True).stdout))  # fmt: skip

    def links(self) -> dict[str, dict[str, Any]]:
        return {link["ifname"]: link for link in json.loads(self.shell("ip -details -json address"))}

    def close(self) -> None:
        os.close(self.descriptor)


def connection(container: str, number: int, network: Network = NETWORK, position: int = 0) -> Connection:
    address = IPv4Address(int(network.subnet.network_address) + number)
    leads_out = position == 0 and not network.internal
    return Connection(network, network.lease(container, address, position), f"container {container}", leads_out)
