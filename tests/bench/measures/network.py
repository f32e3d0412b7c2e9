# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes through the bridge, and requests to a published port; the same programs inside, whoever started them."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import time
import urllib.request
from functools import partial
from typing import TYPE_CHECKING

from bench import command
from bench.figures import Row
from bench.measure import in_turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.peer import Peer

ROUNDS_MAX = 10  # of some seconds each
SECONDS = 3
PORTS = 20_000
PATIENCE = 20.0  # seconds until a server answers
SERVER = ("iperf3", "--server", "--one-off", "--forceflush")
CLIENT = f"iperf3 --json --time {SECONDS} --client $(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')"
NGINX = ("/usr/sbin/nginx", "-e", "/dev/null", "-c", "/etc/bench-nginx.conf")
WRK = ("wrk", "--threads", "1", "--connections", "32", "--duration", f"{SECONDS}s")
ANEW = ("--header", "Connection: close")  # so that each request passes the rules that redirect its port


def measure(peers: Sequence[Peer], runs: int) -> Iterator[Row]:
    connected = [peer for peer in peers if peer.on_bridge(()) is not None]
    rounds = min(runs, ROUNDS_MAX)
    cells = in_turn(connected, rounds, _throughput)
    yield Row("network", "a TCP stream through the bridge, iperf3", "Gbit/s", cells, more_is_better=True)
    ports = itertools.count(PORTS)  # for two minutes the kernel leads what was cut off to the container before
    cells = in_turn(connected, rounds, partial(_requests, (), ports))
    yield Row("network", "requests to a published port, kept connections", "1/s", cells, more_is_better=True)
    cells = in_turn(connected, rounds, partial(_requests, ANEW, ports))
    yield Row("network", "requests to a published port, a connection each", "1/s", cells, more_is_better=True)


def _throughput(peer: Peer) -> float:
    """From the container to the host."""
    with subprocess.Popen(SERVER, stdout=subprocess.PIPE) as server:
        try:
            _await_line(server, b"listening")
            said = command.output(peer.on_bridge(("/bin/sh", "-c", CLIENT)) or ())
        finally:
            server.kill()
    return float(json.loads(said)["end"]["sum_received"]["bits_per_second"]) / 1e9


def _await_line(server: subprocess.Popen[bytes], word: bytes) -> None:
    """Raises FailedError when it ends without having said so."""
    assert server.stdout is not None
    if not any(word in line for line in server.stdout):
        raise command.FailedError("iperf3 does not listen")


def _requests(flags: Sequence[str], ports: Iterator[int], peer: Peer) -> float:
    name, port = peer.new_name(), next(ports)
    address = f"http://127.0.0.1:{port}/"
    command.output(peer.on_bridge(NGINX, name=name, port=port) or ())
    try:
        _await_answer(address)
        said = command.output([*WRK, *flags, address])
    finally:
        command.output(peer.remove([name]))
    found = re.search(r"Requests/sec:\s*([0-9.]+)", said)
    if found is None or "Socket errors" in said or "Non-2xx" in said:
        raise command.FailedError(f"wrk says: {said}")
    return float(found[1])


def _await_answer(address: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise command.FailedError(f"nginx does not answer: {error}") from None
            time.sleep(0.1)
