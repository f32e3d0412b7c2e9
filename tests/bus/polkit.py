# SPDX-License-Identifier: GPL-3.0-or-later
"""A polkit for tests: says what it is told to say and remembers what it was asked."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mctld.bus.codec import NO_AUTO_START
from mctld.bus.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from mctld.bus.codec import Message

NAME = "org.freedesktop.PolicyKit1"
PATH = "/org/freedesktop/PolicyKit1/Authority"
YES = (True, False)
NO = (False, False)
CHALLENGE = (False, True)


@dataclass(frozen=True)
class Asked:
    sender: str
    action: str
    details: dict[str, str]
    interactive: bool
    cancellation: str

    @property
    def lacking(self) -> set[str]:
        """What polkit is to put into the sentence that a person reads, and was not told."""
        return set(re.findall(r"\$\(([^)]*)\)", self.details.get("polkit.message", ""))) - self.details.keys()


class FakePolkit:
    """`decide` may be replaced at any time; an Asked it returns None for is a prompt until `answer` is called."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.asked: list[Asked] = []
        self.cancelled: list[str] = []
        self.woken = False  # by what would have started it, had it not been there
        self.decide: Callable[[Asked], tuple[bool, bool] | None] = lambda _: NO
        self._prompts: list[Message] = []
        self._news = asyncio.Event()
        connection.on_call = self._on_call

    @classmethod
    async def open(cls, address: str) -> FakePolkit:
        self = cls(await Connection.open(address))
        await self.connection.request_name(NAME)
        return self

    async def prompt(self) -> None:
        """Returns when somebody is being asked for a password."""
        while not self._prompts:
            await self.news()

    async def news(self) -> None:
        self._news.clear()
        await self._news.wait()

    def answer(self, verdict: tuple[bool, bool]) -> None:
        self._reply(self._prompts.pop(0), verdict)

    def changed(self, receiver: str) -> None:
        """The rules, or who is logged in. polkitd tells everybody; the service listens to its owner alone."""
        self.connection.signal(receiver, PATH, f"{NAME}.Authority", "Changed", "", [])

    async def renew(self) -> None:
        """As a restart of polkitd, which says nothing of rules that have changed meanwhile."""
        await self.connection.release_name(NAME)
        await self.connection.request_name(NAME)

    def _on_call(self, message: Message) -> None:
        body = message.body()
        message.fds.close()
        if message.header.member == "CancelCheckAuthorization":
            self.cancelled.append(body[0])
            self.woken = self.woken or not message.header.flags & NO_AUTO_START
        else:
            assert message.header.signature == "(sa{sv})sa{ss}us"
            (kind, subject), action, details, flags, cancellation = body
            assert kind == "system-bus-name"
            asked = Asked(subject["name"].value, action, details, bool(flags & 1), cancellation)
            self.asked.append(asked)
            verdict = self.decide(asked)
            if verdict is None:
                self._prompts.append(message)
            else:
                self._reply(message, verdict)
        self._news.set()

    def _reply(self, message: Message, verdict: tuple[bool, bool]) -> None:
        self.connection.reply(message.header, "(bba{ss})", [[*verdict, {}]])
