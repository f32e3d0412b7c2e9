# SPDX-License-Identifier: GPL-3.0-or-later
"""The system bus by sd-bus(3), of the libsystemd that every host of ours has: loaded in a quarter of the time that a
D-Bus library in Python takes to be imported. Values look as usual in Python; a variant is (signature, value)."""

from __future__ import annotations

import errno
import os
from typing import Any

from . import native
from .native import byref, c_char, c_char_p, c_size_t, c_uint64, c_void_p

FOREVER = 2**64 - 1
NUMBERS: dict[str, Any] = {
    "y": native.c_uint8, "b": native.c_int, "n": native.c_int16, "q": native.c_uint16, "i": native.c_int,
    "u": native.c_uint32, "x": native.c_int64, "t": c_uint64, "d": native.c_double, "h": native.c_int,
}  # fmt: skip
STRINGS = "sog"
ENDS = {"(": ")", "{": "}"}
STRUCTURES = {"(": b"r", "{": b"e"}  # sd_bus_message_open_container(3)
LIST = "aa{sv}"
END = object()  # of an array

library = native.Library("libsystemd.so.0")
library.sd_bus_message_get_signature.restype = c_char_p
library.sd_bus_wait.argtypes = (c_void_p, c_uint64)
for _function in (library.sd_bus_message_append_basic, library.sd_bus_message_read_basic):
    _function.argtypes = (c_void_p, c_char, c_void_p)
for _function in (library.sd_bus_message_open_container, library.sd_bus_message_enter_container):
    _function.argtypes = (c_void_p, c_char, c_char_p)
library.sd_bus_message_append_array.argtypes = (c_void_p, c_char, c_char_p, c_size_t)


class Error(native.Structure):
    """sd_bus_error, of sd-bus.h."""

    _fields_ = (("name", c_char_p), ("message", c_char_p), ("need_free", native.c_int))


library.sd_bus_message_get_error.restype = c_void_p


class Reply:
    """What came for the call with the serial number `serial`: a body, or the name of an error and its sentence."""

    __slots__ = ("body", "error", "sentence", "serial")

    def __init__(self, serial: int, body: tuple[Any, ...], error: str, sentence: str) -> None:
        self.serial = serial
        self.body = body
        self.error = error
        self.sentence = sentence


class Bus:
    """A connection to the system bus. Raises OSError, as all methods do."""

    def __init__(self) -> None:
        self._bus = c_void_p()
        checked(library.sd_bus_open_system(byref(self._bus)))
        checked(library.sd_bus_flush(self._bus))  # until the bus has said hello

    def close(self) -> None:
        library.sd_bus_flush_close_unref(self._bus)
        self._bus = c_void_p()

    def fileno(self) -> int:
        """Readable when a reply may have come."""
        return checked(library.sd_bus_get_fd(self._bus))

    def send(
        self, destination: str, path: str, interface: str, member: str, signature: str, body: tuple[Any, ...],
        *, interactive: bool = False,
    ) -> int:  # fmt: skip
        """Sends a method call, whole; returns its serial number. Raises ValueError for what no message can hold."""
        message, names = c_void_p(), [name.encode() for name in (destination, path, interface, member)]
        checked(library.sd_bus_message_new_method_call(self._bus, byref(message), *names))
        try:
            if interactive:
                checked(library.sd_bus_message_set_allow_interactive_authorization(message, 1))
            for kind, value in zip(complete(signature), body, strict=True):
                append(message, kind, value)
            serial = c_uint64()
            checked(library.sd_bus_send(self._bus, message, byref(serial)))
        finally:
            library.sd_bus_message_unref(message)
        checked(library.sd_bus_flush(self._bus))
        return serial.value

    def receive(self, *, wait: bool) -> Reply | None:
        """The next reply; without `wait` None if there is none."""
        while True:
            message = c_void_p()
            worked = checked(library.sd_bus_process(self._bus, byref(message)))
            if message:
                try:
                    if found := reply(message):
                        return found
                finally:
                    library.sd_bus_message_unref(message)
            elif not worked:
                if not wait:
                    return None
                self._wait()

    def _wait(self) -> None:
        result: int = library.sd_bus_wait(self._bus, FOREVER)
        if result != -errno.EINTR:  # Python sees to the signal
            checked(result)


def checked(result: int) -> int:
    """Raises OSError for a negative errno."""
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def reply(message: c_void_p) -> Reply | None:
    """None for signals, such as NameAcquired, which are not for us."""
    serial = c_uint64()
    if library.sd_bus_message_get_reply_cookie(message, byref(serial)) < 0:
        return None
    if library.sd_bus_message_is_method_error(message, None) > 0:
        error = Error.from_address(library.sd_bus_message_get_error(message))
        return Reply(serial.value, (), *((text or b"").decode() for text in (error.name, error.message)))
    signature = library.sd_bus_message_get_signature(message, 1).decode()
    if signature == LIST:
        from .rows import read_list

        return Reply(serial.value, (read_list(message),), "", "")
    return Reply(serial.value, tuple([read(message, kind) for kind in complete(signature)]), "", "")


def read(message: c_void_p, kind: str) -> Any:
    """The next value, of the complete type `kind`; END where an array has no more."""
    code = kind[0]
    if code in STRINGS:
        text = c_char_p()
        if not checked(library.sd_bus_message_read_basic(message, code.encode(), byref(text))):
            return END
        return (text.value or b"").decode()
    if code in NUMBERS:
        number = NUMBERS[code]()
        if not checked(library.sd_bus_message_read_basic(message, code.encode(), byref(number))):
            return END
        return bool(number.value) if code == "b" else os.dup(number.value) if code == "h" else number.value
    return READERS[code](message, kind)


def read_array(message: c_void_p, kind: str) -> Any:
    if kind == "ay":
        return read_bytes(message)
    if not entered(message, b"a", kind[1:].encode()):
        return END
    found = []
    while (value := read(message, kind[1:])) is not END:
        found.append(value)
    checked(library.sd_bus_message_exit_container(message))
    return dict(found) if kind[1] == "{" else found


def read_bytes(message: c_void_p) -> Any:
    start, size = c_void_p(), c_size_t()
    if not checked(library.sd_bus_message_read_array(message, c_char(b"y"), byref(start), byref(size))):
        return END
    if not size.value:
        return b""
    import ctypes  # for who reads bytes

    return ctypes.string_at(start.value or 0, size.value)


def read_structure(message: c_void_p, kind: str) -> Any:
    """Of a dictionary's entry the pair."""
    if not entered(message, STRUCTURES[kind[0]], kind[1:-1].encode()):
        return END
    found = tuple([read(message, each) for each in complete(kind[1:-1])])
    checked(library.sd_bus_message_exit_container(message))
    return found


def read_variant(message: c_void_p, _kind: str) -> Any:
    code, contents = c_char(), c_char_p()
    if not checked(library.sd_bus_message_peek_type(message, byref(code), byref(contents))):
        return END
    kind = contents.value or b""
    entered(message, b"v", kind)
    found = kind.decode(), read(message, kind.decode())
    checked(library.sd_bus_message_exit_container(message))
    return found


def entered(message: c_void_p, code: bytes, contents: bytes) -> bool:
    return checked(library.sd_bus_message_enter_container(message, code, contents)) > 0


READERS = {"a": read_array, "(": read_structure, "{": read_structure, "v": read_variant}


def append(message: c_void_p, kind: str, value: Any) -> None:
    """The next value of a message that is being made. Raises ValueError for what its type cannot hold."""
    code = kind[0]
    if code in STRINGS:
        checked(library.sd_bus_message_append_basic(message, code.encode(), encoded(value)))
    elif code in NUMBERS:
        number = NUMBERS[code](value)
        if number.value != value:
            raise ValueError(f"{value!r} is out of range")
        checked(library.sd_bus_message_append_basic(message, code.encode(), byref(number)))
    elif kind == "ay":
        checked(library.sd_bus_message_append_array(message, b"y", value, len(value)))
    elif code == "a":
        elements = value.items() if kind[1] == "{" else value
        append_all(message, b"a", kind[1:], ((kind[1:], element) for element in elements))
    elif code == "v":
        append_all(message, b"v", value[0], [value])
    else:
        append_all(message, STRUCTURES[code], kind[1:-1], zip(complete(kind[1:-1]), value, strict=True))


def append_all(message: c_void_p, code: bytes, contents: str, values: Any) -> None:
    checked(library.sd_bus_message_open_container(message, code, contents.encode()))
    for kind, value in values:
        append(message, kind, value)
    checked(library.sd_bus_message_close_container(message))


def encoded(text: str) -> bytes:
    if "\0" in text:
        raise ValueError(f"{text!r} has a NUL byte in it, which D-Bus cannot carry")
    return text.encode()


_split: dict[str, list[str]] = {}


def complete(signature: str) -> list[str]:
    """The complete types of a signature, as "sa{sv}" has "s" and "a{sv}"."""
    if signature not in _split:
        kinds, start = [], 0
        while start < len(signature):
            end = type_end(signature, start)
            kinds.append(signature[start:end])
            start = end
        _split[signature] = kinds
    return _split[signature]


def type_end(signature: str, start: int) -> int:
    while signature[start] == "a":
        start += 1
    close = ENDS.get(signature[start])
    start += 1
    if close:
        while signature[start] != close:
            start = type_end(signature, start)
        start += 1
    return start
