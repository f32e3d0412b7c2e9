# SPDX-License-Identifier: GPL-3.0-or-later
"""Subnets and ports in systemd's words, and what is none."""

from __future__ import annotations

import pytest

from mctld import reach
from mctld.errors import InvalidArgs
from mctld.limits import Limits, restored
from mctld.systemd import scope


def test_words_and_addresses_become_subnets() -> None:
    given = ["any", "10.1.2.3", "10.9.0.1/8", "fd00::1/64", "10.1.2.3/32"]
    assert reach.subnets("K", given) == ("0.0.0.0/0", "::/0", "10.1.2.3/32", "10.0.0.0/8", "fd00::/64")


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "host", "10.0.0.0/8\n", "1", "fe80::1%lo"])
def test_what_is_no_subnet(text: str) -> None:
    with pytest.raises(InvalidArgs, match="is not an address or subnet"):
        reach.subnets("K", [text])


@pytest.mark.parametrize("text", ["", "80-", "80-70", "65536", "0", "0-5", "sctp:8", "x:", "00", "1-2-3", "8\n", "٣"])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(InvalidArgs, match="K"):
        reach.ports("K", text)


def test_limits_keep_them() -> None:
    ports = reach.ranges(["tcp:0-1023", "53"])
    limits = Limits(ip_address_deny=("0.0.0.0/0",), ip_address_allow=("fd00::/8",), socket_bind_deny=ports)
    assert restored({"ip_address_deny": ["0.0.0.0/0"], "io_read_iops_max": [["/dev/sda", 5]]}) == Limits(
        ip_address_deny=("0.0.0.0/0",), io_read_iops_max=(("/dev/sda", 5),)
    )
    with pytest.raises(InvalidArgs, match="has to be written 10"):
        Limits(ip_address_deny=("10.0.0.1/8",))
    with pytest.raises(InvalidArgs, match="the most is 64"):
        Limits(socket_bind_deny=("80",) * 65)
    told = {str(name): variant for name, variant in scope.changed_properties(Limits(), limits)}
    assert told["IPAddressDeny"].value == [[2, bytes(4), 0]]
    assert told["IPAddressAllow"].value == [[10, b"\xfd" + bytes(15), 8]]
    assert told["SocketBindDeny"].value == [[0, 6, 1023, 1], [0, 0, 1, 53]]
    grown = scope.changed_properties(Limits(), Limits(socket_bind_deny=("80",)))
    assert [name for name, _ in grown] == ["SocketBindDeny", "IPAddressDeny"]
    back = scope.changed_properties(limits, Limits())
    assert [(name, variant.value) for name, variant in back] == [
        ("IPAddressAllow", []), ("IPAddressDeny", []), ("SocketBindDeny", []),
    ]  # fmt: skip
