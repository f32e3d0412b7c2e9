# SPDX-License-Identifier: GPL-3.0-or-later
"""What docker, ufw, firewalld and others leave of containers' packets, as far as their rules tell."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from typing import Any

import pytest

from mctld.lifecycle.check.finding import Verdict
from mctld.lifecycle.check.firewall import barriers, firewall

SUBNETS = {"mctl0": IPv4Network("172.20.0.0/16")}
DROP: list[dict[str, Any]] = [{"counter": {"packets": 53, "bytes": 0}}, {"reject": {"type": "icmpx"}}]


def chain(
    hook: str, policy: str = "accept", *, table: str = "filter", family: str = "ip", name: str = ""
) -> dict[str, Any]:
    named = {"family": family, "table": table, "name": name or hook.upper(), "handle": 53}
    return {"chain": {**named, "hook": hook, "policy": policy, "type": "filter", "prio": 0} if hook else named}


def rule(*said: dict[str, Any], to: str, table: str = "filter", family: str = "ip") -> dict[str, Any]:
    return {"rule": {"family": family, "table": table, "chain": to, "handle": 53, "expr": list(said)}}


def match(field: str, right: object) -> dict[str, Any]:
    left = {"payload": {"protocol": "udp", "field": field}} if field == "dport" else {"meta": {"key": field}}
    return {"match": {"op": "==", "left": left, "right": right}}


def judged(*objects: dict[str, Any]) -> tuple[list[str], str]:
    """Chains that are in the way, and what to do."""
    found = barriers(json.dumps({"nftables": [{"metainfo": {}}, *objects]}), SUBNETS)
    finding = firewall(found)
    assert (finding.verdict is Verdict.OK) == (not found)
    return [barrier.chain for barrier in found], finding.remedy


ACCEPT: dict[str, Any] = {"accept": None}
def jump(target: str) -> dict[str, Any]:
    return {"jump": {"target": target}}


DOCKER = (chain("forward", "drop"), rule(jump("DOCKER-USER"), to="FORWARD"))
DOCKER6 = (chain("forward", "drop", family="ip6"), rule(jump("DOCKER-USER"), to="FORWARD", family="ip6"))


def test_docker() -> None:
    chains, remedy = judged(*DOCKER)
    assert chains == ["FORWARD"]
    assert remedy == "iptables -I DOCKER-USER -i mctl0 -j ACCEPT; iptables -I DOCKER-USER -o mctl0 -j ACCEPT"
    assert judged(*DOCKER6)[1].startswith("ip6tables -I DOCKER-USER")
    assert judged(*DOCKER, *DOCKER6, rule(match("iifname", "mctl0"), ACCEPT, to="DOCKER-USER"))[0] == ["FORWARD"]
    assert judged(*DOCKER, rule(match("iifname", "mctl0"), ACCEPT, to="DOCKER-USER"))[0] == []


def test_firewalld() -> None:
    its = {"table": "firewalld", "family": "inet"}
    found = [chain(hook, **its, name=f"filter_{hook.upper()}") for hook in ("forward", "input")]
    found += [rule(match("iifname", "lo"), ACCEPT, to=each["chain"]["name"], **its) for each in found]
    assert judged(*found)[0] == []  # as yet nothing is dropped
    found += [rule(*DROP, to=each, **its) for each in ("filter_FORWARD", "filter_INPUT")]
    for hook, prefix in (("FORWARD", "FWD"), ("INPUT", "IN")):
        zones = {"vmap": {"key": {}, "data": {"set": [["eth0", jump(f"filter_{prefix}_public")]]}}}
        found.insert(0, rule(zones, to=f"filter_{hook}", **its))
    chains, remedy = judged(*found)
    assert chains == ["filter_FORWARD", "filter_INPUT"]
    assert remedy == "firewall-cmd --permanent --zone=trusted --add-interface=mctl0 && firewall-cmd --reload"
    zone = {"goto": {"target": "filter_IN_trusted"}}
    found += [rule(match("iifname", "mctl0"), zone, to=f"filter_{prefix}_public", **its) for prefix in ("FWD", "IN")]
    assert judged(*found)[0] == []


def test_ufw() -> None:
    closed = [(chain(h, "drop"), rule(jump(f"ufw-{h}"), to=h.upper())) for h in ("forward", "input")]
    links = [rule(jump(f"ufw-user-{hook}"), to=f"ufw-{hook}") for hook in ("forward", "input")]
    found = [each for pair in closed for each in pair] + links
    chains, remedy = judged(*found)
    assert chains == ["FORWARD", "INPUT"]
    assert remedy.startswith("ufw route allow in on mctl0; ufw allow in on mctl0 to any port 53;")
    prefix = {"prefix": {"addr": "172.20.0.0", "len": 16}}
    found.append(rule(match("saddr", prefix), ACCEPT, to="ufw-user-forward"))
    assert judged(*found)[0] == ["INPUT"]
    assert judged(*found, rule(match("iifname", "mctl0"), ACCEPT, to="ufw-user-input"))[0] == []


@pytest.mark.parametrize("port", [53, {"set": [22, 53]}])
def test_who_answers_names_for_all(port: object) -> None:
    dropping = chain("input", "drop")
    assert judged(dropping)[0] == ["INPUT"]
    assert "port 53" in firewall(barriers(json.dumps({"nftables": [dropping]}), SUBNETS)).meaning
    assert judged(dropping, rule(match("dport", 5353), ACCEPT, to="INPUT"))[0] == ["INPUT"]
    assert judged(dropping, rule(match("dport", port), ACCEPT, to="INPUT"))[0] == []


def test_what_is_in_nobodys_way() -> None:
    ours = chain("forward", "drop", table="mctl", family="inet")
    all_ours = rule(match("iifname", "mctl*"), ACCEPT, to="FORWARD")
    assert judged(ours, chain("output", "drop"), chain("forward"), chain("forward", "drop", family="bridge"))[0] == []
    assert judged(chain("forward"), rule(match("iifname", "eth0"), *DROP, to="FORWARD"))[0] == []
    assert judged(chain("forward", "drop"), all_ours)[0] == []


@pytest.mark.parametrize("text", ["", "no such program", "[]", "{}"])
def test_rules_that_nobody_tells(text: str) -> None:
    assert barriers(text, SUBNETS) == []
