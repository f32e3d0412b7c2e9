# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks on a link of the host's: what may be asked for, and which addresses are given away."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any

import pytest

from mctld.draft import Draft, drafted
from mctld.errors import AddressInUse, InvalidArgs, LimitsExceeded, SubnetInUse
from mctld.ids import Ids
from mctld.lifecycle import connections, founding
from mctld.macvlan import Macvlan, restored
from mctld.names.table import Table
from mctld.networking import Fixed, Lease, Network, Networking
from mctld.store import Store
from unit.test_names import asked_by, made

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mctld.spec import Spec

ALICE, ROOT = 1000, 0
LEAST = {"Driver": "macvlan", "Parent": "eth0", "Subnet": "192.0.2.0/28"}
LINK = Macvlan("eth0", IPv4Address("192.0.2.1"))
LAN = Network("lan", "eth0", 0, IPv4Network("192.0.2.0/28"), IPv6Network("2001:db8::/64"), 7, macvlan=LINK)
BRIDGE = Network("bridge", "mctl0", 0, IPv4Network("172.20.0.0/16"), IPv6Network("fd12::/64"))


def asked(**given: object) -> dict[str, Any]:
    return {**LEAST, **given}


def test_the_least_that_has_to_be_said() -> None:
    assert drafted("lan", ALICE, LEAST) == Draft("lan", IPv4Network("192.0.2.0/28"), macvlan=LINK)


def test_all_that_can_be_said() -> None:
    more = {"Gateway": "192.0.2.14", "Subnet6": "2001:db8::/64", "Gateway6": "fe80::1", "Mode": "private"}
    found = drafted("lan", ROOT, asked(**more, AddressRange="192.0.2.8/30", Shared=True))
    link = Macvlan(
        "eth0", IPv4Address("192.0.2.14"), IPv6Address("fe80::1"), "private", IPv4Network("192.0.2.8/30"), shared=True
    )
    assert found == Draft("lan", IPv4Network("192.0.2.0/28"), IPv6Network("2001:db8::/64"), macvlan=link)
    assert restored(link.stored()) == link
    assert restored(LINK.stored()) == LINK


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"Driver": "ipvlan"}, "Driver 'ipvlan' is not known: use one of bridge, macvlan"),
        ({"Driver": "bridge"}, "Parent goes with Driver macvlan alone"),
        ({"Parent": ""}, "Driver macvlan needs Parent: the interface of this host"),
        ({"Subnet": ""}, "Driver macvlan needs Subnet: that of the link"),
        ({"Parent": "lo"}, "Parent lo is not a link to other hosts"),
        ({"Parent": "mctl0"}, "Parent mctl0 is not a link to other hosts"),
        ({"Parent": "mctl0123456789"}, "is not a link to other hosts"),
        ({"Parent": "eth0/../x"}, "is not the name of an interface"),
        ({"Parent": "a\nb"}, "is not the name of an interface"),
        ({"Parent": "x" * 16}, "is not the name of an interface"),
        ({"Mode": "source"}, "Mode 'source' is not known: use one of bridge, private, vepa, passthru"),
        ({"Internal": True}, "Internal and Driver macvlan exclude each other"),
        ({"MTU": 1400}, "MTU and Driver macvlan exclude each other: it has that of its Parent"),
        ({"Shared": True}, "Shared is for networks of root"),
        ({"Subnet": "192.0.2.1/28"}, "is not an IPv4 subnet"),
        ({"Subnet": "192.0.2.0/31"}, "from /8 to /30"),
        ({"Subnet": "224.0.0.0/8"}, "has no addresses that an interface"),
        ({"Subnet": "127.0.0.0/8"}, "has no addresses that an interface"),
        ({"Gateway": "192.0.2.16"}, "Gateway 192.0.2.16 is not the address of a host in 192.0.2.0/28"),
        ({"Gateway": "192.0.2.15"}, "is not the address of a host"),
        ({"Gateway": "router"}, "Gateway 'router' is not an IPv4 address"),
        ({"AddressRange": "192.0.3.0/29"}, "AddressRange 192.0.3.0/29 is not within 192.0.2.0/28"),
        ({"AddressRange": "192.0.2.1/32"}, "AddressRange 192.0.2.1/32 has no address for a container"),
        ({"AddressRange": "some"}, "is not a part of a subnet"),
        ({"Gateway6": "fe80::1"}, "Gateway6 fe80::1 needs Subnet6"),
        ({"Subnet6": "2001:db8::/64", "Gateway6": "2001:db9::1"}, "is not the address of a host in 2001:db8::/64"),
        ({"Subnet6": "2001:db8::/64", "Gateway6": "fe80::1%eth0"}, "must not name an interface"),
        ({"Subnet6": "fe80::/64"}, "has no addresses that could be given away"),
        ({"Subnet6": "2001:db8::/100"}, "from /16 to /96"),
    ],
)
def test_what_is_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidArgs, match=sentence):
        drafted("lan", ALICE, asked(**given))


def test_roots_are_root_s_alone_unless_shared() -> None:
    assert not LAN.is_visible_to(ALICE)
    assert LAN.is_visible_to(ROOT)
    assert replace(LAN, macvlan=replace(LINK, shared=True)).is_visible_to(ALICE)
    assert replace(LAN, owner_uid=ALICE).is_visible_to(ALICE)


def added(tmp_path: Path, make_spec: Callable[..., Spec], network: Network) -> tuple[Store, Callable[..., str]]:
    store = Store(str(tmp_path / "state.db"), Ids(1_000_000, 65_536, 4096))
    store.add_network(network)

    def add(number: int, fixed: Fixed = Fixed()) -> str:  # noqa: B008 (frozen)
        spec = make_spec(
            name=f"c{number}", networking=Networking((network.name,), fixed.address, address6=fixed.address6)
        )
        identity = f"id-{number}"
        record = store.add(identity=identity, owner_uid=0, created_usec=1, spec=spec, networks=[network])
        (lease,) = store.leases.of(record.id)
        return f"{lease.address} {lease.address6}"

    return store, add


def test_the_router_keeps_its_addresses(tmp_path: Path, make_spec: Callable[..., Spec]) -> None:
    """Also the IPv6 one, which would go with the first IPv4 address here."""
    link = Macvlan("eth0", IPv4Address("192.0.2.6"), IPv6Address("2001:db8::1"))
    network = replace(LAN, subnet=IPv4Network("192.0.2.0/29"), macvlan=link)
    store, add = added(tmp_path, make_spec, network)
    assert [add(number) for number in range(4)] == [f"192.0.2.{i} 2001:db8::{i}" for i in range(2, 6)]
    with pytest.raises(LimitsExceeded, match="all 4 addresses of network 'lan'"):
        add(4)
    for address in ("192.0.2.6", "192.0.2.0", "192.0.2.7", "192.0.3.1"):
        with pytest.raises(InvalidArgs, match=r"those are 192\.0\.2\.1 to 192\.0\.2\.6, but for 192\.0\.2\.6"):
            add(5, Fixed(address))
    with pytest.raises(AddressInUse, match=r"2001:db8::1 .* which goes with 192\.0\.2\.1"):
        add(5, Fixed("192.0.2.1"))
    with pytest.raises(InvalidArgs, match="but for 2001:db8::1"):
        add(5, Fixed("192.0.2.1", "2001:db8::1"))
    assert add(5, Fixed("192.0.2.1", "2001:db8::99")) == "192.0.2.1 2001:db8::99"
    store.close()


def test_a_range_is_for_those_who_ask_for_none(tmp_path: Path, make_spec: Callable[..., Spec]) -> None:
    network = replace(LAN, macvlan=replace(LINK, pool=IPv4Network("192.0.2.12/30")))
    store, add = added(tmp_path, make_spec, network)
    assert add(0, Fixed("192.0.2.3")) == "192.0.2.3 2001:db8::3"
    assert [add(number).split()[0] for number in (1, 2, 3)] == ["192.0.2.12", "192.0.2.13", "192.0.2.14"]
    with pytest.raises(LimitsExceeded, match="all 3 addresses"):
        add(4)
    store.close()


def test_it_is_the_same_after_a_restart_and_two_may_be_on_one_link(
    tmp_path: Path, make_spec: Callable[..., Spec]
) -> None:
    store, _ = added(tmp_path, make_spec, LAN)
    draft = Draft("second", IPv4Network("198.51.100.0/24"), macvlan=Macvlan("eth0", IPv4Address("198.51.100.1")))
    second = founding.found(draft, ALICE, store.leases.networks())
    store.add_network(second)
    store.close()
    again = Store(str(tmp_path / "state.db"), Ids(1_000_000, 65_536, 4096))
    assert again.leases.network("lan") == LAN
    assert again.leases.network("second") == second
    assert second.interface == "eth0"
    with pytest.raises(SubnetInUse, match=r"Subnet 192\.0\.2\.8/29 overlaps 192\.0\.2\.0/28 of another user's network"):
        founding.found(Draft("third", IPv4Network("192.0.2.8/29")), ALICE, again.leases.networks())
    with pytest.raises(SubnetInUse, match="Subnet6 2001:db8::/48 overlaps"):
        founding.found(Draft("third", None, IPv6Network("2001:db8::/48")), ROOT, again.leases.networks())
    again.close()


def test_who_leads_past_the_host_has_no_way_in_and_asks_a_bridge_for_names(make_spec: Callable[..., Spec]) -> None:
    record: Any = type("Record", (), {"spec": make_spec(name="web"), "id": "a"})
    lan = (Lease("lan", "a", IPv4Address("192.0.2.3"), IPv6Address("2001:db8::3"), 0), LAN)
    bridge = (Lease("bridge", "a", IPv4Address("172.20.0.3"), IPv6Address("fd12::3"), 1), BRIDGE)
    both = connections.connections_of(record, [lan, bridge])
    with pytest.raises(InvalidArgs, match=r"leads out by network 'lan', a macvlan"):
        connections.way_in(both, record)
    assert connections.name_server(both) == "172.20.0.1"
    assert connections.name_server(both[:1]) == ""
    assert connections.without_end(both) == ("eth0",)
    assert connections.ends_on_host(both) == (both[1].link,)
    assert connections.way_in(connections.connections_of(record, [bridge, lan]), record) == bridge[0]


def test_where_the_host_is_not_nobody_asks_it_and_it_reaches_nobody() -> None:
    """A macvlan: who is on a bridge as well finds those there, and the host knows none of their addresses."""
    table, far = Table(), made("far", 2, "lan")
    lan = replace(far.places[0], gateway="")
    both = made("both", 3, "n")
    table.put("a", replace(far, places=(lan,), hosted=True))
    there = replace(lan, address="10.9.108.3", address6="fd00::3")
    table.put("b", replace(both, places=(*both.places, there), hosted=True))
    assert table.gateways() == {"127.9.0.1"}
    assert table.asker(lan.address) is None
    asker = table.asker(asked_by(3))
    assert asker is not None
    assert table.addresses(asker, "far") == (ip_address("10.9.108.2"), ip_address("fd00::2"))
    assert table.hosted("far") is None
    assert table.hosted("both") == (ip_address("10.9.110.3"), ip_address("fd00::3"))
    for identity in ("a", "b"):
        table.drop(identity)
    assert (len(table), table.gateways(), table._views, table._askers) == (0, set(), {}, {})
