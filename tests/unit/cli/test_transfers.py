# SPDX-License-Identifier: GPL-3.0-or-later
"""Interrupted at any moment, a transfer does not go on for nobody."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import pytest

from mctl.failures import Failure
from mctl.parser import Arguments
from mctl.transfers import pull

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mctl.client import Call, Client

PATH = "/org/mctl1/job/a0"


class Interrupted:
    """A client whose user presses Ctrl-C while `during` is under way; the reply to that comes `late`."""

    def __init__(self, during: str, late: list[tuple[str] | Failure]) -> None:
        self.during = during
        self.late = late
        self.said: list[tuple[str, str]] = []
        self.ends = os.pipe()
        os.write(self.ends[1], b"x")

    def call(self, call: Call) -> tuple[Any, ...]:
        self.said.append((call.path, call.member))
        if call.member == self.during:
            raise KeyboardInterrupt
        return (PATH,) if call.member == "PullImage" else ()

    def arrived(self, _call: Call) -> tuple[str] | None:
        if not self.late:
            os.read(self.ends[0], 1)
            return None
        reply = self.late.pop()
        if isinstance(reply, Failure):
            raise reply
        return reply

    def fileno(self) -> int:
        return self.ends[0]


@pytest.fixture
def ends() -> Iterator[list[int]]:
    opened: list[int] = []
    yield opened
    for each in opened:
        os.close(each)


@pytest.mark.parametrize(("during", "late", "said"), [
    ("Wait", [], ["PullImage", "Wait", "Cancel"]),
    ("PullImage", [(PATH,)], ["PullImage", "Cancel"]),
    ("PullImage", [], ["PullImage"]),
    ("PullImage", [Failure("not allowed", status=1)], ["PullImage"]),
])  # fmt: skip
def test_an_interruption(
    during: str, late: list[tuple[str] | Failure], said: list[str], ends: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mctl.transfers.LEAVE", 10)
    monkeypatch.setattr("mctl.transfers.authentication", lambda *_: None)
    client = Interrupted(during, late)
    ends.extend(client.ends)
    with pytest.raises(KeyboardInterrupt):
        pull(Arguments({"quiet": True}, ["example.org/box"]), cast("Client", client), "example.org/box")
    assert [member for _, member in client.said] == said
    assert all(path == PATH for path, member in client.said if member in ("Wait", "Cancel"))
