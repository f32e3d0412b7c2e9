# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container finds in /etc/hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mctld.errors import InvalidArgs
from mctld.runtime import etc

if TYPE_CHECKING:
    from collections.abc import Callable

    from mctld.spec import Spec


def test_names_of_the_host_get_its_address_of_today(make_spec: Callable[..., Spec]) -> None:
    """Which network it will be on is not known when it is made, nor whether that has the same subnet tomorrow."""
    spec = make_spec(hosts=(("db", "10.9.8.7"), ("host.docker.internal", "host-gateway")))
    for gateway in ("172.20.0.1", "10.200.0.1"):
        text = etc.contents(spec, "", ["172.20.0.9"], "", gateway)["hosts"]
        lines = [line.split() for line in text.splitlines()]
        assert lines[-3:] == [["172.20.0.9", "web"], ["10.9.8.7", "db"], [gateway, "host.docker.internal"]]


@pytest.mark.parametrize("address", ["host", "host-gateway ", "Host-Gateway", "", "10.0.0.0/8"])
def test_what_else_is_no_address_is_refused(make_spec: Callable[..., Spec], address: str) -> None:
    with pytest.raises(InvalidArgs, match="Hosts address"):
        make_spec(hosts=(("db", address),))
