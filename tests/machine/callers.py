# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a machine (python3 THIS): several callers of the service at once, on connections of their own.

Reads a line of JSON for each turn: a list of calls, [verb, name, argument, leaves, number, milliseconds later]. Prints
one with the answers, when each was asked for and answered, and what is there when all has come to rest.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call
from jeepney.io.blocking import open_dbus_connection

if TYPE_CHECKING:
    from jeepney import Message
    from jeepney.io.blocking import DBusConnection

NAME, ROOT = "org.mctl1", "/org/mctl1"
ROOTFS, PAYLOAD = "/srv/root", ["sleep", "100000"]
SECONDS = 120.0
KILLED = 1 << 8  # of a process' signals that are pending, proc_pid_status(5)
LABEL = "number"
LIVE, AT_REST = ("running", "paused"), ("created", "exited")
LOOKED_AT = ["Name", "State", "Labels", "RestartPolicy", "MainPID"]
MANAGER = {"create": "CreateContainer", "run": "RunContainer", "wait": "WaitContainer"}
OF_ONE: dict[str, tuple[str, str, tuple[Any, ...]]] = {
    "start": ("Start", "t", (0,)),
    "stop": ("Stop", "a{sv}t", ({"TimeoutUSec": ("t", 0)}, 0)),
    "stop-gently": ("Stop", "a{sv}t", ({}, 0)),
    "restart": ("Restart", "a{sv}t", ({}, 0)),
    "kill": ("Kill", "it", (9, 0)),
    "pause": ("Freeze", "t", (0,)),
    "unpause": ("Thaw", "t", (0,)),
    "remove": ("Remove", "t", (0,)),
    "remove-force": ("Remove", "t", (1,)),
    "exec": ("Exec", "asa{sv}t", (["true"], {}, 0)),
}


def message(verb: str, name: str, argument: str, leaves: bool, number: int) -> Message:  # noqa: FBT001
    manager = DBusAddress(ROOT, NAME, "org.mctl1.Manager")
    if verb == "wait":
        return new_method_call(manager, MANAGER[verb], "s", (name,))
    if verb in MANAGER:
        options = {
            "Rootfs": ("h", os.open(ROOTFS, os.O_PATH | os.O_DIRECTORY)), "Command": ("as", PAYLOAD),
            "StopSignal": ("i", 9), "AutoRemove": ("b", leaves), "Labels": ("a{ss}", {LABEL: str(number)}),
        }  # fmt: skip
        return new_method_call(manager, MANAGER[verb], "sa{sv}t", (name, options, 0))
    one = DBusAddress(f"{ROOT}/container/{name}", NAME, "org.mctl1.Container")
    if verb == "rename":
        return new_method_call(one, "Rename", "st", (argument, 0))
    if verb == "update":
        return new_method_call(one, "Update", "a{sv}t", ({"RestartPolicy": ("s", argument)}, 0))
    return new_method_call(one, *OF_ONE[verb])


class Caller:
    """One call and its answer. `answer` is empty until there is one."""

    def __init__(self, connection: DBusConnection, words: list[Any]) -> None:
        self.verb, self.name = words[0], words[1]
        self.connection = connection
        self.later = words.pop() / 1000
        self.message = message(*words)
        self.answer, self.sentence = "", ""
        self.asked = self.answered = 0.0

    def ask(self) -> None:
        self.serial = next(self.connection.outgoing_serial)
        self.asked = time.monotonic()
        self.connection.send(self.message, serial=self.serial)
        if self.verb in ("create", "run"):
            os.close(self.message.body[1]["Rootfs"][1])

    def hear(self) -> None:
        """A message has come: the answer, or a signal."""
        found = self.connection.receive(timeout=SECONDS)
        if found.header.fields.get(HeaderFields.reply_serial) != self.serial:
            return
        self.answered = time.monotonic()
        if found.header.message_type is MessageType.error:
            self.answer = found.header.fields[HeaderFields.error_name].rpartition(".")[2]
            self.sentence = found.body[0] if found.body else ""
            return
        self.answer = " ".join(["ok", *map(str, found.body)]) if self.verb == "wait" else "ok"


class Turn:
    def __init__(self, connections: list[DBusConnection], asked: list[list[Any]]) -> None:
        self._connections = connections
        self.callers = [Caller(connections[n], words) for n, words in enumerate(asked)]

    def play(self) -> dict[str, Any]:
        for caller in self.callers:
            self._listen(until=time.monotonic() + caller.later)
            caller.ask()
        deadline = time.monotonic() + SECONDS
        while any(not c.answer and c.verb != "wait" for c in self.callers) and time.monotonic() < deadline:
            self._listen(until=time.monotonic() + 1, once=True)
        found = self._at_rest(deadline)
        told = [[c.answer, c.sentence, c.asked, c.answered] for c in self.callers]
        for number, caller in enumerate(self.callers):
            if not caller.answer:  # it waits: whoever comes next has a connection of their own
                caller.connection.close()
                self._connections[number] = bus()
        return {"told": told, "found": found}

    def _listen(self, *, until: float, once: bool = False) -> None:
        """once: it ends with the first message."""
        while True:
            waiting = [c for c in self.callers if c.asked and not c.answer]
            left = max(until - time.monotonic(), 0)
            ready, _, _ = select.select([c.connection.sock for c in waiting], [], [], left)
            for caller in waiting:
                if caller.connection.sock in ready:
                    caller.hear()
            if once or not ready:
                return

    def _at_rest(self, deadline: float) -> dict[str, list[Any]]:
        """What is listed, when no run is about to end, and none waits in vain for one that has."""
        while True:
            rows = listed(self._connections[-1])
            found = {row["Name"]: [int(row["Labels"][LABEL]), standing(row), row["RestartPolicy"]] for row in rows}
            self._listen(until=0)
            states = {name: state for name, (_, state, _) in found.items()}
            waits = [caller.name for caller in self.callers if not caller.answer]
            ending = [name for name in waits if states.get(name) not in LIVE]
            if (not ending and {*LIVE, *AT_REST}.issuperset(states.values())) or time.monotonic() > deadline:
                return found
            time.sleep(0.005)


def standing(row: dict[str, Any]) -> str:
    """The state, if the kernel says the same."""
    state, pid = row["State"], row["MainPID"]
    if state not in LIVE:
        return str(state)
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        group = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return f"{state} without a process"
    lines = dict(line.split(":", 1) for line in status.splitlines())
    if int(lines["ShdPnd"], 16) & KILLED or lines["State"].split()[0] in "ZX":
        return f"{state} and killed"
    unit = f"mctl-{row['Name']}.scope"
    return str(state) if group.strip().endswith(f"/{unit}") else f"{state} elsewhere: {group}"


def listed(connection: DBusConnection) -> list[dict[str, Any]]:
    manager = DBusAddress(ROOT, NAME, "org.mctl1.Manager")
    asked = new_method_call(manager, "ListContainers", "a{sv}t", ({"Properties": ("as", LOOKED_AT)}, 0))
    reply = connection.send_and_get_reply(asked, timeout=SECONDS)
    if reply.header.message_type is MessageType.error:
        raise RuntimeError(reply.body)
    return [{key: value for key, (_, value) in row.items()} for row in reply.body[0]]


def bus() -> DBusConnection:
    return open_dbus_connection("SYSTEM", enable_fds=True)


def main() -> None:
    connections = [bus() for _ in range(4)]
    for line in sys.stdin:
        print(json.dumps(Turn(connections, json.loads(line)).play()), flush=True)


if __name__ == "__main__":
    main()
