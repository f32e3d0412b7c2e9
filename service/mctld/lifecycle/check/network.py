# SPDX-License-Identifier: GPL-3.0-or-later
"""What networks of containers are made of: bridges, rules of nftables, packets that are passed on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .finding import Finding, Verdict

if TYPE_CHECKING:
    from .host import Host

FORWARDING = "/proc/sys/net/ipv4/ip_forward"
NONE_BUT = "Containers can have no network but their own loopback interface or the host's."


def bridge(failure: str) -> Finding:
    """`failure` to make one."""
    if failure:
        return Finding(
            "network.bridge", Verdict.WARNING, f"none could be made: {failure}", NONE_BUT,
            "modprobe bridge; where that is no help, install a kernel that is built with CONFIG_BRIDGE",
        )  # fmt: skip
    return Finding("network.bridge", Verdict.OK, "one was made", "Networks of containers can be made.")


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


def read_forwarding(host: Host) -> int | None:
    return host.number(FORWARDING)


def forwarding(allowed: int | None) -> Finding:
    name = "network.forwarding"
    if allowed is None:
        return Finding(name, Verdict.UNKNOWN, f"{FORWARDING} cannot be read", "See the check network.bridge.")
    if allowed == 0:
        return Finding(
            name, Verdict.WARNING, "net.ipv4.ip_forward is 0",
            "Containers on a bridge reach nothing beyond the host.",
            "sysctl -w net.ipv4.ip_forward=1, and the same line in a file below /etc/sysctl.d",
        )  # fmt: skip
    return Finding(name, Verdict.OK, "net.ipv4.ip_forward is 1", "The host passes packets of containers on.")
