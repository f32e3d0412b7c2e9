# SPDX-License-Identifier: GPL-3.0-or-later
"""Real packets through our table: what passes, under which address it arrives, and what does not pass.

The host has 192.0.2.1 and 2001:db8::1 on its uplink; outside, 192.0.2.2 and 2001:db8::2, knows no route to containers.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kernel.laboratory import NETWORK, SECOND, Namespace, connection
from mctld.network import conntrack, kernel_settings
from mctld.network.firewall import Firewall
from mctld.network.host import Host
from mctld.network.monitor import Monitor
from mctld.network.ruleset import Publication, Ruleset
from mctld.ports import Port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mctld.network.connection import Connection

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace takes root")

PATIENCE = 20.0  # seconds for what arrives in any case
BRIEF = 0.6  # for what shall not arrive: on a slow machine it may go unseen
TOPOLOGY = """
ip link set lo up
ip link add uplink type veth peer name outer
ip addr add 192.0.2.1/24 dev uplink
ip addr add 192.0.2.7/24 dev uplink
ip addr add 2001:db8::1/64 dev uplink nodad
ip link set uplink up
"""
OUTSIDE = """
ip addr add 192.0.2.2/24 dev outer
ip addr add 2001:db8::2/64 dev outer nodad
ip link set outer up
ip link set lo up
"""


CROWDED = """
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (2048, 2048))
held = [os.dup(0) for _ in range(1100)]
from mctld.network.firewall import Firewall
from mctld.network.ruleset import Ruleset
from kernel.laboratory import NETWORK
firewall = Firewall()
firewall.replace(Ruleset((NETWORK,)))
assert firewall.is_present()
firewall.replace(Ruleset(()))
assert not firewall.is_present()
del firewall
for descriptor in held:  # the library's socket is not among ours, nor has its end closed one of them
    os.close(descriptor)
"""


COPIED = """
import os, time
held = [os.open("/dev/null", os.O_RDONLY) for _ in range(8)]
from mctld.kernel import expendable
from mctld.network.firewall import Firewall
firewall = Firewall()
for _ in range(3):
    gone = os.open("/", os.O_RDONLY)
    expendable.close([gone])
    while os.path.exists(f"/proc/self/fd/{gone}"):
        time.sleep(0.01)
for descriptor in held:
    os.close(descriptor)
"""


class World:
    """A host with containers a and b on one network, c on another, and somebody outside."""

    def __init__(self, record: str) -> None:
        self.host, self.outside = Namespace(), Namespace()
        self.a, self.b, self.c = Namespace(), Namespace(), Namespace()
        self.host.shell(f"{TOPOLOGY} ip link set outer netns /proc/{os.getpid()}/fd/{self.outside.descriptor}")
        self.outside.shell(OUTSIDE)
        self.engine: Host = self.host.do(lambda: Host(record))
        self.firewall: Firewall = self.host.do(Firewall)
        self.host.do(lambda: self.firewall.replace(Ruleset((NETWORK, SECOND))))
        for name, number, network, namespace in (
            ("a", 2, NETWORK, self.a), ("b", 3, NETWORK, self.b), ("c", 2, SECOND, self.c)
        ):  # fmt: skip
            self._connect(connection(name, number, network), namespace)
            namespace.shell("ip link set lo up")

    def _connect(self, there: Connection, namespace: Namespace) -> None:
        self.host.do(lambda: self.engine.connect([there], namespace.descriptor))

    def publish(self, *ports: Port, to: str = "a", number: int = 2) -> None:
        added = [Publication(port, connection(to, number).lease) for port in ports]
        self.host.do(lambda: self.firewall.add(added, Ruleset((NETWORK, SECOND), tuple(added))))

    def close(self) -> None:
        self.engine.close()
        for namespace in (self.host, self.outside, self.a, self.b, self.c):
            namespace.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(str(tmp_path / "found"))
    yield made
    made.close()


def unseen(server: Namespace, client: Namespace, address: str, port: int, *, at: int = 80, udp: bool = False) -> bool:
    return not seen(server, client, address, port, at=at, udp=udp, patience=BRIEF)


def seen(
    server: Namespace, client: Namespace, address: str, port: int, *, at: int = 80, udp: bool = False,
    patience: float = PATIENCE,
) -> str:
    """Under which address the server sees the client; empty if nothing arrives, or no answer comes back."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    found: list[str] = []
    with server.do(lambda: listening(family, kind, at, patience)) as there:
        thread = threading.Thread(target=answer, args=(there, found))
        thread.start()
        answered = client.do(lambda: ask(family, kind, (address, port), patience))
        thread.join()
    return found[0] if found and answered else ""


def listening(family: int, kind: int, port: int, patience: float) -> socket.socket:
    made = socket.socket(family, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("", port))
    made.settimeout(patience)
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made


def answer(there: socket.socket, found: list[str]) -> None:
    try:
        if there.type == socket.SOCK_DGRAM:
            _, sender = there.recvfrom(1)
            there.sendto(b"!", sender)
        else:
            accepted, sender = there.accept()
            with accepted:
                accepted.sendall(b"!")
    except TimeoutError:
        return
    found.append(sender[0])


def ask(family: int, kind: int, address: tuple[str, int], patience: float) -> bool:
    with socket.socket(family, kind) as asking:
        asking.settimeout(patience)
        try:
            asking.connect(address)
            if kind == socket.SOCK_DGRAM:
                asking.send(b"?")
            return asking.recv(1) == b"!"
        except OSError:
            return False


def test_outbound_traffic_has_the_hosts_address(world: World) -> None:
    assert seen(world.outside, world.a, "192.0.2.2", 80) == "192.0.2.1"
    assert seen(world.outside, world.a, "2001:db8::2", 80) == "2001:db8::1"
    assert seen(world.outside, world.c, "192.0.2.2", 80, udp=True) == "192.0.2.1"


def test_neighbours_see_each_other_as_they_are_and_networks_are_apart(world: World) -> None:
    assert seen(world.a, world.b, "172.20.0.2", 80) == "172.20.0.3"
    assert seen(world.a, world.b, "fd12:3456:789a::2", 80) == "fd12:3456:789a::3"
    assert unseen(world.a, world.c, "172.20.0.2", 80)
    assert unseen(world.a, world.c, "fd12:3456:789a::2", 80)


def test_nobody_outside_reaches_what_is_not_published(world: World) -> None:
    world.outside.shell("ip route add 172.20.0.0/16 via 192.0.2.1; ip route add fd12:3456:789a::/64 via 2001:db8::1")
    assert unseen(world.a, world.outside, "172.20.0.2", 80)
    assert unseen(world.a, world.outside, "fd12:3456:789a::2", 80)
    assert unseen(world.a, world.outside, "192.0.2.1", 80)


def test_a_published_port(world: World) -> None:
    world.publish(Port("tcp", "", 8080, 80), Port("udp", "", 8080, 80))
    assert seen(world.a, world.outside, "192.0.2.1", 8080) == "192.0.2.2"
    assert seen(world.a, world.outside, "192.0.2.7", 8080) == "192.0.2.2"
    assert seen(world.a, world.outside, "2001:db8::1", 8080) == "2001:db8::2"
    assert seen(world.a, world.outside, "192.0.2.1", 8080, udp=True) == "192.0.2.2"
    assert unseen(world.a, world.outside, "192.0.2.1", 8081)


def test_on_the_host_itself(world: World) -> None:
    world.publish(Port("tcp", "", 8080, 80))
    assert seen(world.a, world.host, "127.0.0.1", 8080) == "172.20.0.1"
    assert seen(world.a, world.host, "192.0.2.1", 8080) == "192.0.2.1"
    assert seen(world.a, world.host, "172.20.0.1", 8080) == "172.20.0.1"
    assert seen(world.a, world.host, "2001:db8::1", 8080) == "2001:db8::1"


def test_by_the_hosts_address_from_inside(world: World) -> None:
    """A neighbour, the container itself, and one of another network."""
    world.publish(Port("tcp", "", 8080, 80))
    for client in (world.a, world.b):
        assert seen(world.a, client, "192.0.2.1", 8080) == "172.20.0.1"
        assert seen(world.a, client, "2001:db8::1", 8080) == "fd12:3456:789a::1"
    assert seen(world.a, world.c, "192.0.2.1", 8080) != ""


def test_a_port_of_one_address(world: World) -> None:
    world.publish(Port("tcp", "192.0.2.7", 8080, 80), Port("tcp", "2001:db8::1", 8081, 80))
    assert seen(world.a, world.outside, "192.0.2.7", 8080) == "192.0.2.2"
    assert unseen(world.a, world.outside, "192.0.2.1", 8080)
    assert seen(world.a, world.outside, "2001:db8::1", 8081) == "2001:db8::2"
    assert unseen(world.a, world.outside, "192.0.2.7", 8081)


def test_a_range(world: World) -> None:
    world.publish(Port("tcp", "", 9000, 80, 3))
    for offset in range(3):
        assert seen(world.a, world.outside, "192.0.2.1", 9000 + offset, at=80 + offset) == "192.0.2.2"
    assert unseen(world.a, world.outside, "192.0.2.1", 9003, at=83)


def test_what_is_withdrawn_is_gone(world: World) -> None:
    world.publish(Port("tcp", "", 8080, 80))
    gone = [Publication(Port("tcp", "", 8080, 80), connection("a", 2).lease)]
    world.host.do(lambda: world.firewall.remove(gone, Ruleset((NETWORK, SECOND))))
    assert unseen(world.a, world.outside, "192.0.2.1", 8080)


class Listener:
    """Takes datagrams at port 80, as syslogd does: it never answers."""

    def __init__(self, there: Namespace) -> None:
        self.socket: socket.socket = there.do(lambda: listening(socket.AF_INET6, socket.SOCK_DGRAM, 80, PATIENCE))

    def hears(self, patience: float = PATIENCE) -> bool:
        self.socket.settimeout(patience)
        try:
            return self.socket.recv(1) == b"?"
        except TimeoutError:
            return False


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_who_keeps_sending_datagrams_reaches_what_is_published_now(world: World, address: str) -> None:
    """The kernel asks the rules for the first packet of a flow alone."""
    port = Port("udp", "", 5140, 80)
    first, second = Listener(world.a), Listener(world.b)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sending: socket.socket = world.outside.do(lambda: socket.socket(family, socket.SOCK_DGRAM))
    sending.bind(("", 5555))

    def send() -> None:
        sending.sendto(b"?", (address, 5140))

    def forgotten() -> int:
        return int(world.host.do(lambda: conntrack.forget([port, Port("udp", "", 5200, 80, 9)])))

    with sending, first.socket, second.socket:
        send()  # before anything is published
        world.publish(port)
        send()
        assert not first.hears(BRIEF), "the kernel must remember: else this test shows nothing"
        assert forgotten() == 1
        send()
        assert first.hears()
        world.host.do(lambda: world.firewall.remove(_of(port, "a", 2), Ruleset((NETWORK, SECOND))))
        world.publish(port, to="b", number=3)
        send()
        assert first.hears()
        assert forgotten() == 1
        send()
        assert second.hears()
        assert not first.hears(BRIEF)
        assert world.host.do(lambda: conntrack.forget([port])) == 1


def _of(port: Port, container: str, number: int) -> list[Publication]:
    return [Publication(port, connection(container, number).lease)]


def test_flows_of_others_are_not_forgotten(world: World) -> None:
    port = Port("udp", "192.0.2.7", 80, 80)
    assert seen(world.outside, world.a, "192.0.2.2", 80, udp=True)  # out, to such a port elsewhere
    assert seen(world.host, world.outside, "192.0.2.1", 80, udp=True)
    assert seen(world.host, world.outside, "192.0.2.1", 81, at=81, udp=True)
    assert world.host.do(lambda: conntrack.forget([port])) == 0
    everywhere = [replace(port, address=""), Port("tcp", "", 81, 80)]
    assert [world.host.do(lambda: conntrack.forget(everywhere)) for _ in range(2)] == [1, 0]


def test_the_hosts_loopback_is_not_the_neighbours(world: World) -> None:
    """route_localnet opens it, CVE-2020-8558: our rules close it."""
    world.a.do(lambda: kernel_settings.write("ipv4/conf/all/route_localnet", "1"))
    world.a.shell("ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.0/8 via 172.20.0.1 dev eth0 src 172.20.0.2")
    assert unseen(world.host, world.a, "127.0.0.1", 80)
    world.host.shell("nft flush chain inet mctl early")
    assert seen(world.host, world.a, "127.0.0.1", 80) == "172.20.0.2", "the attack must work without the rule"


def test_the_name_server_is_for_containers_and_the_host(world: World) -> None:
    world.outside.shell("ip route add 172.20.0.0/16 via 192.0.2.1; ip route add fd12:3456:789a::/64 via 2001:db8::1")
    for address in ("172.20.0.1", "fd12:3456:789a::1"):
        for udp in (False, True):
            assert unseen(world.host, world.outside, address, 53, at=53, udp=udp)
            for client in (world.a,) if udp else (world.a, world.c, world.host):  # else its answer has another address
                assert seen(world.host, client, address, 53, at=53, udp=udp) != ""
    assert seen(world.host, world.outside, "192.0.2.1", 53, at=53) == "192.0.2.2"
    world.host.shell("nft flush chain inet mctl early")
    assert seen(world.host, world.outside, "172.20.0.1", 53, at=53) != "", "it must be reached without the rule"


def test_the_hosts_own_firewall_stays_in_charge(world: World) -> None:
    world.publish(Port("tcp", "", 8080, 80))
    world.host.shell("nft add table inet own; nft 'add chain inet own f { type filter hook forward priority 10; }'")
    world.host.shell("nft add rule inet own f ip saddr 192.0.2.2 drop")
    assert unseen(world.a, world.outside, "192.0.2.1", 8080)
    world.host.shell("nft delete table inet own")
    assert seen(world.a, world.outside, "192.0.2.1", 8080) == "192.0.2.2"


def test_nobody_elses_rules_are_touched(world: World) -> None:
    world.host.shell("nft add table inet own; nft add chain inet own mine; nft add table ip mctl")
    before = world.host.shell("nft list table inet own; nft list table ip mctl")
    world.publish(Port("tcp", "", 8080, 80))
    world.host.do(lambda: world.firewall.replace(Ruleset((NETWORK,))))
    world.host.do(lambda: world.firewall.replace(Ruleset(())))
    assert world.host.shell("nft list ruleset") == before


def test_a_lost_table_is_noticed_and_mended(world: World) -> None:
    monitor: Monitor = world.host.do(Monitor)
    port = Port("tcp", "", 8080, 80)
    world.publish(port)
    assert not monitor.has_lost_a_table()
    world.host.shell("nft flush ruleset")
    assert monitor.has_lost_a_table()
    assert not monitor.has_lost_a_table()
    assert not world.host.do(world.firewall.is_present)
    world.publish(port)
    assert world.host.do(world.firewall.is_present)
    assert seen(world.a, world.outside, "192.0.2.1", 8080) == "192.0.2.2"
    monitor.close()


def test_an_element_that_is_there_already_is_no_hindrance(world: World) -> None:
    world.publish(Port("tcp", "", 8080, 81))
    world.publish(Port("tcp", "", 8080, 80))
    assert seen(world.a, world.outside, "192.0.2.1", 8080) == "192.0.2.2"


@pytest.mark.parametrize("service", [CROWDED, COPIED], ids=["more-than-select-knows", "copied-to-close"])
def test_the_descriptors_of_a_service(world: World, service: str) -> None:
    """select(2) knows 1,024, and glibc aborts a process that goes beyond. What has a copy of the service's memory, and
    shares its descriptors to close some of them, closes no others.
    """
    command = [sys.executable, "-c", service]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = world.host.do(lambda: subprocess.run(command, env=environment, capture_output=True, text=True, check=False))
    assert (done.returncode, done.stderr) == (0, "")


def test_an_internal_network_has_no_way_out_nor_in(world: World) -> None:
    inner = replace(SECOND, internal=True)
    port = Publication(Port("tcp", "", 8080, 80), connection("c", 2, SECOND).lease)
    assert seen(world.outside, world.c, "192.0.2.2", 80) == "192.0.2.1"
    world.host.do(lambda: world.firewall.replace(Ruleset((NETWORK, inner), (port,))))
    assert unseen(world.outside, world.c, "192.0.2.2", 80)
    assert unseen(world.c, world.outside, "192.0.2.1", 8080)
    assert seen(world.c, world.host, "10.89.0.2", 80) == "10.89.0.1"
