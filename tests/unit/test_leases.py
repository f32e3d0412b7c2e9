# SPDX-License-Identifier: GPL-3.0-or-later
"""No address twice, none lost; those of removed containers come back."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

import pytest

from mctld.errors import AddressInUse, InvalidArgs, LimitsExceeded, NameTaken, NetworkInUse
from mctld.ids import Ids
from mctld.networking import Network, Networking
from mctld.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mctld.spec import Spec
    from mctld.store import Record

SMALL = Network("small", "mctl1", 0, IPv4Network("10.9.0.0/29"), IPv6Network("fd00:1::/64"))
LARGE = Network("large", "mctl2", 1000, IPv4Network("172.20.0.0/16"), IPv6Network("fd00:2::/64"), 7)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "state.db")


def opened(path: str) -> Store:
    return Store(path, Ids(1_000_000, 65_536, 4096))


@pytest.fixture
def store(path: str) -> Iterator[Store]:
    made = opened(path)
    for network in (SMALL, LARGE):
        made.add_network(network)
    yield made
    made.close()


@pytest.fixture
def add(make_spec: Callable[..., Spec]) -> Callable[..., Record]:
    def add(store: Store, name: str, *networks: Network, address: str = "", address6: str = "") -> Record:
        spec = make_spec(name=name, networking=Networking(tuple(n.name for n in networks), address, address6=address6))
        return store.add(identity=f"id-{name}", owner_uid=0, created_usec=1, spec=spec, networks=networks)

    return add


def of(store: Store, record: Record) -> list[str]:
    return [str(lease.address) for lease in store.leases.of(record.id)]


def of6(store: Store, record: Record) -> list[str]:
    return [str(lease.address6) for lease in store.leases.of(record.id)]


def test_each_gets_its_own_on_every_network(store: Store, add: Callable[..., Record]) -> None:
    first, second = add(store, "a", SMALL, LARGE), add(store, "b", LARGE)
    assert of(store, first) == ["10.9.0.2", "172.20.0.2"]
    assert of(store, second) == ["172.20.0.3"]
    assert str(store.leases.of(first.id)[1].address6) == "fd00:2::2"
    assert of(store, add(store, "c")) == []


def test_a_pool_ends_and_goes_round(store: Store, add: Callable[..., Record]) -> None:
    records = [add(store, f"c{i}", SMALL) for i in range(5)]
    assert [of(store, r) for r in records] == [[f"10.9.0.{i}"] for i in range(2, 7)]
    with pytest.raises(LimitsExceeded, match=r"all 5 addresses of network 'small' \(10\.9\.0\.0/29\)"):
        add(store, "one-too-many", SMALL)
    store.remove(records[3])
    assert of(store, add(store, "next", SMALL)) == ["10.9.0.5"]


def test_a_freed_address_rests(store: Store, add: Callable[..., Record]) -> None:
    first = add(store, "a", LARGE)
    store.remove(first)
    assert of(store, add(store, "b", LARGE)) == ["172.20.0.3"]


def test_a_fixed_address(store: Store, add: Callable[..., Record]) -> None:
    assert of(store, add(store, "a", LARGE, SMALL, address="172.20.255.254")) == ["172.20.255.254", "10.9.0.2"]
    with pytest.raises(AddressInUse, match=r"172\.20\.255\.254 of network 'large' is in use"):
        add(store, "b", LARGE, address="172.20.255.254")


@pytest.mark.parametrize("address", ["172.20.0.0", "172.20.0.1", "172.20.255.255", "172.21.0.2", "8.8.8.8"])
def test_a_fixed_address_that_is_none_of_the_pools(store: Store, add: Callable[..., Record], address: str) -> None:
    with pytest.raises(InvalidArgs, match=r"those are 172\.20\.0\.2 to 172\.20\.255\.254"):
        add(store, "a", LARGE, address=address)


def test_a_fixed_ipv6_address(path: str, store: Store, add: Callable[..., Record]) -> None:
    """Beside any other address, and never that of two containers, whichever was there first."""
    first = add(store, "a", SMALL, LARGE, address6="fd00:1::53")
    assert of6(store, first) == ["fd00:1::53", "fd00:2::2"]
    add(store, "b", LARGE, address6="fd00:2::4")  # goes with 172.20.0.4, which has not been given away
    assert of(store, add(store, "c", LARGE)) == ["172.20.0.5"]  # b has .3, and .4 has lost its counterpart
    with pytest.raises(AddressInUse, match=r"fd00:2::4 of network 'large', which goes with 172\.20\.0\.4, is in use"):
        add(store, "d", LARGE, address="172.20.0.4")
    for taken, network in (("fd00:1::53", SMALL), ("fd00:2::2", LARGE), ("fd00:2::4", LARGE)):
        with pytest.raises(AddressInUse, match=f"address {taken} of network {network.name!r} is in use"):
            add(store, "d", network, address6=taken)
    assert of6(store, add(store, "d", LARGE, address="172.20.0.4", address6="fd00:2::dead:beef")) == [
        "fd00:2::dead:beef"
    ]
    store.close()
    again = opened(path)
    assert of6(again, first) == ["fd00:1::53", "fd00:2::2"]
    with pytest.raises(AddressInUse):
        add(again, "e", SMALL, address6="fd00:1::53")
    again.remove(first)
    assert of6(again, add(again, "e", SMALL, address6="fd00:1::53")) == ["fd00:1::53"]
    again.close()


@pytest.mark.parametrize("address6", ["fd00:2::", "fd00:2::1", "fd00:3::2", "2001:db8::1", "::1"])
def test_an_ipv6_address_that_is_none_of_the_networks(store: Store, add: Callable[..., Record], address6: str) -> None:
    with pytest.raises(InvalidArgs, match="those are fd00:2::2 to fd00:2::ffff:ffff:ffff:ffff"):
        add(store, "a", LARGE, address6=address6)


def test_nothing_is_taken_when_a_creation_fails(store: Store, add: Callable[..., Record]) -> None:
    add(store, "a", SMALL)
    for _ in range(20):
        with pytest.raises(NameTaken):
            add(store, "a", SMALL)
    assert of(store, add(store, "b", SMALL)) == ["10.9.0.3"]


def test_networks_and_leases_survive_a_restart(path: str, store: Store, add: Callable[..., Record]) -> None:
    kept, gone = add(store, "a", SMALL, LARGE), add(store, "b", SMALL)
    store.remove(gone)
    store.close()
    again = opened(path)
    assert list(again.leases.networks()) == [LARGE, SMALL]
    assert of(again, kept) == ["10.9.0.2", "172.20.0.2"]
    assert of(again, add(again, "c", SMALL)) == ["10.9.0.3"]
    again.close()


def test_2000_changes_in_any_order(path: str, store: Store, add: Callable[..., Record]) -> None:
    chance = random.Random(4)
    there: list[Record] = []
    for step in range(2000):
        if there and chance.random() < 0.48:
            store.remove(there.pop(chance.randrange(len(there))))
        else:
            there.append(add(store, f"c{step}", LARGE))
        if step == 1000:
            store.close()
            store = opened(path)
    leased = [lease.address for record in there for lease in store.leases.of(record.id)]
    assert len(set(leased)) == len(leased) == len(there)
    assert all(address in LARGE.subnet for address in leased)
    store.close()
    again = opened(path)
    assert sorted(leased) == sorted(lease.address for r, _ in again.load() for lease in again.leases.of(r.id))
    again.close()


def test_the_database_itself_refuses_an_address_twice(store: Store, add: Callable[..., Record]) -> None:
    first, second = add(store, "a", SMALL), add(store, "b")
    twice = SMALL.lease(second.id, IPv4Address("10.9.0.2"), 0)
    assert of(store, first) == ["10.9.0.2"]
    with pytest.raises(Exception, match="UNIQUE constraint failed"):
        store.leases.insert(twice)


def test_the_database_itself_refuses_a_fixed_ipv6_address_twice(store: Store, add: Callable[..., Record]) -> None:
    add(store, "a", SMALL, address6="fd00:1::53")
    twice = SMALL.lease(add(store, "b").id, IPv4Address("10.9.0.5"), 0, IPv6Address("fd00:1::53"))
    with pytest.raises(Exception, match="UNIQUE constraint failed"):
        store.leases.insert(twice)


def test_a_network_goes_when_nobody_uses_it(path: str, store: Store, add: Callable[..., Record]) -> None:
    records = [add(store, "a", SMALL), add(store, "b", SMALL)]
    assert store.leases.users(SMALL) == 2
    with pytest.raises(NetworkInUse, match="network 'small' is used by 2 containers"):
        store.remove_network(SMALL)
    for record in records:
        store.remove(record)
    store.remove_network(SMALL)
    assert list(store.leases.networks()) == [LARGE]
    store.add_network(replace(SMALL, internal=True, mtu=1400))
    store.close()
    again = opened(path)
    assert again.leases.network("small") == replace(SMALL, internal=True, mtu=1400)
    again.close()
