# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions of the lifecycle that need no container to be seen."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

import pytest

from mctld.lifecycle.epilogue import Epilogue
from mctld.lifecycle.events import Exit
from mctld.lifecycle.logs import EventQuery, LogQuery, arguments, event_arguments, labels
from mctld.lifecycle.relay import Relay
from mctld.lifecycle.stream import JournalStream
from mctld.lifecycle.supervise import describe, judge
from mctld.lifecycle.tasks import Tasks
from mctld.lifecycle.watcher import Watcher, watcher_pair
from mctld.runtime.launch import Status
from mctld.state import State
from unit.reading import reading

EXITED = "5cf9f2a3c8a64fd1a2a0ee34ba8aa9b1"


@pytest.mark.parametrize(
    ("status", "kills", "end"),
    [
        (Status(1, os.CLD_EXITED, 7), 0, Exit("exited", 7)),
        (Status(1, os.CLD_KILLED, signal.SIGTERM), 0, Exit("killed", 15)),
        (Status(1, os.CLD_DUMPED, signal.SIGSEGV), 3, Exit("killed", 11)),
        (Status(1, os.CLD_KILLED, signal.SIGKILL), 0, Exit("killed", 9)),
        (Status(1, os.CLD_KILLED, signal.SIGKILL), 1, Exit("oom", 9)),
        (Status(1, os.CLD_EXITED, 0), 1, Exit("exited", 0)),  # it was a child that ran out of memory
        (Status(), 0, Exit("unknown")),
        (Status(1), 0, Exit("unknown")),
    ],
)
def test_an_end_is_judged(status: Status, kills: int, end: Exit) -> None:
    assert judge(status, oom_kills=kills) == end


def test_an_end_is_told_in_words() -> None:
    assert describe(Exit("killed", 15)) == "was killed by signal 15 (SIGTERM)"
    assert describe(Exit("killed", 40)) == "was killed by signal 40 (SIG40)"
    assert "memory" in describe(Exit("oom", 9))


def test_states_know_what_they_allow() -> None:
    assert [s for s in State if s.can_start] == [State.CREATED, State.EXITED, State.RESTARTING]
    assert [s for s in State if s.can_remove] == [
        State.CREATED, State.EXITED, State.RESTARTING, State.UNREADABLE,
    ]  # fmt: skip
    assert [s for s in State if s.can_be_signalled] == [State.RUNNING, State.PAUSED, State.STOPPING]


def test_a_log_is_asked_for_by_id_and_in_time() -> None:
    found = arguments(LogQuery(follow=True, since_usec=1_000_001), "abc")
    assert found[-1] == "CONTAINER_ID=abc"
    assert {"--follow", "--lines=all", "--since=@1.000001"} <= set(found)
    assert "--lines=3" in arguments(LogQuery(follow=True, lines=3), "abc")
    more = arguments(LogQuery(priority=5, after_cursor="s=1;i=2", fields=("MESSAGE", "_PID"), broken=True), "abc")
    assert {"--priority=5", "--after-cursor=s=1;i=2", "--output-fields=MESSAGE,_PID"} <= set(more)
    assert "_LINE_BREAK=line-max" in more


def test_labels_that_were_chosen_are_fields() -> None:
    given = (("team", "red"), ("a.b/c", "ü"), ("secret", "x"), ("mctl.log-labels", "team, a.b/c,absent"))
    assert labels(given) == {"CONTAINER_LABEL_TEAM": "red", "CONTAINER_LABEL_A_B_C": "ü"}
    assert labels((("team", "red"),)) == {}


def test_events_are_asked_for_as_those_of_the_service_alone() -> None:
    found = event_arguments(EventQuery(LogQuery(lines=0, follow=True, output="json"), 1000, ("a", "b")))
    matches = [word for word in found if not word.startswith("-")][1:]
    assert matches[0] == "_SYSTEMD_UNIT=mctld.service"
    assert matches[-3:] == ["MCTL_CONTAINER_NAME=a", "MCTL_CONTAINER_NAME=b", "MCTL_OWNER_UID=1000"]
    assert {f"MESSAGE_ID={EXITED}", "--lines=0", "--follow", "--output=json"} <= set(found)
    everybody = event_arguments(EventQuery(LogQuery()))
    assert not [word for word in everybody if word.startswith(("MCTL_OWNER_UID", "MCTL_CONTAINER_NAME"))]


def relayed(data: bytes, *, watch: bool) -> tuple[bytes, bytes]:
    """What a watcher and the journal get of `data`."""

    async def run() -> tuple[bytes, bytes]:
        source, written = os.pipe()
        watcher, watching = watcher_pair()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        async with reading() as crew:
            held = crew.hold(source, "a pipe")
            once = JournalStream(ours.dup, lambda: Epilogue({}), ours)
            ourselves = (os.getpid(), os.getuid(), os.getgid())
            relay = Relay("stdout", held, Watcher(watcher.detach()), once, ourselves)
            if not watch:
                watching.close()
            task = asyncio.ensure_future(relay.run())
            wrote = asyncio.ensure_future(asyncio.to_thread(_write, written, data))
            seen = asyncio.ensure_future(asyncio.to_thread(_read, watching.detach())) if watch else None
            journal = await asyncio.to_thread(_read, theirs.detach())
            await asyncio.gather(task, wrote)
            return (await seen if seen else b""), journal

    return asyncio.run(asyncio.wait_for(run(), 60))


def _write(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _read(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def test_both_get_every_byte() -> None:
    data = bytes(range(256)) * 20_000
    assert relayed(data, watch=True) == (data, data)


def test_the_journal_goes_on_when_the_watcher_leaves() -> None:
    data = os.urandom(1 << 20)
    assert relayed(data, watch=False) == (b"", data)


def test_a_task_that_fails_is_loud(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("on purpose")

    async def run() -> None:
        tasks = Tasks()
        tasks.start(fail(), "the work")
        await tasks.finish(1)
        await asyncio.sleep(0)

    asyncio.run(run())
    assert "the work failed" in caplog.text
