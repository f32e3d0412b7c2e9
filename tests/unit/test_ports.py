# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports as they are asked for, as rules, and as sockets."""

from __future__ import annotations

import re
import socket
import subprocess
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Any

import pytest

from mctld.errors import InvalidArgs
from mctld.network import reservation
from mctld.network.ruleset import Publication, Ruleset, adding, removing
from mctld.networking import Network, Networking
from mctld.ports import Port, check_ports

NETWORK = Network("bridge", "mctl0", 0, IPv4Network("172.20.0.0/16"), IPv6Network("fd12::/64"))
LEASE = NETWORK.lease("id", IPv4Address("172.20.0.5"), 0)


@pytest.mark.parametrize(
    ("port", "sentence"),
    [
        (("icmp", "", 80, 80), "protocol 'icmp' is not known: use tcp, udp, sctp"),
        (("tcp", "", 0, 0), "container port 0 is out of range: it must be between 1 and 65535"),
        (("tcp", "", 65535, 80, 2), "host port 65535 is out of range: it must be between 1 and 65534"),
        (("tcp", "", 0, 80, 2), "host port 0 is out of range"),
        (("tcp", "", 80, 65535, 2), "container port 65535 is out of range"),
        (("tcp", "", 80, 80, 0), "count 0 is out of range"),
        (("tcp", "", 1, 1, 1025), "count 1025 is out of range: it must be between 1 and 1024"),
        (("tcp", "host", 80, 80), "address 'host' is not an IPv4 or IPv6 address"),
        (("tcp", "010.0.0.1", 80, 80), "is not an IPv4 or IPv6 address"),
        (("tcp", "FD00::1", 80, 80), "has to be written fd00::1"),
        (("tcp", "fe80::1%eth0", 80, 80), "has to be written fe80::1"),
        (("tcp", "0.0.0.0", 80, 80), "leave it out for all addresses"),
        (("tcp", "::", 80, 80), "leave it out for all addresses"),
        (("tcp", "::1", 80, 80), "cannot be published on"),
        (("udp", "224.0.0.1", 80, 80), "cannot be published on"),
        (("tcp", "1.2.3.4; flush ruleset", 80, 80), "is not an IPv4 or IPv6 address"),
    ],
)
def test_what_is_refused(port: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises(InvalidArgs, match=re.escape(sentence)):
        Port(*port)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (("tcp", "", 80, 1), ("tcp", "", 80, 2), True),
        (("tcp", "", 80, 1), ("udp", "", 80, 1), False),
        (("tcp", "10.0.0.1", 80, 1), ("tcp", "", 80, 1), True),
        (("tcp", "10.0.0.1", 80, 1), ("tcp", "10.0.0.2", 80, 1), False),
        (("tcp", "", 80, 1, 3), ("tcp", "", 82, 1), True),
        (("tcp", "", 80, 1, 3), ("tcp", "", 83, 1), False),
        (("tcp", "", 0, 1), ("tcp", "", 0, 1), False),
    ],
)
def test_overlaps(one: tuple[Any, ...], other: tuple[Any, ...], overlap: bool) -> None:  # noqa: FBT001
    first, second = Port(*one), Port(*other)
    assert first.overlaps(second) == second.overlaps(first) == overlap
    if overlap:
        with pytest.raises(InvalidArgs, match="overlap"):
            check_ports([first, second])
    else:
        check_ports([first, second])


def test_ports_need_a_network_and_are_not_endless() -> None:
    with pytest.raises(InvalidArgs, match="Ports 80:80/tcp needs a network"):
        Networking((), ports=(Port("tcp", "", 80, 80),))
    with pytest.raises(InvalidArgs, match="has 1025 ports: the most is 1024"):
        Networking(ports=(Port("tcp", "", 1, 1, 1024), Port("udp", "", 1, 1)))


def test_in_words() -> None:
    assert str(Port("tcp", "", 8080, 80)) == "8080:80/tcp"
    assert str(Port("udp", "10.0.0.1", 53, 53)) == "10.0.0.1:53:53/udp"
    assert str(Port("sctp", "fd00::1", 100, 200, 3)) == "[fd00::1]:100-102:200-202/sctp"


def test_the_elements_of_a_port() -> None:
    both, four, six = Port("tcp", "", 8080, 80, 2), Port("udp", "10.0.0.1", 53, 54), Port("tcp", "fd00::1", 1, 2)
    assert list(Publication(both, LEASE).elements()) == [
        ("any4", "tcp . 8080", "172.20.0.5 . 80"),
        ("any4", "tcp . 8081", "172.20.0.5 . 81"),
        ("any6", "tcp . 8080", "fd12::5 . 80"),
        ("any6", "tcp . 8081", "fd12::5 . 81"),
    ]
    assert list(Publication(four, LEASE).elements()) == [("at4", "10.0.0.1 . udp . 53", "172.20.0.5 . 54")]
    assert list(Publication(six, LEASE).elements()) == [("at6", "fd00::1 . tcp . 1", "fd12::5 . 2")]


def test_changes_touch_only_our_table() -> None:
    publication = Publication(Port("udp", "10.0.0.1", 53, 54), LEASE)
    assert adding([publication]) == "add element inet mctl at4 { 10.0.0.1 . udp . 53 : 172.20.0.5 . 54 }\n"
    assert removing([publication]) == "delete element inet mctl at4 { 10.0.0.1 . udp . 53 }\n"
    lines = str(Ruleset((NETWORK,), (publication,))).splitlines()
    assert [line for line in lines if not line.startswith("\t")] == [
        "add table inet mctl", "delete table inet mctl", "table inet mctl {", "}",
    ]  # fmt: skip


def test_without_networks_there_is_no_table() -> None:
    assert str(Ruleset(())) == "add table inet mctl\ndelete table inet mctl\n"


def free_port() -> int:
    return reservation.choose(Port("tcp", "", 0, 80))


def test_a_reserved_port_is_nobody_elses_and_refuses_connections() -> None:
    number = free_port()
    held = reservation.reserve([Port("tcp", "", number, 80)])
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", number))
    with pytest.raises(OSError, match="in use") as caught:
        reservation.reserve([Port("tcp", "127.0.0.1", number, 80)])
    assert caught.value.filename == f"{number}/tcp"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", number))
    reservation.release(held)
    socket.create_server(("127.0.0.1", number)).close()


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "::1"])
def test_a_port_that_the_host_has_is_found_out(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    number = free_port()
    with (
        socket.create_server((address, number), family=family),
        pytest.raises(OSError, match="in use"),
    ):
        reservation.reserve([Port("tcp", "", number, 80)])
    assert "tcp" not in subprocess.run(
        ["ss", "-Htln", f"sport = :{number}"], capture_output=True, text=True, check=True
    ).stdout  # fmt: skip


def test_connections_that_have_ended_are_in_nobodys_way() -> None:
    number = free_port()
    with socket.create_server(("127.0.0.1", number)) as server:
        client = socket.create_connection(("127.0.0.1", number))
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first waits: TIME_WAIT
        client.close()
    reservation.release(reservation.reserve([Port("tcp", "", number, 80)]))


def test_udp_and_ranges_all_or_none() -> None:
    number = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", number))
        with pytest.raises(OSError, match="in use") as caught:
            reservation.reserve([Port("udp", "", number - 2, 80, 3)])
        assert caught.value.filename == f"{number}/udp"
    held = reservation.reserve([Port("udp", "", number - 2, 80, 3)])
    assert len(held) == 6
    reservation.release(held)
