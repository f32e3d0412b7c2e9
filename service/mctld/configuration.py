# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image says about running it: OCI's image configuration, as data. Nothing else in it is ever interpreted.

https://github.com/opencontainers/image-spec/blob/main/config.md
"""

from __future__ import annotations

import json
import re
import signal
from dataclasses import dataclass, field
from typing import Any

from .bounds import check_printable, check_text, shown
from .errors import BadImage, InvalidArgs
from .health import DEFAULT_RETRIES, DEFAULT_USEC, HealthCheck

TEXT_MAX = 8 << 20  # bytes of the whole document
ITEMS_MAX = 1024
_PORT = re.compile(r"([0-9]{1,5})(-[0-9]{1,5})?(/(tcp|udp|sctp))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Configuration:
    """`text` is the document itself; its digest is the image's id."""

    text: str = field(repr=False)
    diff_ids: tuple[str, ...]
    architecture: str = ""
    os: str = ""
    created: str = ""  # RFC 3339
    author: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    user: str = ""
    working_directory: str = ""
    stop_signal: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    history: tuple[tuple[str, str, bool], ...] = ()  # created, created by or comment, without a layer
    health: HealthCheck = field(default_factory=HealthCheck)

    @classmethod
    def parse(cls, text: str) -> Configuration:
        """BadImage names the member that is not what it should be."""
        if len(text) > TEXT_MAX:
            raise BadImage(f"the image's configuration has more than {TEXT_MAX} bytes")
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadImage(f"the image's configuration is not JSON: {error}") from None
        try:
            return cls._from(text, _Object("configuration", document))
        except InvalidArgs as error:
            raise BadImage(f"the image's configuration: {error}") from None

    @classmethod
    def _from(cls, text: str, document: _Object) -> Configuration:
        rootfs, config = document.object("rootfs"), document.object("config")
        found = cls(
            text,
            rootfs.strings("diff_ids"),
            architecture=document.text("architecture"),
            os=document.text("os"),
            created=document.text("created"),
            author=document.text("author"),
            entrypoint=config.arguments("Entrypoint"),
            command=config.arguments("Cmd"),
            environment=config.arguments("Env"),
            user=config.text("User"),
            working_directory=config.text("WorkingDir"),
            stop_signal=config.text("StopSignal"),
            labels=config.dictionary("Labels"),
            exposed_ports=config.keys("ExposedPorts"),
            volumes=config.keys("Volumes"),
            history=tuple(_step(entry) for entry in document.objects("history")),
            health=_health(config.object("Healthcheck")),
        )
        for port in found.exposed_ports:
            if not _PORT.fullmatch(port):
                raise InvalidArgs(f"ExposedPorts {shown(port)} is not PORT[/tcp|udp|sctp]")
        if found.stop_signal:
            signal_number(found.stop_signal)
        return found


def signal_number(text: str) -> int:
    """SIGTERM, TERM, 15, RTMIN+3."""
    name = text.upper().removeprefix("SIG")
    base, sign, offset = name.partition("+") if "+" in name else name.partition("-")
    if name.isdigit() and name.isascii() and 1 <= int(name) <= 64:
        return int(name)
    if sign and base in ("RTMIN", "RTMAX") and offset.isdigit() and offset.isascii() and len(offset) < 3:
        number = getattr(signal, f"SIG{base}") + (int(offset) if sign == "+" else -int(offset))
        if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
            return int(number)
    elif not sign and isinstance(found := getattr(signal, f"SIG{name}", None), signal.Signals):
        return int(found)
    raise InvalidArgs(f"StopSignal {shown(text)} is no signal: give a name as TERM or RTMIN+3, or a number to 64")


def _health(found: _Object) -> HealthCheck:
    """docker's: OCI has none. Times are nanoseconds, and 0 is the default."""
    kind, *words = found.arguments("Test") or ("NONE",)
    if kind not in ("NONE", "CMD", "CMD-SHELL") or (kind == "CMD-SHELL" and len(words) != 1):
        raise InvalidArgs(f"Healthcheck Test {shown(kind)} is not NONE, CMD with a command, or CMD-SHELL with one text")
    command = ("/bin/sh", "-c", *words) if kind == "CMD-SHELL" else tuple(words) if kind == "CMD" else ()
    return HealthCheck(
        command,
        interval_usec=found.number("Interval") // 1_000 or DEFAULT_USEC,
        timeout_usec=found.number("Timeout") // 1_000 or DEFAULT_USEC,
        retries=found.number("Retries") or DEFAULT_RETRIES,
        start_period_usec=found.number("StartPeriod") // 1_000,
    )


def _step(entry: _Object) -> tuple[str, str, bool]:
    return entry.text("created"), entry.free("created_by") or entry.free("comment"), entry.truth("empty_layer")


class _Object:
    """A JSON object whose members have types, or are absent; null is absent too, as docker writes it."""

    def __init__(self, name: str, value: object) -> None:
        if not isinstance(value, dict):
            raise InvalidArgs(f"{name} is not an object")
        self._value: dict[str, Any] = value

    def _get(self, key: str, kind: type[str] | type[list[Any]] | type[dict[str, Any]], empty: Any) -> Any:
        value = self._value.get(key)
        if value is None:
            return empty
        if not isinstance(value, kind) or len(value) > (TEXT_MAX if kind is str else ITEMS_MAX):
            raise InvalidArgs(f"{key} is not {'a text' if kind is str else 'of the right kind'}, or is too long")
        return value

    def object(self, key: str) -> _Object:
        return _Object(key, self._get(key, dict, {}))

    def objects(self, key: str) -> tuple[_Object, ...]:
        return tuple(_Object(key, value) for value in self._get(key, list, []))

    def text(self, key: str) -> str:
        return check_printable(key, self._get(key, str, ""), 4096)

    def free(self, key: str) -> str:
        """Of any length and content."""
        found: str = self._get(key, str, "")
        return found

    def number(self, key: str) -> int:
        value = self._value.get(key, 0)
        if not isinstance(value, int) or not 0 <= value < 2**63:
            raise InvalidArgs(f"{key} is not a whole number from 0 on")
        return value

    def truth(self, key: str) -> bool:
        return self._value.get(key) is True

    def strings(self, key: str) -> tuple[str, ...]:
        found = tuple(self._get(key, list, []))
        if not all(isinstance(part, str) for part in found):
            raise InvalidArgs(f"{key} is not a list of texts")
        return found

    def arguments(self, key: str) -> tuple[str, ...]:
        return tuple(check_text(key, part, 128 << 10) for part in self.strings(key))

    def dictionary(self, key: str) -> tuple[tuple[str, str], ...]:
        found = self._get(key, dict, {})
        if not all(isinstance(value, str) for value in found.values()):
            raise InvalidArgs(f"{key} is not a dictionary of texts")
        return tuple(sorted(found.items()))

    def keys(self, key: str) -> tuple[str, ...]:
        return tuple(sorted(check_printable(key, part, 4096) for part in self._get(key, dict, {})))
