# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole of our nftables table, as text. Pure: every word in it is ours, a number, or an address.

Our chains only translate, and drop what would enter a container's network unasked. They accept nothing on anybody's
behalf: a packet passes only if all other tables let it pass too, so the host's own firewall stays in charge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..networking import Lease, Network
    from ..ports import Port

TABLE = "inet mctl"

# Published ports are looked up by the host's address first, then without. Reachable as 127.0.0.1 too: from there the
# packet gets the bridge's address, and route_localnet lets it out (ip-sysctl.rst); `early` keeps the neighbours from
# using that the other way round (CVE-2020-8558), and whoever else routes to a bridge's address from the name server
# there, which is for containers and the host; and whoever floods that, for it has one queue for a whole network. IPv6
# has no such loopback: what is for ::1 would get lost, so it stays here, where nobody listens, and is refused at
# once. The last two rules of postrouting are for containers that use the host's address to reach a neighbour: the
# answer has to come back through here.
_CHAINS = """\
	chain published {
		meta l4proto != { tcp, udp, sctp } return
		ip6 daddr ::1 return
		meta nfproto ipv4 dnat ip to ip daddr . meta l4proto . th dport map @at4
		meta nfproto ipv4 dnat ip to meta l4proto . th dport map @any4
		meta nfproto ipv6 dnat ip6 to ip6 daddr . meta l4proto . th dport map @at6
		meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @any6
	}
	chain prerouting {
		type nat hook prerouting priority dstnat
		fib daddr type local jump published
	}
	chain output {
		type nat hook output priority -100
		fib daddr type local jump published
	}
	chain postrouting {
		type nat hook postrouting priority srcnat
		ip saddr @subnets4 oifname != @bridges masquerade
		ip6 saddr @subnets6 oifname != @bridges masquerade
		ip saddr 127.0.0.0/8 oifname @bridges masquerade
		ip saddr @subnets4 oifname @bridges ct status dnat masquerade
		ip6 saddr @subnets6 oifname @bridges ct status dnat masquerade
	}
	chain asking {
		update @asking4 { ip saddr limit rate over 1000/second burst 2000 packets } drop
	}
	chain early {
		type filter hook prerouting priority raw
		iifname @bridges ip daddr 127.0.0.0/8 drop
		iifname @bridges ip saddr 127.0.0.0/8 drop
		iifname != @bridges iifname != "lo" meta l4proto { tcp, udp } th dport 53 ip daddr @gateways4 drop
		iifname != @bridges iifname != "lo" meta l4proto { tcp, udp } th dport 53 ip6 daddr @gateways6 drop
		iifname @bridges meta l4proto { tcp, udp } th dport 53 ip daddr @gateways4 jump asking
	}
	chain forward {
		type filter hook forward priority filter
		iifname . oifname @same accept
		iifname @internal drop
		oifname @internal drop
		oifname @bridges ct state established,related accept
		oifname @bridges ct status dnat accept
		oifname @bridges drop
	}
"""


@dataclass(frozen=True, slots=True)
class Publication:
    """A port of a container with the addresses that it leads to."""

    port: Port
    lease: Lease

    def elements(self) -> Iterator[tuple[str, str, str]]:
        """Map, key and value, for every single port."""
        bound = self.port.bound
        for version, target in ((4, str(self.lease.address)), (6, str(self.lease.address6))):
            if bound is None or bound.version == version:
                name = f"at{version}" if bound else f"any{version}"
                for i in range(self.port.count):
                    key = f"{self.port.protocol} . {self.port.host + i}"
                    yield name, f"{bound} . {key}" if bound else key, f"{target} . {self.port.container + i}"


@dataclass(frozen=True, slots=True)
class Ruleset:
    networks: tuple[Network, ...]
    publications: tuple[Publication, ...] = ()

    def __str__(self) -> str:
        """A transaction that puts it in the place of whatever the table held. Without networks there is no table."""
        table = f"table {TABLE} {{\n{self._sets()}{self._maps()}{_CHAINS}}}\n" if self.networks else ""
        return f"add table {TABLE}\ndelete table {TABLE}\n{table}"

    def _sets(self) -> str:
        names = [f'"{network.interface}"' for network in self.networks]
        internal = [f'"{network.interface}"' for network in self.networks if network.internal]
        return "".join(
            (
                _set("bridges", "ifname", names),
                _set("internal", "ifname", internal),
                _set("same", "ifname . ifname", [f"{name} . {name}" for name in names]),
                _set("subnets4", "ipv4_addr; flags interval", [str(network.subnet) for network in self.networks]),
                _set("subnets6", "ipv6_addr; flags interval", [str(network.subnet6) for network in self.networks]),
                _set("asking4", "ipv4_addr; flags dynamic, timeout; timeout 10s; size 65535", []),
                _set("gateways4", "ipv4_addr", [str(network.gateway) for network in self.networks]),
                _set("gateways6", "ipv6_addr", [str(network.gateway6) for network in self.networks]),
            )
        )

    def _maps(self) -> str:
        found: dict[str, list[str]] = {"any4": [], "at4": [], "any6": [], "at6": []}
        for publication in self.publications:
            for name, key, value in publication.elements():
                found[name].append(f"{key} : {value}")
        return "".join(_set(name, _map_type(name), elements, "map") for name, elements in found.items())


def adding(publications: Iterable[Publication]) -> str:
    return "".join(
        f"add element {TABLE} {name} {{ {key} : {value} }}\n"
        for publication in publications
        for name, key, value in publication.elements()
    )


def removing(publications: Iterable[Publication]) -> str:
    return "".join(
        f"delete element {TABLE} {name} {{ {key} }}\n"
        for publication in publications
        for name, key, _ in publication.elements()
    )


def _map_type(name: str) -> str:
    address = f"ipv{name[-1]}_addr"
    host = f"{address} . " if name.startswith("at") else ""
    return f"{host}inet_proto . inet_service : {address} . inet_service"


def _set(name: str, kind: str, elements: list[str], word: str = "set") -> str:
    filled = f"; elements = {{ {', '.join(elements)} }}" if elements else ""
    return f"\t{word} {name} {{ type {kind}{filled}; }}\n"
