# SPDX-License-Identifier: GPL-3.0-or-later
"""Our firewall table comes with the first network and goes with the last, whatever news the kernel brings meanwhile."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from mctld.activation import Activation
from mctld.errors import LimitReached, PortInUse
from mctld.lifecycle.container import Container
from mctld.lifecycle.publishing import Publishing
from mctld.lifecycle.tasks import Tasks
from mctld.network import conntrack, reservation
from mctld.network.ruleset import Publication, Ruleset
from mctld.networking import Network, Networking
from mctld.ports import Port
from mctld.spec import Rootfs, Spec
from mctld.state import State
from mctld.store import Record, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mctld.network.firewall import Firewall
    from mctld.network.monitor import Monitor

NETWORK = Network("bridge", "mctl0", 0, IPv4Network("172.20.0.0/16"), IPv6Network("fd12::/64"))
GONE = Publication(Port("tcp", "", 8080, 80), NETWORK.lease("id", IPv4Address("172.20.0.5"), 0))


class Kernel:
    """What Firewall is to Publishing; the table is there or not. Each replacement is news of a lost table."""

    def __init__(self) -> None:
        self.table = False
        self.news = False
        self.made = 0
        self.published: set[Publication] = set()
        self.meanwhile: Callable[[], None] = lambda: None

    def replace(self, wanted: Ruleset) -> None:
        self.news, self.table = self.table, "chain" in str(wanted)
        self.made += self.table
        self.published = set(wanted.publications)

    def add(self, publications: Iterable[Publication], wanted: Ruleset) -> None:
        self.meanwhile()
        self.published |= set(publications)

    def remove(self, publications: Iterable[Publication], wanted: Ruleset) -> None:
        if not self.table:  # as Firewall does where the elements are not there
            self.replace(wanted)
        self.published -= set(publications)

    def is_present(self) -> bool:
        return self.table

    def has_lost_a_table(self) -> bool:
        lost, self.news = self.news, False
        return lost


class Host:
    def __init__(self) -> None:
        self.kernel = Kernel()
        self.tasks = Tasks()
        self.networks: list[Network] = [NETWORK]
        self.publishing = Publishing(lambda: self.networks, self.tasks)
        self.publishing._firewall = cast("Firewall", self.kernel)
        self.publishing._monitor = cast("Monitor", self.kernel)

    async def hear(self) -> None:
        self.publishing._look()
        await self.tasks.finish(10)


def test_the_table_goes_with_the_last_network_and_stays_away(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(last_network())
    assert caplog.text == ""


async def last_network() -> None:
    host = Host()
    await host.publishing.secure()
    assert host.kernel.table
    host.networks.clear()
    await host.publishing.secure()
    await host.hear()
    await host.publishing._remove([GONE])
    await host.hear()
    assert not host.kernel.table
    assert host.kernel.made == 1


def test_a_network_that_comes_while_the_last_one_goes_has_its_table(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(coming_and_going())
    assert caplog.text == ""


async def coming_and_going() -> None:
    host = Host()
    await host.publishing.secure()
    host.networks.clear()
    going = asyncio.ensure_future(host.publishing.secure())
    await asyncio.sleep(0)
    host.networks.append(NETWORK)
    await asyncio.gather(going, host.publishing.secure(), host.hear())
    assert host.kernel.table


def test_what_others_remove_is_made_again_and_told(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(flushed())
    assert caplog.text.count("somebody has removed the nftables table") == 1


async def flushed() -> None:
    host = Host()
    await host.publishing.secure()
    host.kernel.table, host.kernel.news = False, True
    await host.hear()
    assert host.kernel.table


LEASE = NETWORK.lease("id", IPv4Address("172.20.0.9"), 0)


def with_ports(*numbers: int) -> Record:
    ports = tuple(Port("tcp", "127.0.0.1", number, 80) for number in numbers)
    networking = Networking(("bridge",), ports=ports)
    spec = Spec(name="web", rootfs=Rootfs("/srv", 0, 0), command=("x",), networking=networking)
    return Record("id", 1000, 0, 0, spec)


def free() -> int:
    """A port of the loopback that nobody has just now."""
    return reservation.choose(Port("tcp", "127.0.0.1", 0, 80))


def is_free(number: int) -> bool:
    with socket.socket() as trying:
        try:
            trying.bind(("127.0.0.1", number))
        except OSError:
            return False
    return True


def ends(host: Host, record: Record) -> Callable[[], None]:
    """For a thread: the container has ended and its ports are withdrawn when it returns."""
    loop = asyncio.get_running_loop()

    async def end() -> None:
        host.publishing.withdraw(record)

    return lambda: asyncio.run_coroutine_threadsafe(end(), loop).result(10)


@pytest.mark.parametrize("when", ["held", "added"])
def test_a_container_that_ends_while_ports_are_added_keeps_none(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(ended_meanwhile(when, monkeypatch))


async def ended_meanwhile(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host, first, second = Host(), free(), free()
    await host.publishing.secure()
    await host.publishing.publish(with_ports(first), LEASE)
    assert not is_free(first)
    if when == "added":
        host.kernel.meanwhile = ends(host, with_ports(first))
    else:
        end, really = ends(host, with_ports(first)), reservation.reserve

        def reserve(ports: Iterable[Port]) -> list[socket.socket]:
            end()
            return really(ports)

        monkeypatch.setattr(reservation, "reserve", reserve)
    await host.publishing.change(with_ports(second), LEASE)
    await host.tasks.finish(10)
    assert host.kernel.published == set()
    assert is_free(first)
    assert is_free(second)
    assert not host.publishing._claims


def test_ports_are_changed_and_what_was_held_is_let_go() -> None:
    asyncio.run(changed())


async def changed() -> None:
    host, first, second, third = Host(), free(), free(), free()
    await host.publishing.secure()
    await host.publishing.publish(with_ports(first, second), LEASE)
    await host.publishing.change(with_ports(second, third), LEASE)
    assert {p.port.host for p in host.kernel.published} == {second, third}
    assert [is_free(number) for number in (first, second, third)] == [True, False, False]
    host.kernel.meanwhile = cast("Any", None)  # the kernel takes nothing: all is as before
    with pytest.raises(TypeError):
        await host.publishing.change(with_ports(first, second), LEASE)
    assert [is_free(number) for number in (first, second, third)] == [True, False, False]
    host.publishing.withdraw(with_ports())
    await host.tasks.finish(10)
    assert host.kernel.published == set()
    assert [is_free(number) for number in (first, second, third)] == [True, True, True]


def test_what_has_ended_is_not_moved() -> None:
    asyncio.run(moved())


async def moved() -> None:
    host = Host()
    await host.publishing.secure()
    await host.publishing.move(with_ports(8080), LEASE)
    assert host.kernel.published == set()


def test_a_container_that_ends_before_its_ports_are_added_keeps_none() -> None:
    asyncio.run(ended_before())


async def ended_before() -> None:
    host, number = Host(), free()
    await host.publishing.secure()

    async def change_ports(record: Record, added: object, removed: object, *, running: bool) -> Record:
        assert running
        host.publishing.withdraw(record)
        made._run = replace(made._run, state=State.EXITED)
        await host.publishing.change(with_ports(number), LEASE)
        return with_ports(number)

    networks = SimpleNamespace(change_ports=change_ports, detached=host.publishing.withdraw)
    settings, events = SimpleNamespace(health=""), SimpleNamespace(changed=lambda *_: None)
    keeping = SimpleNamespace(of=lambda *_: None)
    machinery = SimpleNamespace(networks=networks, events=events, settings=settings, keeping=keeping)
    made = Container(with_ports(), Run(State.RUNNING), cast("Any", machinery), lambda *_: None)
    await made.publish(added=[Port("tcp", "127.0.0.1", number, 80)])
    await host.tasks.finish(10)
    assert host.kernel.published == set()
    assert is_free(number)
    assert made.record == with_ports(number)  # for its next start


def test_an_address_that_has_gone_takes_no_port_from_the_others() -> None:
    asyncio.run(restored())


async def restored() -> None:
    """After a start of the service: the container goes on, and so does the firewall's rule, should the host get the
    address back.
    """
    host, one, two = Host(), free(), free()
    gone = Port("tcp", "192.0.2.1", one, 80)  # RFC 5737
    first = replace(with_ports(), id="first")
    first = replace(first, spec=replace(first.spec, networking=Networking(("bridge",), ports=(gone,))))
    await host.publishing.restore([(first, LEASE), (with_ports(two), LEASE)])
    assert {p.port.host for p in host.kernel.published} == {one, two}
    assert not is_free(two)
    for claim in host.publishing._claims.values():
        claim.release()


def test_flows_of_datagrams_are_forgotten_after_each_change(monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(flowing(monkeypatch))


async def flowing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the rules that were in force then: not before they are."""
    host, forgotten = Host(), list[tuple[list[int], int]]()
    await host.publishing.secure()

    def forget(ports: Iterable[Port]) -> None:
        forgotten.append((sorted(port.host for port in ports), len(host.kernel.published)))

    monkeypatch.setattr(conntrack, "forget", forget)

    def record(*numbers: int) -> Record:
        tcp = with_ports(free())
        ports = (*tcp.spec.networking.ports, *(Port("udp", "127.0.0.1", number, 80) for number in numbers))
        return replace(tcp, spec=replace(tcp.spec, networking=replace(tcp.spec.networking, ports=ports)))

    one, other = free(), free()
    await host.publishing.publish(record(one), LEASE)
    await host.publishing.change(record(other), LEASE)
    await host.publishing.move(record(other), NETWORK.lease("id", IPv4Address("172.20.0.7"), 0))
    host.publishing.withdraw(record())
    await host.tasks.finish(10)
    assert forgotten == [([one], 2), (sorted([one, other]), 2), ([other], 2), ([other], 0)]


def test_one_user_publishes_no_more_ports_than_the_administrator_says() -> None:
    asyncio.run(many_ports())


async def many_ports() -> None:
    host, one, two, three = Host(), free(), free(), free()
    host.publishing._most = 2
    await host.publishing.secure()
    another = replace(with_ports(two), id="another", owner_uid=1001)
    await host.publishing.publish(with_ports(one), LEASE)
    await host.publishing.publish(another, LEASE)
    with pytest.raises(LimitReached, match=r"publishes 2 ports, the others of user 1000 1, .* 2 \(PortsPerOwner="):
        await host.publishing.publish(replace(with_ports(three, free()), id="second"), LEASE)
    with pytest.raises(LimitReached, match="publishes 3 ports, the others of user 1000 0,"):
        await host.publishing.change(with_ports(one, three, free()), LEASE)
    assert is_free(three)
    await host.publishing.publish(replace(with_ports(three), id="second"), LEASE)
    host.publishing._most = 1  # what is there stays, and may become less
    await host.publishing.change(with_ports(), LEASE)
    await host.publishing.publish(replace(with_ports(free(), free()), id="roots", owner_uid=0), LEASE)
    for claim in host.publishing._claims.values():
        claim.release()


def test_ports_that_start_a_container_are_its_own_while_it_does_not_run() -> None:
    asyncio.run(expected())


async def expected() -> None:
    host, one = Host(), free()
    wanted = with_ports(one)
    activation = Activation(wanted.spec.networking.ports)
    sleeping = replace(wanted, spec=replace(wanted.spec, networking=Networking(), activation=activation))
    await host.publishing.expect(sleeping)
    assert is_free(one)  # for PID 1
    for other, holder in ((1000, "container 'web'"), (1001, "another user's container")):
        with pytest.raises(PortInUse, match=f"{holder} has it"):
            await host.publishing.publish(replace(with_ports(one), id="other", owner_uid=other), LEASE)
    host.publishing._most = 1
    with pytest.raises(LimitReached, match=r"publishes 1 ports, the others of user 1000 1,"):
        await host.publishing.publish(replace(with_ports(free()), id="other"), LEASE)
    host.publishing.expect_no_more(sleeping)
    with socket.create_server(("127.0.0.1", one)), pytest.raises(PortInUse, match="a process of the host has it"):
        await host.publishing.expect(sleeping)
    await host.publishing.publish(replace(with_ports(free()), id="other"), LEASE)
    for claim in host.publishing._claims.values():
        claim.release()
