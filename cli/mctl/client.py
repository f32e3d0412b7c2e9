# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversation with org.mctl1 on the system bus. No other module knows D-Bus messages."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .failures import FREEDESKTOP, NEEDS_PASSWORD, RESTARTED, Failure, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .sdbus import Bus, Reply

SERVICE = "org.mctl1"
ROOT = "/org/mctl1"
MANAGER = "org.mctl1.Manager"
CONTAINER = "org.mctl1.Container"
IMAGE = "org.mctl1.Image"
EXEC = "org.mctl1.Exec"
JOB = "org.mctl1.Job"
VOLUME = "org.mctl1.Volume"
NETWORK = "org.mctl1.Network"
PROPERTIES = "org.freedesktop.DBus.Properties"

INFINITY = 2**64 - 1  # "no limit" on the bus
WAITS = 5  # that are asked anew when the service is restarted meanwhile


class Call:
    """A method call that can be sent again, since nothing happens before it is authorized."""

    __slots__ = ("body", "destination", "interface", "member", "path", "serial", "signature")

    def __init__(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        *body: object,
        destination: str = SERVICE,
    ) -> None:
        self.destination = destination
        self.path = path
        self.interface = interface
        self.member = member
        self.signature = signature
        self.body = body
        self.serial = 0


class Client:
    """One connection, made with the first call. Calls wait as long as they must: a person may be typing a password."""

    def __init__(self, *, ask_password: bool, failure_status: int = 1) -> None:
        self.ask_password = ask_password
        self.failure_status = failure_status
        self.meanwhile: Callable[[], object] | None = None  # done once, while a reply is awaited
        self._connection: Bus | None = None
        self._replies: dict[int, Reply] = {}
        self._agent: Any = None
        self._called: dict[str, str] = {}

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def unasked(self) -> Unasked:
        """As long as it is entered nobody is asked for a password."""
        return Unasked(self)

    def close(self) -> None:
        """Leaves the bus; the service then takes over what this client did for its containers."""
        if self._agent:
            self._agent.close()
        if self._connection:
            self._connection.close()
            self._connection = None

    def manager(self, member: str, signature: str = "", *body: object) -> tuple[Any, ...]:
        return self.call(Call(ROOT, MANAGER, member, signature, *body))

    def containers(self, chosen: Mapping[str, tuple[str, object]]) -> list[dict[str, Any]]:
        """Of ListContainers, whose options `chosen` are."""
        return [unwrapped(each) for each in self.manager("ListContainers", "a{sv}t", chosen, 0)[0]]

    def properties(self, path: str) -> dict[str, Any]:
        """All properties of a container, without their types."""
        reply = self.call(Call(path, PROPERTIES, "GetAll", "s", CONTAINER))
        return unwrapped(reply[0])

    def call(self, call: Call) -> tuple[Any, ...]:
        """Sends and waits; asks for a password only if the service says that one is needed."""
        self.send(call)
        return self.result(call)

    def send(self, call: Call, *, interactive: bool = False) -> None:
        """Sends without waiting for the reply, which result() or arrived() will bring."""
        bus = self._connected()
        where = call.destination, call.path, call.interface, call.member
        try:
            call.serial = bus.send(*where, call.signature, call.body, interactive=interactive)
        except UnicodeEncodeError as error:
            raise self._failed("InvalidArgs", f"{error.object!r} is not valid UTF-8, as D-Bus demands") from None
        except ValueError as error:
            raise self._failed("InvalidArgs", str(error)) from None
        except OSError as error:
            raise self._failed("Disconnected", os.strerror(error.errno or 0)) from None

    def result(self, call: Call, *, ask: bool = True) -> tuple[Any, ...]:
        """Waits for the reply. Raises Failure. Without `ask` nobody is asked for a password."""
        try:
            return self._body(self._wait(call.serial))
        except Failure as refused:
            if refused.name != NEEDS_PASSWORD or not self.ask_password or not ask:
                raise
        self._start_agent()
        self.send(call, interactive=True)
        return self._body(self._wait(call.serial))

    def awaited(self, call: Call) -> tuple[Any, ...]:
        """The reply to a call that only waits, sent already: asked anew when the service is restarted meanwhile."""
        for _ in range(WAITS):
            try:
                return self.result(call)
            except Failure as error:
                if error.name not in RESTARTED:
                    raise
            self.send(call)
        return self.result(call)

    def arrived(self, call: Call) -> tuple[Any, ...] | None:
        """The reply if it is here already, without waiting. Raises Failure."""
        while call.serial not in self._replies:
            if not self._receive(wait=False):
                return None
        return self._body(self._replies.pop(call.serial))

    def fileno(self) -> int:
        """Readable when a reply may have come."""
        return self._connected().fileno()

    def _wait(self, serial: int) -> Reply:
        work, self.meanwhile = self.meanwhile, None
        if work:
            work()
        while serial not in self._replies:
            self._receive(wait=True)
        return self._replies.pop(serial)

    def _receive(self, *, wait: bool) -> bool:
        """Takes one reply off the bus; False if there is none and `wait` is not set."""
        try:
            reply = self._connected().receive(wait=wait)
        except OSError as error:
            raise self._failed("Disconnected", f"the system bus closed the connection ({error.strerror})") from None
        if reply is None:
            return False
        self._replies[reply.serial] = reply
        return True

    def _body(self, reply: Reply) -> tuple[Any, ...]:
        if reply.error:
            raise failure(reply.error, self._in_callers_words(reply.sentence), status=self.failure_status)
        return reply.body

    def called(self, path: str, text: str) -> None:
        """What the caller calls the object at `path`, for what the service says of it: it knows an image by an id."""
        self._called[unescape(path.rpartition("/")[2])] = text

    def _in_callers_words(self, sentence: str) -> str:
        for key, text in self._called.items():
            sentence = sentence.replace(repr(key), repr(text))
        return sentence

    def _connected(self) -> Bus:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> Bus:
        from .sdbus import Bus

        try:
            return Bus()
        except PermissionError as error:
            raise self._failed("AuthFailed", str(error.strerror)) from None
        except OSError as error:
            raise self._failed("NoServer", str(error.strerror)) from None

    def _failed(self, name: str, sentence: str) -> Failure:
        return failure(FREEDESKTOP + name, sentence, status=self.failure_status)

    def _start_agent(self) -> None:
        from .terminal import PasswordAgent

        if self._agent is None:
            self._agent = PasswordAgent.on_terminal()


def unescape(label: str) -> str:
    """What sd_bus_path_encode(3) has made one path element of, for ASCII."""
    first, *rest = label.split("_")
    return first + "".join(chr(int(part[:2], 16)) + part[2:] for part in rest if part)


def unwrapped(properties: dict[str, tuple[str, Any]]) -> dict[str, Any]:
    """An a{sv} without the signatures of its variants."""
    return {key: value for key, (_signature, value) in properties.items()}


class Unasked:
    """contextlib would take 2 ms to be imported."""

    def __init__(self, client: Client) -> None:
        self._client, self._before = client, client.ask_password

    def __enter__(self) -> None:
        self._client.ask_password = False

    def __exit__(self, *_: object) -> None:
        self._client.ask_password = self._before
