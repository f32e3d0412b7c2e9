# SPDX-License-Identifier: GPL-3.0-or-later
"""One stage of a build between two layers: what its instructions have said, and what is still to be written."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from ..sizes import duration
from ..supervision import retries
from .containerfile import instructions
from .words import Expansion, array, as_json, pairs, split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .containerfile import Instruction
    from .service import Image, Options

NO_TRIGGERS = ("FROM", "MAINTAINER", "ONBUILD")
SHELL = ["/bin/sh", "-c"]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # where the base names none, as in docker
# Known without ARG, and left out of history, as in docker.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
PREDEFINED = frozenset((*PROXIES, *map(str.lower, PROXIES)))


class Stage:
    """image: the last that was made, None: nothing yet. pending: settings for the next one, with their history."""

    def __init__(self, base: Image | None, given: Mapping[str, str], of_all: Mapping[str, str], escape: str) -> None:
        self.image = base
        self.escape = escape
        self.pending: Options = {}
        self.told: list[str] = []
        self.author = ""
        config: dict[str, Any] = base.config if base else {}
        self.variables = dict(text.partition("=")[::2] for text in config.get("Env") or [])
        self.user: str = config.get("User") or ""
        self.directory: str = config.get("WorkingDir") or "/"
        self.shell = list(config.get("Shell") or SHELL)
        self.triggers: list[str] = config.get("OnBuild") or []  # what the base wants done first
        self._left: list[str] = []  # the same for those who build on what this becomes
        if self.triggers:
            self.pending["OnBuild"] = ("as", [])
        self._given = given
        self._of_all = of_all  # ARG before the first FROM
        self.arguments: dict[str, str] = {}
        self._own_command: list[str] = []  # that of this stage

    @property
    def history(self) -> list[str]:
        return [*(self.image.history if self.image else []), *self.told]

    def seen(self) -> dict[str, str]:
        """What instructions may refer to: ENV goes before ARG."""
        return {"PATH": PATH, **{name: self._given[name] for name in PREDEFINED if name in self._given},
                **self.arguments, **self.variables}  # fmt: skip

    def expansion(self) -> Expansion:
        return Expansion(self.seen(), self.escape)

    def became(self, image: Image) -> None:
        self.image, self.pending, self.told = image, {}, []

    def take(self, instruction: Instruction) -> None:
        """One that makes no layer."""
        instruction.check_flags(*(HEALTH if instruction.word == "HEALTHCHECK" else ()))
        getattr(self, f"_{instruction.word.lower()}")(instruction)

    # Each of these is an instruction

    def _arg(self, instruction: Instruction) -> None:
        expand = self.expansion()
        for word in split(instruction.rest, self.escape):
            name, equals, default = word.partition("=")
            if name in self._given:
                self.arguments[name] = self._given[name]
            elif equals:
                self.arguments[name] = expand(default)
            elif name in self._of_all:
                self.arguments[name] = self._of_all[name]
        self.told.append(f"ARG {instruction.rest}")

    def _env(self, instruction: Instruction) -> None:
        found = pairs(instruction.rest, self.expansion(), self.escape)
        self.variables |= dict(found)
        self._add("Environment", [f"{name}={value}" for name, value in found])
        self.told.append("ENV " + " ".join(f"{name}={value}" for name, value in found))

    def _label(self, instruction: Instruction) -> None:
        found = dict(pairs(instruction.rest, self.expansion(), self.escape))
        self.pending["Labels"] = ("a{ss}", {**self.pending.get("Labels", ("", {}))[1], **found})
        self.told.append("LABEL " + " ".join(f"{name}={value}" for name, value in found.items()))

    def _maintainer(self, instruction: Instruction) -> None:
        self.author = instruction.rest
        self.told.append(f"MAINTAINER {instruction.rest}")

    def _user(self, instruction: Instruction) -> None:
        self.user = self._single(instruction, "User", instruction.rest)

    def _stopsignal(self, instruction: Instruction) -> None:
        self._single(instruction, "StopSignal", instruction.rest)

    def _workdir(self, instruction: Instruction) -> None:
        path = posixpath.normpath(posixpath.join(self.directory, self.expansion()(instruction.rest)))
        self.directory = path if not path.startswith("//") else path[1:]
        self.pending["WorkingDirectory"] = ("s", self.directory)
        self.told.append(f"WORKDIR {self.directory}")

    def _expose(self, instruction: Instruction) -> None:
        expand = self.expansion()
        ports = [expand(word) for word in split(instruction.rest, self.escape)]
        self._add("ExposedPorts", [port if "/" in port else f"{port}/tcp" for port in ports])
        self.told.append(f"EXPOSE {' '.join(ports)}")

    def _volume(self, instruction: Instruction) -> None:
        expand = self.expansion()
        words = array(instruction.rest) or split(instruction.rest, self.escape)
        paths = [expand(word) for word in words]
        self._add("Volumes", paths)
        self.told.append(f"VOLUME {as_json(paths)}")

    def _shell(self, instruction: Instruction) -> None:
        words = array(instruction.rest)
        if not words:
            raise instruction.wrong('SHELL takes a JSON array, as ["/bin/bash", "-c"]')
        self.shell = words
        self.pending["Shell"] = ("as", words)
        self.told.append(f"SHELL {as_json(words)}")

    def _cmd(self, instruction: Instruction) -> None:
        self._command(instruction, "Command", "CMD")
        self._own_command = self.pending["Command"][1]

    def _entrypoint(self, instruction: Instruction) -> None:
        self._command(instruction, "Entrypoint", "ENTRYPOINT")
        self.pending["Command"] = ("as", self._own_command)  # one of the base is no longer meant

    def _healthcheck(self, instruction: Instruction) -> None:
        kind, _, rest = instruction.rest.partition(" ")
        if kind.upper() not in ("CMD", "NONE") or (kind.upper() == "CMD") != bool(rest.strip()):
            raise instruction.wrong("HEALTHCHECK is followed by CMD and a command, or by NONE")
        command = self.words(rest.strip()) if rest.strip() else []
        self.pending["HealthCommand"] = ("as", command)
        for flag, (key, kind_of, convert) in HEALTH.items():
            if flag in instruction.flags:
                self.pending[key] = (kind_of, convert(f"line {instruction.line}: --{flag}", instruction.flag(flag)))
        self.told.append(str(instruction))

    def _onbuild(self, instruction: Instruction) -> None:
        for each in triggered(instruction, instruction.rest, self.escape):
            if each.word in NO_TRIGGERS:
                raise instruction.wrong(f"ONBUILD {each.word} is not possible")
        self._left.append(instruction.rest)
        self.pending["OnBuild"] = ("as", list(self._left))
        self.told.append(f"ONBUILD {instruction.rest}")

    # Inside

    def words(self, text: str) -> list[str]:
        """A command: a JSON array is the words, anything else is for the shell."""
        found = array(text)
        return [*self.shell, text] if found is None else found

    def _command(self, instruction: Instruction, key: str, word: str) -> None:
        words = self.words(instruction.rest)
        self.pending[key] = ("as", words)
        self.told.append(f"{word} {as_json(words)}")

    def _single(self, instruction: Instruction, key: str, text: str) -> str:
        value = self.expansion()(text)
        self.pending[key] = ("s", value)
        self.told.append(f"{instruction.word} {value}")
        return value

    def _add(self, key: str, more: list[str]) -> None:
        self.pending[key] = ("as", [*self.pending.get(key, ("", []))[1], *more])


HEALTH = {
    "interval": ("HealthIntervalUSec", "t", duration),
    "timeout": ("HealthTimeoutUSec", "t", duration),
    "start-period": ("HealthStartPeriodUSec", "t", duration),
    "retries": ("HealthRetries", "u", retries),
}


def triggered(where: Instruction, text: str, escape: str) -> list[Instruction]:
    """What stands behind an ONBUILD, as if it stood where it is said, or wanted."""
    found, _ = instructions(f"# escape={escape}\n{text}\n")
    for each in found:
        each.line = where.line
    return found
