# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a machine: a caller that means no good, or one who wants to work beside it. Prints JSON.

python3 -c THIS flood COUNT | beside COUNT | leave ROUNDS | malformed | big MIBIBYTES | fuzz SECONDS SEED PID FURNISHED
python3 -c THIS names COUNT SEED | texts COUNT SEED
"""

from __future__ import annotations

import json
import os
import random
import struct
import sys
import time
import xml.etree.ElementTree as Xml
from typing import TYPE_CHECKING, Any

from jeepney import DBusAddress, HeaderFields, MessageFlag, MessageType, new_method_call
from jeepney.io.blocking import open_dbus_connection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jeepney import Message
    from jeepney.io.blocking import DBusConnection

NAME, ROOT = "org.mctl1", "/org/mctl1"
MANAGER = DBusAddress(ROOT, NAME, "org.mctl1.Manager")
PEER = DBusAddress(ROOT, NAME, "org.freedesktop.DBus.Peer")
AHEAD = 60  # calls that are not answered yet: not more than may be, so that all are counted
WAITING = ("Wait", "WaitContainer", "WaitReady", "Attach", "StartInUnit")
SECONDS = 60.0
NUMBERS = {"y": 8, "q": 16, "u": 32, "t": 64, "n": -15, "i": -31, "x": -63}
FORCE = 1
TURN = 100  # calls until all that they have removed is made anew
RANGES = [0x01, 0x20, 0x41, 0x61, 0x7F, 0xA0, 0x300, 0x4E00, 0x2010, 0xE000, 0x1F600, 0xFF01]
WORDS = ["", "web", "/", "..", "a" * 64, "\n", "\x1b[2J", "\u202e", "0", "root", "ALL", "no", "a=b", "{", "busybox"]


def bus() -> DBusConnection:
    return open_dbus_connection("SYSTEM", enable_fds=True)


def call(member: str = "ListContainers", signature: str = "a{sv}t", *body: object) -> Message:
    return new_method_call(MANAGER, member, signature, body or ({}, 0))


def flood(count: int) -> dict[str, int]:
    """Calls as many at a time as the socket takes."""
    connection = bus()
    answers = {"answered": 0, "refused": 0}
    sent = 0
    while sum(answers.values()) < count:
        if sent < count and sent - sum(answers.values()) < AHEAD:
            connection.send(call())
            sent += 1
            continue
        reply = connection.receive(timeout=SECONDS)
        if HeaderFields.reply_serial in reply.header.fields:
            answers["refused" if reply.header.message_type is MessageType.error else "answered"] += 1
    return answers


def beside(count: int) -> dict[str, Any]:
    """One call after the other, and how long each took."""
    connection = bus()
    times = []
    for _ in range(count):
        begin = time.monotonic()
        reply = connection.send_and_get_reply(call(), timeout=SECONDS)
        assert reply.header.message_type is MessageType.method_return, reply.body
        times.append(time.monotonic() - begin)
        time.sleep(0.01)
    times.sort()
    return {name: round(times[int(len(times) * part)] * 1000, 1) for name, part in (("p50", 0.5), ("p99", 0.99))}


def leave(rounds: int) -> dict[str, int]:
    """Asks for what needs an administrator and is gone 0 to 20 ms later, before anybody can have said yes."""
    directory = os.open("/", os.O_PATH | os.O_DIRECTORY)
    options = {"Rootfs": ("h", directory), "Command": ("as", ["true"])}
    for turn in range(rounds):
        for delay in range(21):
            connection = bus()
            message = call("RunContainer", "sa{sv}t", f"left-{turn}-{delay}", options, 0)
            if turn % 2:
                message.header.flags = MessageFlag.allow_interactive_authorization
            connection.send(message)
            time.sleep(delay / 1000)
            connection.close()
    return {"left": rounds * 21}


def ping(signature: str = "", *body: object) -> bytes:
    found: bytes = new_method_call(PEER, "Ping", signature or None, body).serialise(serial=2)
    return found


def with_byte(message: bytes, place: int, value: int) -> bytes:
    return message[:place] + bytes([value]) + message[place + 1 :]


def with_field(message: bytes, field: bytes) -> bytes:
    """One more header field, of a message without a body."""
    (length,) = struct.unpack_from("<I", message, 12)
    fields = message[16 : 16 + length]
    fields += bytes(-len(fields) % 8) + field
    return message[:12] + struct.pack("<I", len(fields)) + fields + bytes(-len(fields) % 8)


def with_body(message: bytes, old: bytes, new: bytes) -> bytes:
    assert message.endswith(old)
    return message[:4] + struct.pack("<I", len(new)) + message[8 : len(message) - len(old)] + new


def malformed() -> Iterator[tuple[str, bytes]]:
    text = b"\x01\0\0\0x\0"
    stray = struct.pack("<BB2sI", 5, 1, b"u\0", 77)  # REPLY_SERIAL
    yield "type 5", with_byte(ping(), 1, 5)
    yield "type 255", with_byte(ping(), 1, 255)
    yield "type 0", with_byte(ping(), 1, 0)
    yield "flags 0xfe", with_byte(ping(), 2, 0xFE)
    yield "version 2", with_byte(ping(), 3, 2)
    yield "no such byte order", with_byte(ping(), 0, ord("x"))
    yield "serial 0", ping()[:8] + bytes(4) + ping()[12:]
    yield "unknown header field", with_field(ping(), struct.pack("<BB2sI2s", 33, 1, b"s\0", 1, b"x\0"))
    yield "a header of 4 GiB", ping()[:12] + b"\xff" * 4 + ping()[16:]
    yield "a body that does not come", ping()[:4] + struct.pack("<I", 1 << 20) + ping()[8:]
    yield "60 variants in each other", with_body(ping("v", ("y", 5)), b"\x01y\0\x05", b"\x01v\0" * 60 + b"\x01y\0\x05")
    yield "a text without end", with_body(ping("s", "x"), text, text[:-1] + b"y")
    yield "a text that is not UTF-8", with_body(ping("s", "x"), text, b"\x01\0\0\0\xff\0")
    yield "a boolean of 2", with_body(ping("b", True), b"\x01\0\0\0", b"\x02\0\0\0")  # noqa: FBT003
    yield "an array longer than its body", with_body(ping("ay", b"x"), b"\x01\0\0\0x", b"\xff\0\0\0x")
    yield "a return that nobody waits for", with_field(with_byte(ping(), 1, 2), stray)
    yield "an error that nobody waits for", with_field(with_byte(ping(), 1, 3), stray)
    yield "a descriptor that is not there", with_field(ping(), struct.pack("<BB2sI", 9, 1, b"u\0", 1))


def send_malformed() -> list[str]:
    """Each from a connection of its own, which dbus-daemon may close; after each the service answers others."""
    sent = []
    for name, message in malformed():
        connection = bus()
        connection.sock.sendall(message)
        time.sleep(0.02)
        connection.close()
        reply = bus().send_and_get_reply(call(), timeout=SECONDS)
        assert reply.header.message_type is MessageType.method_return, (name, reply.body)
        sent.append(name)
    return sent


def big(size: int) -> list[str]:
    """What a text of so many MiB is answered by, in a name and in an option."""
    text = "x" * (size << 20)
    answers = []
    for message in (call("GetContainer", "s", text), call("ListContainers", "a{sv}t", {"Names": ("as", [text])}, 0)):
        reply = bus().send_and_get_reply(message, timeout=SECONDS)
        answers.append(reply.header.fields.get(HeaderFields.error_name, "answered"))
    return answers


class Fuzzer:
    """Any method that introspection tells of, with arguments that fit its signature and little else.

    `furnished`: of objects of every kind too, which are made anew again and again; else of the manager and of what
    there is of a container `web`.
    """

    def __init__(self, seed: int, *, furnished: bool) -> None:
        self._random = random.Random(seed)
        self._connection = bus()
        self._furnished = furnished
        self._methods = [method for path in (ROOT, f"{ROOT}/container/web") for method in self._methods_of(path)]

    def _furnish(self) -> None:
        """One of each kind of object, whatever the calls before have done to the last one; and what they all take."""
        directory = os.open("/srv/alice", os.O_PATH | os.O_DIRECTORY)
        options = {"Rootfs": ("h", directory), "Command": ("as", ["sleep", "1000"]), "StopSignal": ("i", 9)}
        web = DBusAddress(f"{ROOT}/container/web", NAME, "org.mctl1.Container")
        for message in (
            call("RunContainer", "sa{sv}t", "web", options, 0),
            new_method_call(web, "Thaw", "t", (0,)),
            new_method_call(web, "Exec", "asa{sv}t", (["sleep", "1000"], {}, 0)),
            call("CreateVolume", "sa{sv}t", "web", {}, 0),
            call("CreateNetwork", "sa{sv}t", "web", {}, 0),
        ):
            reply = self._connection.send_and_get_reply(message, timeout=SECONDS)
            close_all(reply.body)
        os.close(directory)
        found = [method for path in self._paths(ROOT) for method in self._methods_of(path)]
        everywhere = ("org.freedesktop.DBus.Peer", "org.freedesktop.DBus.Introspectable")
        self._methods = [method for method in found if method[0] == ROOT or method[1] not in everywhere]

    def _paths(self, path: str) -> Iterator[str]:
        yield path
        for node in self._introspected(path).findall("node"):
            yield from self._paths(f"{path}/{node.attrib['name']}")

    def _introspected(self, path: str) -> Xml.Element:
        about = DBusAddress(path, NAME, "org.freedesktop.DBus.Introspectable")
        reply = self._connection.send_and_get_reply(new_method_call(about, "Introspect"), timeout=SECONDS)
        gone = reply.header.message_type is MessageType.error  # what has ended leaves by itself
        return Xml.Element("node") if gone else Xml.fromstring(reply.body[0])

    def _methods_of(self, path: str) -> Iterator[tuple[str, str, str, str]]:
        for interface in self._introspected(path).iter("interface"):
            for method in interface.iter("method"):
                if method.attrib["name"] not in WAITING:
                    given = [arg.attrib["type"] for arg in method.iter("arg") if arg.get("direction") != "out"]
                    yield path, interface.attrib["name"], method.attrib["name"], "".join(given)

    def play(self, seconds: float) -> dict[str, int]:
        told = {"calls": 0, "answered": 0}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._furnished and told["calls"] % TURN == 0:
                self._furnish()
            path, interface, member, signature = self._random.choice(self._methods)
            sent = os.memfd_create("sent")
            body = tuple(self.value(kind, sent) for kind in parts(signature))
            message = new_method_call(DBusAddress(path, NAME, interface), member, signature or None, body)
            reply = self._connection.send_and_get_reply(message, timeout=SECONDS)
            os.close(sent)
            told["calls"] += 1
            if reply.header.message_type is MessageType.method_return:
                told["answered"] += 1
                close_all(reply.body)
                continue
            name, text = reply.header.fields[HeaderFields.error_name], reply.body[0]
            assert name.startswith(("org.mctl1.Error.", "org.freedesktop.DBus.Error.")), (member, name, text)
            assert "internal error" not in text, (member, body, text)
            assert text.isprintable(), (member, body, text)
        return told

    def value(self, kind: str, fd: int, depth: int = 0) -> Any:
        pick = self._random
        if kind in NUMBERS:
            bits = NUMBERS[kind]
            most = 2 ** abs(bits) - 1
            return pick.choice([0, 1, 2, most, pick.randint(0, most), -most - 1 if bits < 0 else 3])
        match kind[0]:
            case "s" | "g" | "o":
                fixed = {"g": "s", "o": ROOT}
                return fixed.get(kind) or pick.choice([*WORDS, "".join(pick.choices("abc-\u00e9\u4e2d/:=", k=9))])
            case "b":
                return pick.random() < 0.5
            case "d":
                return pick.random()
            case "h":
                return fd
            case "v":
                inner = pick.choice(["s", "t", "b", "as", "h", *(["a{sv}", "v"] if depth < 2 else [])])
                return inner, self.value(inner, fd, depth + 1)
            case "(":
                return tuple(self.value(part, fd, depth) for part in parts(kind[1:-1]))
        if kind[1] == "{":
            key, value = parts(kind[2:-1])
            return {self.value(key, fd, depth): self.value(value, fd, depth) for _ in range(pick.randrange(3))}
        if kind == "ay":
            return pick.randbytes(pick.randrange(20))
        return [self.value(kind[1:], fd, depth) for _ in range(pick.randrange(4))]


def fuzz(seconds: int, seed: int, pid: int, furnished: int) -> dict[str, int]:
    """After a fifth of the time all is loaded that ever will be: then the memory of the process `pid` is looked at."""
    fuzzer = Fuzzer(seed, furnished=bool(furnished))
    fuzzer.play(seconds / 5)
    before = memory(pid)
    return {**fuzzer.play(seconds), "grown": memory(pid) - before}


def arbitrary(pick: random.Random) -> str:
    """Names, what is nearly one, what units and paths are called, and any characters but those that D-Bus refuses."""
    name = "".join(pick.choices("abcxyz0123456789-", k=pick.choice([1, 2, 8, 62, 63, 64, 255])))
    anything = "".join(map(chr, (pick.choice(RANGES) + pick.randrange(48) for _ in range(pick.randrange(1, 80)))))
    place = pick.randrange(len(name))
    nearly = name[:place] + pick.choice(anything + "/%@.:_ \\\n") + name[place + 1 :]
    odd = pick.choice(["..", "init.scope", "-.scope", "\\x2d", "a@b", "a.scope", "%n", "../../a", "a\n[Service]"])
    return pick.choice([name, nearly, nearly, odd, anything])


def names(count: int, seed: int) -> dict[str, Any]:
    """Containers by arbitrary names, each run and removed: which were taken, and the errors of the others."""
    return _tried(count, seed, lambda text, _: (text, {}))


def texts(count: int, seed: int) -> dict[str, Any]:
    """The same with a good name, and arbitrary texts for its options."""

    def asked(text: str, pick: random.Random) -> tuple[str, dict[str, Any]]:
        options: list[dict[str, Any]] = [
            {"Command": ("as", ["/bin/true", text])}, {"Environment": ("as", [text])}, {"Hostname": ("s", text)},
            {"Labels": ("a{ss}", {text: text})}, {"WorkingDirectory": ("s", text)}, {"User": ("s", text)},
        ]  # fmt: skip
        return f"n{pick.randrange(10**9)}", pick.choice(options)

    return _tried(count, seed, asked)


def _tried(count: int, seed: int, asked: Any) -> dict[str, Any]:
    connection, pick = bus(), random.Random(seed)
    directory = os.open("/srv/root", os.O_PATH | os.O_DIRECTORY)
    told: dict[str, Any] = {"taken": [], "errors": {}}
    for _ in range(count):
        name, more = asked(arbitrary(pick), pick)
        options = {"Rootfs": ("h", directory), "Command": ("as", ["/bin/true"]), "Networks": ("as", []), **more}
        reply = connection.send_and_get_reply(call("RunContainer", "sa{sv}t", name, options, 0), timeout=SECONDS)
        if reply.header.message_type is MessageType.error:
            error = reply.header.fields[HeaderFields.error_name]
            assert reply.body[0].isprintable(), reply.body
            told["errors"][error] = told["errors"].get(error, 0) + 1
            known = call("GetContainer", "s", name)
            assert connection.send_and_get_reply(known).header.message_type is MessageType.error, name
            continue
        told["taken"].append(name)
        container = DBusAddress(reply.body[0], NAME, "org.mctl1.Container")
        gone = connection.send_and_get_reply(new_method_call(container, "Remove", "t", (FORCE,)), timeout=SECONDS)
        assert gone.header.message_type is MessageType.method_return, gone.body
    return told


def memory(pid: int) -> int:
    """KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def parts(signature: str) -> list[str]:
    """The single complete types of it."""
    found = []
    while signature:
        end = first(signature)
        found.append(signature[:end])
        signature = signature[end:]
    return found


def first(signature: str) -> int:
    if signature[0] == "a":
        return 1 + first(signature[1:])
    depth = 0
    for place, letter in enumerate(signature):
        depth += (letter in "({") - (letter in ")}")
        if not depth:
            return place + 1
    raise ValueError(signature)


def close_all(body: Any) -> None:
    if hasattr(body, "close"):
        body.close()
    elif isinstance(body, list | tuple | dict):
        for item in body.values() if isinstance(body, dict) else body:
            close_all(item)


def main() -> None:
    what, *numbers = sys.argv[1:]
    acts: dict[str, Any] = {"flood": flood, "beside": beside, "leave": leave, "malformed": send_malformed, "big": big}
    acts |= {"fuzz": fuzz, "names": names, "texts": texts}
    print(json.dumps(acts[what](*map(int, numbers))))


if __name__ == "__main__":
    main()
