# SPDX-License-Identifier: GPL-3.0-or-later
"""One road for every call: member, object, authority, the object again, handler, reply, descriptors closed.

Nothing is sent to a client but a typed reply or one sentence; what went wrong inside goes to the log with an id.
"""

from __future__ import annotations

import asyncio
import errno
import inspect
import logging
import os
import secrets
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from .. import disk
from ..errors import AccessDenied, Cancelled, InvalidArgs, LimitsExceeded, MctlError, StoreFailed, UnknownObject
from .bounds import Bounds
from .codec import ALLOW_INTERACTIVE_AUTHORIZATION, NO_REPLY_EXPECTED, TooLong, Unmarshallable
from .decoding import Decoding
from .descriptors import Descriptors
from .question import CHANGING, Call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from .authority import Authority
    from .backlog import Backlog
    from .bounds import Rate
    from .codec import Header, Message
    from .connection import Connection
    from .contract import Method
    from .objects import Objects
    from .peers import Credentials
    from .question import Question
    from .target import Target
    from .turns import Turns

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
_NO_THREAD = "can't start new thread"  # Python has no class for it
_GIVEN_UP = "the service is stopping, or the call was given up"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Served:
    """A call in flight. What changes nothing, or is not authorized yet, ends when its caller leaves the bus."""

    sender: str
    abandonable: bool = True


@dataclass(frozen=True, slots=True)
class _Reply:
    signature: str
    body: Sequence[object]
    fds: Descriptors


class Dispatcher:
    def __init__(
        self,
        connection: Connection,
        objects: Objects,
        authority: Authority,
        identify: Callable[[str], Awaitable[Credentials]],
        backlog: Backlog,
        rate: Rate,
        turns: Turns,
    ) -> None:
        self._rate = rate
        self._turns = turns
        self._connection = connection
        self._objects = objects
        self._authority = authority
        self._identify = identify
        self._backlog = backlog
        self._bounds = Bounds()
        self._decoding = Decoding()
        self._served: dict[asyncio.Task[None], _Served] = {}
        self._closing = False
        connection.on_peer_gone(self._on_peer_gone)

    def __call__(self, message: Message) -> None:
        """Takes over the message. What is too much is refused here: whoever comes after a flood waits for that."""
        try:
            self._bounds.admit(message.header.sender, message.frame.size)
        except LimitsExceeded as error:
            message.fds.close()
            self._refuse(message.header, error)
            return
        task = asyncio.create_task(self._serve(message))
        self._served[task] = _Served(message.header.sender)
        task.add_done_callback(lambda done: self._served_to_the_end(message, done))

    async def close(self, grace: float) -> None:
        """What changes something may end within `grace` seconds; the rest, and later calls, are answered Cancelled."""
        self._closing = True
        for task, served in self._served.items():
            if served.abandonable:
                task.cancel()
        if self._served:
            _, late = await asyncio.wait(list(self._served), timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._decoding.close()

    def _served_to_the_end(self, message: Message, task: asyncio.Task[None]) -> None:
        del self._served[task]
        self._bounds.leave(message.header.sender, message.frame.size)
        message.fds.close()
        if task.cancelled():  # before its first step: _serve answers all else
            self._refuse(message.header, Cancelled(_GIVEN_UP))

    def _on_peer_gone(self, sender: str) -> None:
        for task, served in self._served.items():
            if served.sender == sender and served.abandonable:
                task.cancel()

    async def _serve(self, message: Message) -> None:
        header = message.header
        try:
            self._reply(header, await self._answer(message))
        except MctlError as error:
            self._refuse(header, error)
        except asyncio.CancelledError:  # the task ends here anyway; without an answer the caller would wait
            self._refuse(header, Cancelled(_GIVEN_UP))
        except Exception as error:
            self._refuse(header, _failure(header, error))

    async def _answer(self, message: Message) -> _Reply:
        if self._closing:
            raise Cancelled(_GIVEN_UP)
        header = message.header
        target = self._objects.find(header.path)
        method = target.method(header.interface, header.member)
        _check_signature(message, method)
        caller = await self._identify(header.sender)
        await self._turns.take(caller.uid)
        self._rate.take(caller.uid, message.frame.size)
        args = await self._decoding.body(message, caller.uid)
        check = partial(self._backlog.check, header.sender, caller.uid)
        await check()
        interactive = bool(header.flags & ALLOW_INTERACTIVE_AUTHORIZATION)
        call = Call(header.sender, caller.uid, caller.groups, interactive, message.fds, caller.pid, check)
        question = target.question(call, method, args)
        if inspect.isawaitable(question):
            question = await question
            await self._turns.take(caller.uid)
        await self._authority.check(call, question)
        await check()  # others of the same user's may have been answered while polkit was asked
        if question.again() != question.subject:
            raise UnknownObject(f"{question.container or target.path} is not what it was when you asked: ask again")
        try:
            return await self._perform(target, method, call, question)
        except AccessDenied as error:  # what no action allows, as entering a container with the host's ids
            self._authority.note_refusal(call, question, str(error))
            raise

    async def _perform(self, target: Target, method: Method, call: Call, question: Question) -> _Reply:
        task = asyncio.current_task()
        if task in self._served and CHANGING.intersection(question.actions) and not question.ends_with_caller:
            self._served[task].abandonable = False
        result = getattr(target, method.handler)(call, *question.args)
        if inspect.isawaitable(result):
            result = await result
        return _typed(method, result)

    def _reply(self, call: Header, reply: _Reply) -> None:
        if call.flags & NO_REPLY_EXPECTED:
            reply.fds.close()
            return
        try:
            self._connection.reply(call, reply.signature, reply.body, reply.fds.take_all())
        except TooLong as error:
            raise LimitsExceeded(f"the answer is too long for the bus, ask for less: {error}") from error

    def _refuse(self, call: Header, error: MctlError) -> None:
        if not call.flags & NO_REPLY_EXPECTED and not self._backlog.is_hopeless(call.sender):
            self._connection.error(call, error.bus_name, str(error))


def _check_signature(message: Message, method: Method) -> None:
    """Only a body of the declared signature is ever decoded."""
    header = message.header
    if header.signature != method.signature:
        raise InvalidArgs(f"{method} takes the signature {method.signature!r}, but {header.signature!r} was given")
    if message.fds_lost:
        raise LimitsExceeded("the file descriptors of the call were lost: the service has too many open")


def _typed(method: Method, result: object) -> _Reply:
    """Descriptors that a handler returns travel with the reply and are closed then."""
    outputs = method.outputs
    values = [result] if len(outputs) == 1 else list(result) if isinstance(result, tuple) else []
    if len(values) != len(outputs):
        raise Unmarshallable(f"the handler of {method} returned {type(result).__name__}")
    fds = Descriptors()
    body: list[object] = []
    for output, value in zip(outputs, values, strict=True):
        match output.type, value:
            case "h", int(fd):
                body.append(len(fds))
                fds.add(fd)
            case "ah", list(several):
                body.append(list(range(len(fds), len(fds) + len(several))))
                for fd in several:
                    fds.add(fd)
            case _:
                body.append(value)
    return _Reply("".join(o.type for o in outputs), body, fds)


def _failure(header: Header, error: Exception) -> MctlError:
    """What the caller is told of a failure that nobody has put into words; the log gets the whole of it."""
    if missing := _missing(error):
        log.warning("%s of %s: %s", header.member, header.sender, missing)
        return LimitsExceeded(f"the service has run out of what this call needs: {missing}; try again later")
    if isinstance(error, OSError) and error.filename and error.errno in disk.OF_A_DISK:
        log.warning("%s of %s: %s", header.member, header.sender, error)
        return StoreFailed(f"the service could not do this: {disk.told_of_file(error)}")
    incident = secrets.token_hex(4)
    log.error("internal error %s: %s of %s", incident, header.member, header.sender, exc_info=error)
    return MctlError(f"internal error {incident}: the service's log tells more")


def _missing(error: Exception) -> str:
    """What the service has too little of; empty where that is not why."""
    match error:
        case OSError(errno=number) if number in _EXHAUSTED:
            return error.strerror or str(error)
        case MemoryError():
            return os.strerror(errno.ENOMEM)
        case RuntimeError() if str(error) == _NO_THREAD:
            return "no thread can be started"
    return ""
