# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of rtnetlink(7): what is encoded once and filled in says the same as what is encoded each time."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import TYPE_CHECKING, Any

import pytest

from mctld.network import messages

if TYPE_CHECKING:
    from mctld.network.messages import Request

HEADER = 16  # struct nlmsghdr
LINK, ADDRESS, ROUTE = (vars(messages)[name] for name in ("ifinfmsg", "ifaddrmsg", "rtmsg"))  # pyroute2's codecs


def decoded(request: Request, kind: Any) -> Any:
    size = HEADER + len(request.body)
    message = kind(size.to_bytes(4, "little") + bytes(HEADER - 4) + request.body)
    message.decode()
    return message


def attributes(message: Any) -> dict[str, Any]:
    return dict(tuple(each)[:2] for each in message["attrs"])


def pair(number: int) -> Request:
    return messages.add_veth(
        f"mctl{number:010x}", bridge=3, mtu=1400 + number % 2, inside="eth0", mac=f"02:6d:ac:14:00:{number:02x}",
        namespace=number,
    )  # fmt: skip


@pytest.mark.parametrize("number", [5, 6, 250])
def test_a_pair_of_links_is_the_one_that_was_asked_for(number: int) -> None:
    found = attributes(decoded(pair(number), LINK))
    assert found["IFLA_IFNAME"] == f"mctl{number:010x}"
    assert (found["IFLA_MTU"], found["IFLA_MASTER"]) == (1400 + number % 2, 3)
    told = attributes(found["IFLA_LINKINFO"])
    inside = attributes(attributes(told["IFLA_INFO_DATA"])["VETH_INFO_PEER"])
    assert told["IFLA_INFO_KIND"] == "veth"
    assert (inside["IFLA_IFNAME"], inside["IFLA_ADDRESS"]) == ("eth0", f"02:6d:ac:14:00:{number:02x}")
    assert (inside["IFLA_NET_NS_FD"], inside["IFLA_MTU"]) == (number, 1400 + number % 2)
    for end in (found, inside):
        assert (end["IFLA_NUM_TX_QUEUES"], end["IFLA_NUM_RX_QUEUES"]) == (1, 1)


@pytest.mark.parametrize("name", ["a", "web", "now", "b" * 63])
def test_a_link_is_raised_with_whose_it_is(name: str) -> None:
    request = messages.raise_veth("mctl0123456789", f"container {name}")
    message = decoded(request, LINK)
    assert message["flags"] == message["change"] == messages.IFF_UP
    assert attributes(message)["IFLA_IFNAME"] == "mctl0123456789"
    assert attributes(message)["IFLA_IFALIAS"].rstrip("\0") == f"container {name}"


@pytest.mark.parametrize("address", ["172.20.0.5/16", "172.20.255.254/16", "10.5.0.9/24", "fd12::5/64", "fd12::6/64"])
@pytest.mark.parametrize("index", [2, 3])
def test_an_address_is_the_one_that_was_asked_for(address: str, index: int) -> None:
    wanted = IPv6Interface(address) if ":" in address else IPv4Interface(address)
    message = decoded(messages.add_address(index, wanted), ADDRESS)
    found = attributes(message)
    assert (message["index"], message["prefixlen"]) == (index, wanted.network.prefixlen)
    assert found["IFA_LOCAL"] == found["IFA_ADDRESS"] == str(wanted.ip)
    assert found.get("IFA_BROADCAST") == (str(wanted.network.broadcast_address) if wanted.version == 4 else None)
    assert message["flags"] == (0 if wanted.version == 4 else messages.IFA_F_NODAD)


def test_a_value_of_another_length_is_no_value() -> None:
    with pytest.raises(ValueError, match="is not 6 bytes long"):
        messages.add_veth("mctl0123456789", bridge=3, mtu=1500, inside="eth0", mac="02:6d:ac", namespace=5)


def test_what_the_next_container_needs_is_not_encoded_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyroute2 takes more than a millisecond for it, and holds the interpreter."""

    def all_of(number: int) -> None:
        pair(2 * number)
        messages.raise_veth(f"mctl{number:010x}", f"container c{number}")
        messages.raise_link(2, "eth0")
        messages.get_link("eth0")
        messages.add_address(2, IPv4Interface(f"172.20.0.{number}/16"))
        messages.add_address(2, IPv6Interface(f"fd12::{number}/64"))
        messages.add_default_route(2, IPv4Address("172.20.0.1"))
        messages.add_default_route(2, IPv6Address("fd12::1"))

    all_of(2)
    for kind in (LINK, ADDRESS, ROUTE):
        monkeypatch.setattr(kind, "encode", lambda _: pytest.fail("encoded anew"))
    all_of(3)
