# SPDX-License-Identifier: GPL-3.0-or-later
"""An org.mctl1 that answers as the contract says and runs plain processes of this user in place of containers."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

from jeepney import HeaderFields, MessageFlag, MessageType, new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection

from mctl import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from jeepney import Message

INFINITY = 2**64 - 1
NAME_FLAGS = 4  # DBUS_NAME_FLAG_DO_NOT_QUEUE
SIGNATURES = {
    "Can": "as",
    "Check": "",
    "Get": "ss",
    "CreateContainer": "sa{sv}t",
    "RunContainer": "sa{sv}t",
    "GetContainer": "s",
    "GetImage": "s",
    "GetVolume": "s",
    "GetDiskUsage": "t",
    "Tag": "st",
    "ListContainers": "a{sv}t",
    "GetStats": "a{sv}t",
    "WaitContainer": "s",
    "Start": "t",
    "StartAttached": "a{sv}t",
    "Attach": "t",
    "Stop": "a{sv}t",
    "Restart": "a{sv}t",
    "Kill": "it",
    "Remove": "t",
    "Freeze": "t",
    "Thaw": "t",
    "Enable": "t",
    "Disable": "t",
    "Update": "a{sv}t",
    "OpenEvents": "a{sv}t",
    "OpenLog": "a{sv}t",
    "FollowLog": "a{sv}t",
    "Exec": "asa{sv}t",
    "Wait": "",
    "GetAll": "s",
}


def escaped(name: str) -> str:
    """As sd_bus_path_encode(3), for valid names only."""
    first = f"_{ord(name[0]):02x}" if name[0].isdigit() else name[0]
    return first + name[1:].replace("-", "_2d")


class Refused(Exception):
    """Becomes a D-Bus error."""

    def __init__(self, name: str, sentence: str = "refused") -> None:
        super().__init__(sentence)
        self.name = name
        self.sentence = sentence


class Container:
    """A process with the properties of org.mctl1.Container."""

    def __init__(self, name: str, identity: str, **properties: tuple[str, Any]) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.ended: tuple[str, int] | None = None
        self.properties: dict[str, tuple[str, Any]] = {
            "Name": ("s", name),
            "Id": ("s", identity),
            "OwnerUID": ("u", os.getuid()),
            "State": ("s", "created"),
            "Rootfs": ("s", "/srv/root"),
            "Command": ("as", ["/bin/sh"]),
            "Environment": ("as", []),
            "WorkingDirectory": ("s", "/"),
            "Hostname": ("s", name),
            "User": ("s", "0:0"),
            "Labels": ("a{ss}", {}),
            "AutoRemove": ("b", False),
            "Terminal": ("b", False),
            "StopSignal": ("i", 15),
            "TimeoutStopUSec": ("t", 10_000_000),
            "MemoryMax": ("t", INFINITY),
            "MemorySwapMax": ("t", INFINITY),
            "CPUQuotaPerSecUSec": ("t", INFINITY),
            "CPUWeight": ("t", INFINITY),
            "TasksMax": ("t", 2048),
            "UIDShift": ("u", 524288),
            "Unit": ("s", f"mctl-{name}.scope"),
            "Slice": ("s", "mctl-u0.slice"),
            "ControlGroup": ("s", ""),
            "MainPID": ("u", 0),
            "CreateTimestamp": ("t", 1_700_000_000_000_000),
            "StartTimestamp": ("t", 0),
            "StartTimestampMonotonic": ("t", 0),
            "ExitTimestamp": ("t", 0),
            "ExitTimestampMonotonic": ("t", 0),
            "ExitHow": ("s", ""),
            "ExitStatus": ("i", 0),
        } | properties

    @property
    def path(self) -> str:
        return f"/org/mctl1/container/{escaped(self.properties['Name'][1])}"


class FakeService:
    """Serves one bus connection from a thread; remembers each call as (path, member, body, flags)."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._connection = open_dbus_connection(address, enable_fds=True)
        self._lock = threading.Lock()
        self._stopping = False
        self.containers: dict[str, Container] = {}
        self.calls: list[tuple[str, str, tuple[Any, ...], int]] = []
        self.errors: dict[str, list[Refused]] = {}  # member -> errors to answer with first
        self.meanwhile: dict[str, Callable[[], object]] = {}  # member -> what happens before the next call of it
        self.wrong: list[str] = []  # what a real service would have refused
        self.log = b""
        self.others: dict[str, dict[str, tuple[str, Any]]] = {}  # properties of what is no container, by path
        self.stats: list[list[dict[str, tuple[str, Any]]]] = [[]]
        self.version = VERSION
        self.answers: dict[str, tuple[str, str, str]] = {}  # by method; yes to all others
        self.findings: list[dict[str, tuple[str, str]]] = []
        self.late = 0.0  # seconds by which output follows
        self.warnings: list[str] = []
        self._to_close: list[int] = []
        self._waiting: list[threading.Thread] = []
        self._connection.send_and_get_reply(message_bus.RequestName("org.mctl1", NAME_FLAGS))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._thread.join()
        for container in self.containers.values():
            if container.process and container.process.poll() is None:
                os.killpg(container.process.pid, signal.SIGKILL)
        for thread in self._waiting:
            thread.join()
        for container in self.containers.values():
            if container.process:
                container.process.communicate()
        self._connection.close()
        for fd in self._to_close:
            os.close(fd)

    def add(self, name: str, identity: str = "", **properties: tuple[str, Any]) -> Container:
        """`identity` is filled up to 32 digits."""
        digits = identity or f"{len(self.containers) + 0xABC0:x}"
        container = Container(name, digits.ljust(32, "0"), **properties)
        self.containers[container.path] = container
        return container

    def _serve(self) -> None:
        while not self._stopping:
            try:
                message = self._connection.receive(timeout=0.02)
            except TimeoutError:
                continue
            if message.header.message_type is MessageType.method_call:
                self._answer(message)

    def _answer(self, message: Message) -> None:
        fields = message.header.fields
        member = fields[HeaderFields.member]
        self.calls.append((fields[HeaderFields.path], member, message.body, int(message.header.flags)))
        if fields.get(HeaderFields.signature, "") != SIGNATURES[member]:
            self.wrong.append(f"{member} came with signature {fields.get(HeaderFields.signature)}")
        handler: Callable[[Message], tuple[str, tuple[Any, ...]] | None] = getattr(self, member)
        try:
            self.meanwhile.pop(member, lambda: None)()
            waiting = self.errors.get(member)
            if waiting:
                raise waiting.pop(0)
            reply = handler(message)
        except Refused as error:
            self.send(new_error(message, error.name, "s", (error.sentence,)))
            return
        if reply is not None:
            self.send(new_method_return(message, *reply))

    def send(self, message: Message) -> None:
        with self._lock:
            self._connection.send(message)

    def _target(self, message: Message) -> Container:
        path = message.header.fields[HeaderFields.path]
        if path not in self.containers:
            raise Refused("org.freedesktop.DBus.Error.UnknownObject", f"no object {path}")
        return self.containers[path]

    def _find(self, text: str) -> Container:
        for container in self.containers.values():
            if text == container.properties["Name"][1]:
                return container
        for container in self.containers.values():
            if container.properties["Id"][1].startswith(text):
                return container
        raise Refused("org.mctl1.Error.NoSuchContainer", f"no container {text}")

    def CreateContainer(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        name, options, _flags = message.body
        options["Rootfs"][1].close()
        container = self.add(name or "chosen", Command=options["Command"])
        return "os", (container.path, container.properties["Id"][1])

    def Exec(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        """A process of its own, as one more container at another path."""
        self._target(message)
        command, options, flags = message.body
        path = f"/org/mctl1/exec/e{len(self.containers)}"
        made = self.containers[path] = Container("exec", path)
        self._start(made, command, options, attached=bool(flags))
        return "oah", (path, self._streams(made) if flags else [])

    def StartAttached(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        container = self._target(message)
        if container.properties["State"][1] == "running":
            raise Refused("org.mctl1.Error.AlreadyRunning", "it is running already")
        self._start(container, container.properties["Command"][1], message.body[0], attached=True)
        return "ah", (self._streams(container),)

    def Attach(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        container = self._target(message)
        self._start(container, container.properties["Command"][1], {}, attached=True)
        return "ah", (self._streams(container),)

    def Wait(self, message: Message) -> None:
        self._wait_for(self._target(message), message)

    def RunContainer(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        name, options, flags = message.body
        options["Rootfs"][1].close()
        container = self.add(name or "chosen", Command=options["Command"])
        self._start(container, options["Command"][1], options, attached=bool(flags))
        identity = container.properties["Id"][1]
        if not flags:
            return "osahas", (container.path, identity, [], self.warnings)
        return "osahas", (container.path, identity, self._streams(container), self.warnings)

    def _start(
        self, container: Container, command: list[str], options: dict[str, tuple[str, Any]], *, attached: bool
    ) -> None:
        given = options["Stdin"][1] if "Stdin" in options else None
        container.process = subprocess.Popen(
            command,
            stdin=given.fileno() if given else subprocess.DEVNULL,
            stdout=subprocess.PIPE if attached else subprocess.DEVNULL,
            stderr=subprocess.PIPE if attached else subprocess.DEVNULL,
            start_new_session=True,
        )
        if given:
            given.close()

    def _streams(self, container: Container) -> list[int]:
        if container.process is None or container.process.stdout is None or container.process.stderr is None:
            raise AssertionError("the process was started without pipes")
        sources = [container.process.stdout.fileno(), container.process.stderr.fileno()]
        return [self._late(source) for source in sources] if self.late else sources

    def _late(self, source: int) -> int:
        """The reading end of a pipe that brings what comes from `source` after the end has been told."""
        reading, writing = os.pipe()
        self._to_close.append(reading)

        def carry() -> None:
            while data := os.read(source, 65536):
                time.sleep(self.late)
                os.write(writing, data)
            os.close(writing)

        self._waiting.append(threading.Thread(target=carry))
        self._waiting[-1].start()
        return reading

    def WaitContainer(self, message: Message) -> None:
        self._wait_for(self._find(message.body[0]), message)

    def _wait_for(self, container: Container, message: Message) -> None:
        self._waiting.append(threading.Thread(target=self._wait, args=(container, message)))
        self._waiting[-1].start()

    def _wait(self, container: Container, message: Message) -> None:
        if container.process is None:
            raise AssertionError("nothing runs")
        status = container.process.wait()
        ended = container.ended or (("killed", -status) if status < 0 else ("exited", status))
        self.send(new_method_return(message, "si", ended))

    def Can(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        allowed = ("yes", "org.mctl1.manage-own", "polkit allows it")
        return "a{s(sss)}", ({method: self.answers.get(method, allowed) for method in message.body[0]},)

    def Check(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        del message
        return "aa{sv}", (self.findings,)

    def Get(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        if message.body == ("org.mctl1.Manager", "Version"):
            return "v", (("s", self.version),)
        interface, name = message.body
        assert interface == "org.mctl1.Container"
        return "v", (self._target(message).properties[name],)

    def GetContainer(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        return "o", (self._find(message.body[0]).path,)

    def GetImage(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        del message
        return "o", ("/org/mctl1/image/_31ab_2dc",)

    def GetVolume(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        path = f"/org/mctl1/volume/{message.body[0]}"
        if path not in self.others:
            raise Refused("org.mctl1.Error.NoSuchVolume", f"there is no volume {message.body[0]!r}")
        return "o", (path,)

    def GetDiskUsage(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        del message
        ids = [container.properties["Id"] for container in self.containers.values()]
        return "aa{sv}", ([{"Kind": ("s", "container"), "Id": identity, "Size": ("t", 2048)} for identity in ids],)

    def Tag(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        del message
        return "", ()

    def ListContainers(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        chosen = message.body[0]
        states = chosen["States"][1] if "States" in chosen else None
        found = [c.properties for c in self.containers.values() if not states or c.properties["State"][1] in states]
        return "aa{sv}", (found,)

    def GetStats(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        """The next of what is prepared, and the last one again and again."""
        return "aa{sv}", (self.stats.pop(0) if len(self.stats) > 1 else self.stats[0],)

    def GetAll(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        path = message.header.fields[HeaderFields.path]
        return "a{sv}", (self.others[path] if path in self.others else self._target(message).properties,)

    def Start(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        self._target(message)
        return "", ()

    Stop = Restart = Remove = Freeze = Thaw = Enable = Disable = Update = Start

    def Kill(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        container = self._target(message)
        if container.process:
            container.process.send_signal(message.body[0])
        return "", ()

    def OpenEvents(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        del message
        return self._pipe(self.log)

    def FollowLog(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        self._target(message)
        return "hh", (*self._pipe(self.log)[1], *self._pipe(b"s=last\n")[1])

    def OpenLog(self, message: Message) -> tuple[str, tuple[Any, ...]]:
        self._target(message)
        return self._pipe(b"" if "Broken" in message.body[0] else self.log)

    def _pipe(self, text: bytes) -> tuple[str, tuple[Any, ...]]:
        reading, writing = os.pipe()
        os.write(writing, text)
        os.close(writing)
        self._to_close.append(reading)
        return "h", (reading,)


def is_interactive(flags: int) -> bool:
    return bool(flags & MessageFlag.allow_interactive_authorization)
