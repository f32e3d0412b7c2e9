# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl port NAME PORT, as docker has it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest

from mctl.commands import port
from mctl.failures import Failure, UsageError
from mctl.parser import Arguments

if TYPE_CHECKING:
    from mctl.client import Client
    from mctl.ports import Port

PUBLISHED: list[Port] = [
    ("tcp", "", 8080, 80, 1), ("tcp", "127.0.0.2", 81, 80, 1), ("udp", "", 9000, 5000, 3), ("tcp", "::1", 1, 5001, 1),
]  # fmt: skip


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "ports_of", lambda *_: PUBLISHED)


def shown(capfd: pytest.CaptureFixture[str], *words: str, **options: object) -> str:
    assert port.run(Arguments(dict(options), ["web", *words]), cast("Client", None)) == 0
    return capfd.readouterr().out


def test_where_a_port_is_answered(capfd: pytest.CaptureFixture[str]) -> None:
    assert shown(capfd, "80") == shown(capfd, "80/tcp") == "0.0.0.0:8080\n127.0.0.2:81\n"
    assert shown(capfd, "5001/udp") == "0.0.0.0:9001\n"  # of a range
    assert shown(capfd, "5001") == "[::1]:1\n"
    assert json.loads(shown(capfd, "5002/udp", json="short")) == [
        {"Protocol": "udp", "Address": "", "HostPort": 9002, "ContainerPort": 5002, "Count": 1}
    ]


def test_all_of_them(capfd: pytest.CaptureFixture[str]) -> None:
    assert shown(capfd).splitlines()[:2] == ["80/tcp -> 0.0.0.0:8080", "80/tcp -> 127.0.0.2:81"]


@pytest.mark.parametrize("word", ["81", "80/udp", "5003/udp"])
def test_one_that_is_not_published(word: str) -> None:
    with pytest.raises(Failure, match=rf"web: its port {word}.* is not published; `mctl port web` shows"):
        port.run(Arguments({}, ["web", word]), cast("Client", None))


@pytest.mark.parametrize("words", [["x"], ["80/icmp"], ["-1"], ["80/"], ["1", "2"]])
def test_what_is_no_port(words: list[str]) -> None:
    with pytest.raises(UsageError, match="port"):
        port.run(Arguments({}, ["web", *words]), cast("Client", None))
