# SPDX-License-Identifier: GPL-3.0-or-later
"""What networks of containers are made of: bridges, rules of nftables, packets that are passed on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .finding import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .host import Host

FORWARDING = "/proc/sys/net/ipv4/ip_forward"


def bridge(failure: str) -> Finding:
    """`failure` to make one."""
    if failure:
        return Finding(
            "network.bridge",
            Verdict.MISSING,
            f"none could be made: {failure}",
            "Containers can be started only without a network, or with that of the host.",
            "modprobe bridge; where that is no help, install a kernel that is built with CONFIG_BRIDGE and CONFIG_VETH",
        )
    return Finding("network.bridge", Verdict.OK, "one was made", "Containers are connected to a network.")


def nftables(failure: str | None) -> Finding:
    """`failure` of nft(8), None where it is not installed."""
    without = "Containers on a bridge reach nothing beyond the host, and no port of theirs can be published."
    if failure is None:
        remedy = "apt install nftables python3-nftables"
        return Finding("network.nftables", Verdict.WARNING, "nft is not installed", without, remedy)
    if failure:
        remedy = "modprobe nf_tables; where that is no help, install a kernel that is built with CONFIG_NF_TABLES"
        return Finding("network.nftables", Verdict.WARNING, f"nft failed: {failure}", without, remedy)
    return Finding("network.nftables", Verdict.OK, "nft works", "Addresses of containers can be translated.")


def macvlan(failure: str) -> Finding:
    """`failure` to make one."""
    if failure:
        return Finding(
            "network.macvlan",
            Verdict.WARNING,
            f"none could be made: {failure}",
            "Containers cannot be on networks of the driver macvlan.",
            "modprobe macvlan; where that is no help, install a kernel that is built with CONFIG_MACVLAN",
        )
    return Finding("network.macvlan", Verdict.OK, "one was made", "Containers can be on a link of the host's.")


def sctp(failure: str) -> Finding:
    """`failure` to open a socket."""
    if failure:
        return Finding(
            "network.sctp",
            Verdict.WARNING,
            f"no socket could be opened: {failure}",
            "Nobody speaks SCTP here: a port that is published for it leads to nobody.",
            "modprobe sctp; where that is no help, install a kernel that is built with CONFIG_IP_SCTP",
        )
    return Finding("network.sctp", Verdict.OK, "a socket was opened", "Ports of SCTP can be published.")


def routes(overlaps: Sequence[str]) -> Finding:
    """`overlaps`: routes of the host's into networks of containers, in words."""
    if overlaps:
        return Finding(
            "network.routes",
            Verdict.WARNING,
            "; ".join(overlaps),
            "Of addresses that both have the narrower route gets all: these containers are cut off, or the others are.",
            "let whoever has set the route, often a VPN, use another, or make the network anew elsewhere: "
            "mctl network rm, then mctl network create --subnet; for bridge DefaultSubnet= in mctld.conf(5)",
        )
    return Finding("network.routes", Verdict.OK, "none leads into a network of containers", "They can be reached.")


def names(failure: str, refused: Mapping[str, str]) -> Finding:
    """`failure` of the name server to answer; why it cannot listen, by address."""
    if failure:
        return Finding(
            "network.names",
            Verdict.WARNING,
            f"mctl-names does not answer: {failure}",
            "Containers on a network find nobody by name.",
            "systemctl unmask mctl-names.socket mctl-names.service; systemctl restart mctl-names.socket; "
            "see journalctl -u mctl-names.service",
        )
    if refused:
        return Finding(
            "network.names",
            Verdict.WARNING,
            "; ".join(f"port 53 of {address}: {why}" for address, why in sorted(refused.items())),
            "Containers on these networks find nobody by name.",
            "ss -lnp sport = :53 shows whose it is: tell that one to listen on other addresses only, "
            "as dnsmasq by bind-dynamic and except-interface=mctl*",
        )
    return Finding("network.names", Verdict.OK, "the name server is at hand", "Containers find each other by name.")


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Whether the host passes packets on, None where it does not tell; the service switches it on when it is needed."""

    on: bool | None
    writable: bool


def read_forwarding(host: Host) -> Forwarding:
    value = host.number(FORWARDING)
    return Forwarding(None if value is None else value > 0, host.writable(FORWARDING))


def forwarding(facts: Forwarding) -> Finding:
    name = "network.forwarding"
    if facts.on is None:
        return Finding(name, Verdict.UNKNOWN, f"{FORWARDING} cannot be read", "See the check network.bridge.")
    if not facts.on and not facts.writable:
        return Finding(
            name,
            Verdict.WARNING,
            "net.ipv4.ip_forward is 0, and /proc/sys is read-only",
            "Containers on a bridge reach nothing beyond the host.",
            "sysctl -w net.ipv4.ip_forward=1, by whoever has mounted /proc/sys",
        )
    found = "on" if facts.on else "off; switched on with the first container on a network"
    return Finding(name, Verdict.OK, found, "The host passes packets of containers on.")
