# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's own firewall, which stays in charge: where it lets nothing pass that it does not know, it must know of us.

Its rules are read and not understood: a chain that ends in a drop, and never names one of our interfaces or subnets, is
most likely one of those that docker, ufw and firewalld make.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .finding import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from ipaddress import IPv4Network

NAME = "network.firewall"
FORWARD, INPUT = "forward", "input"
OURS, FIRST = "mctl", "mctl0"  # our table, and the interface of the first network
FAMILIES = ("ip", "ip6", "inet")
NAME_SERVER = re.compile(r'"dport"}}, "right": (53\b|{[^}]*\b53\b)')  # as dumps() writes it
SILENT = ("counter", "log")  # statements that decide nothing
FINAL = ("drop", "reject")

TARGET = re.compile(r'"(?:jump|goto)": {"target": "([^"]+)"')

Key = tuple[str, str, str]  # family, table, chain
Rules = dict[Key, list[list[dict[str, Any]]]]


@dataclass(frozen=True, slots=True)
class Barrier:
    """A chain that drops what nothing before lets pass. stranger: an interface of ours that its rules never name."""

    table: str
    chain: str
    hook: str
    stranger: str
    maker: str


def barriers(ruleset: str, subnets: Mapping[str, IPv4Network]) -> list[Barrier]:
    """`ruleset` as libnftables-json(5) has it; subnets: of our networks, by their interfaces."""
    try:
        objects = json.loads(ruleset)["nftables"] if ruleset else []
    except (ValueError, KeyError, TypeError):
        return []
    rules = _rules(objects)
    found = []
    for chain in (each["chain"] for each in objects if "chain" in each):
        key = (chain["family"], chain["table"], chain["name"])
        if chain.get("hook") not in (FORWARD, INPUT) or key[0] not in FAMILIES or key[1] == OURS:
            continue
        if chain.get("policy") != "drop" and not _is_final(rules.get(key, [])):
            continue
        said = _said(rules, key)
        stranger = _stranger(said, subnets)
        if stranger and not (chain["hook"] == INPUT and NAME_SERVER.search(said)):
            found.append(Barrier(f"{key[0]} {key[1]}", key[2], chain["hook"], stranger, _maker(said)))
    return found


def firewall(found: list[Barrier]) -> Finding:
    if not found:
        text = "none of its tables drops all that it does not know, or each knows of containers"
        return Finding(NAME, Verdict.OK, text, "The host's own firewall is not in the way.")
    places = ", ".join(f"chain {barrier.chain} of table {barrier.table}" for barrier in found)
    text = f"what they do not know is dropped, and that is {found[0].stranger}: {places}"
    remedies = dict.fromkeys(_remedy(barrier) for barrier in found)
    return Finding(NAME, Verdict.WARNING, text, " ".join(_meanings(found)), "; ".join(remedies))


def _meanings(found: list[Barrier]) -> Iterator[str]:
    hooks = {barrier.hook for barrier in found}
    if FORWARD in hooks:
        yield "Containers most likely reach nothing beyond the host, and nobody their published ports from outside."
    if INPUT in hooks:
        yield "Their questions for names, to port 53 of the host, are most likely dropped."


def _remedy(barrier: Barrier) -> str:
    interface = barrier.stranger
    match barrier.maker:
        case "firewalld":
            return f"firewall-cmd --permanent --zone=trusted --add-interface={interface} && firewall-cmd --reload"
        case "ufw":
            return (
                f"ufw route allow in on {interface}; ufw allow in on {interface} to any port 53; "
                "for published ports see mctld(8), NETWORKS"
            )
        case "docker":
            insert = f"{'ip6tables' if barrier.table.startswith('ip6') else 'iptables'} -I DOCKER-USER"
            return f"{insert} -i {interface} -j ACCEPT; {insert} -o {interface} -j ACCEPT"
    return f"let it forward from and to {interface}, and take port 53 from there: mctld(8), NETWORKS"


def _maker(said: str) -> str:
    for maker, mark in (("firewalld", '"filter_'), ("ufw", '"ufw'), ("docker", '"DOCKER-USER"')):
        if mark in said:
            return maker
    return ""


def _stranger(said: str, subnets: Mapping[str, IPv4Network]) -> str:
    if f'"{OURS}*"' in said:
        return ""
    names = (i for i, subnet in subnets.items() if f'"{i}"' not in said and str(subnet.network_address) not in said)
    return next(names, "")


def _said(rules: Rules, key: Key) -> str:
    """By the chain and all that it leads to."""
    reached: dict[Key, str] = {}
    ahead = [key]
    while ahead:
        here = ahead.pop()
        if here not in reached:
            reached[here] = json.dumps(rules.get(here, []))
            ahead += [(*key[:2], name) for name in TARGET.findall(reached[here])]
    return "\n".join(reached.values())


def _rules(objects: list[dict[str, Any]]) -> Rules:
    """By chain, what they say."""
    found: Rules = {}
    for rule in (each["rule"] for each in objects if "rule" in each):
        found.setdefault((rule["family"], rule["table"], rule["chain"]), []).append(rule["expr"])
    return found


def _is_final(rules: list[list[dict[str, Any]]]) -> bool:
    """The last one drops whatever comes to it."""
    said = [each for each in rules[-1] if not any(word in each for word in SILENT)] if rules else []
    return len(said) == 1 and any(word in said[0] for word in FINAL)

