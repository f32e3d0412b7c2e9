# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversation with org.mctl1 on the system bus. No other module knows D-Bus messages."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .failures import FREEDESKTOP, NEEDS_PASSWORD, Failure, failure

if TYPE_CHECKING:
    from jeepney.io.blocking import DBusConnection

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

    def __init__(self, *, ask_password: bool, descriptors: bool = False, failure_status: int = 1) -> None:
        self._ask_password = ask_password
        self._descriptors = descriptors
        self.failure_status = failure_status
        self._connection: DBusConnection | None = None
        self._replies: dict[int, Any] = {}
        self._agent: Any = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Leaves the bus; the service then takes over what this client did for its containers."""
        if self._agent:
            self._agent.close()
        if self._connection:
            self._connection.close()
            self._connection = None

    def manager(self, member: str, signature: str = "", *body: object) -> tuple[Any, ...]:
        return self.call(Call(ROOT, MANAGER, member, signature, *body))

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
        from jeepney import DBusAddress, MessageFlag, new_method_call

        connection = self._connected()
        message = new_method_call(
            DBusAddress(call.path, call.destination, call.interface), call.member, call.signature or None, call.body
        )
        if interactive:
            message.header.flags = MessageFlag.allow_interactive_authorization
        call.serial = next(connection.outgoing_serial)
        try:
            connection.send(message, serial=call.serial)
        except UnicodeEncodeError as error:
            raise self._failed("InvalidArgs", f"{error.object!r} is not valid UTF-8, as D-Bus demands") from None
        except OSError as error:
            raise self._failed("Disconnected", os.strerror(error.errno or 0)) from None

    def result(self, call: Call) -> tuple[Any, ...]:
        """Waits for the reply. Raises Failure."""
        try:
            return self._body(self._wait(call.serial))
        except Failure as refused:
            if refused.name != NEEDS_PASSWORD or not self._ask_password:
                raise
        self._start_agent()
        self.send(call, interactive=True)
        return self._body(self._wait(call.serial))

    def arrived(self, call: Call) -> tuple[Any, ...] | None:
        """The reply if it is here already, without waiting. Raises Failure."""
        while call.serial not in self._replies:
            if not self._receive(timeout=0):
                return None
        return self._body(self._replies.pop(call.serial))

    def fileno(self) -> int:
        """Readable when a reply may have come."""
        fd: int = self._connected().sock.fileno()
        return fd

    def _wait(self, serial: int) -> Any:
        while serial not in self._replies:
            self._receive(timeout=None)
        return self._replies.pop(serial)

    def _receive(self, *, timeout: float | None) -> bool:
        """Takes one message off the bus; False if none came in time."""
        from jeepney import HeaderFields

        try:
            message = self._connected().receive(timeout=timeout)
        except TimeoutError:
            return False
        except OSError as error:
            raise self._failed("Disconnected", f"the system bus closed the connection ({error.strerror})") from None
        answered = message.header.fields.get(HeaderFields.reply_serial)
        if answered is not None:  # signals, such as NameAcquired, are not for us
            self._replies[answered] = message
        return True

    def _body(self, message: Any) -> tuple[Any, ...]:
        from jeepney import HeaderFields, MessageType

        body: tuple[Any, ...] = message.body
        if message.header.message_type is not MessageType.error:
            return body
        name = message.header.fields.get(HeaderFields.error_name, "")
        sentence = body[0] if body and isinstance(body[0], str) else ""
        raise failure(name, sentence, status=self.failure_status)

    def _connected(self) -> DBusConnection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> DBusConnection:
        from jeepney.io.blocking import open_dbus_connection

        try:
            return open_dbus_connection("SYSTEM", enable_fds=self._descriptors, auth_timeout=25.0)
        except (OSError, RuntimeError) as error:  # RuntimeError: an address that is no Unix socket
            raise self._failed("NoServer", str(error)) from None
        except ValueError as error:  # jeepney's AuthenticationError, or an address that is none
            raise self._failed("AuthFailed", str(error)) from None

    def _failed(self, name: str, sentence: str) -> Failure:
        return failure(FREEDESKTOP + name, sentence, status=self.failure_status)

    def _start_agent(self) -> None:
        from .terminal import PasswordAgent

        if self._agent is None:
            self._agent = PasswordAgent.on_terminal()


def unwrapped(properties: dict[str, tuple[str, Any]]) -> dict[str, Any]:
    """An a{sv} without the signatures of its variants."""
    return {key: value for key, (_signature, value) in properties.items()}
