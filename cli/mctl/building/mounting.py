# SPDX-License-Identifier: GPL-3.0-or-later
"""RUN --mount: what a step sees and no layer gets. A cache is a volume of the caller's, for later builds too."""

from __future__ import annotations

import hashlib
import io
import os
import posixpath
import tarfile
from typing import TYPE_CHECKING, Any

from ..mounts import BINDS_MAX
from .agent import DEFAULT, TARGET, VARIABLE
from .placing import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .containerfile import Instruction
    from .placing import Member
    from .room import Room
    from .service import Options
    from .showing import Shown

    Given = tuple[Mapping[str, bytes], Mapping[str, str]]  # secrets, and where agents listen, by id
    Find = Callable[[str, str], Shown]  # of an image or stage, or of the context if that is empty, what is at a path

KNOWN = {
    "bind": {"from", "ro", "readonly", "rw", "readwrite", "source", "target"},
    "cache": {"id", "sharing", "target"},
    "secret": {"gid", "id", "mode", "required", "target", "uid"},
    "ssh": {"gid", "id", "mode", "required", "target", "uid"},
    "tmpfs": {"size", "target"},
}
OTHER_NAMES = {"dst": "target", "destination": "target", "src": "source"}
SECRETS = "/run/secrets"
SCRIPTS = "/dev/pipes"  # where docker's builds have them
SECRET_MODE, AGENT_MODE = "0400", "0600"


class Mounting:
    """Of one step. told: what the cache knows its files by. variables: what tells the step where they are."""

    def __init__(self, instruction: Instruction, directory: str, given: Given, room: Room, find: Find) -> None:
        self._instruction = instruction
        self._directory = directory
        self._secrets, self._agents = given
        self._room = room
        self._given = [self._parsed(text) for text in instruction.flags.get("mount", [])]
        self._binds = [(find(f.get("from", ""), f.get("source", "/")), f) for f in self._of("bind")]
        self._script = _script(instruction)
        self.told = [*(shown.known_by for shown, _ in self._binds),
                     *([f"sha256:{digest([self._script])}"] if self._script else [])]  # fmt: skip
        agents = [f["target"] for f in self._of("ssh") if f.get("id", DEFAULT) in self._agents]
        self.variables = {VARIABLE: agents[0]} if agents else {}

    def options(self) -> Options:
        """Of CreateContainer; the room holds what is shown until it is cleared."""
        found: Options = {}
        shown = [(self._room.files(each.members(), is_directory=each.is_directory), fields["target"], _access(fields))
                 for each, fields in self._binds]  # fmt: skip
        shown += [mounted for fields in self._of("secret") if (mounted := self._secret(fields))]
        shown += [mounted for fields in self._of("ssh") if (mounted := self._agent(fields))]
        if self._script:
            file = self._room.files([self._script], is_directory=False)
            shown.append((file, path_of_script(self._instruction), "ro"))
        if len(shown) > BINDS_MAX:
            raise self._instruction.wrong(f"{len(shown)} binds, secrets and agents are more than {BINDS_MAX}, the most")
        if shown:
            found["Mounts"] = ("a(hss)", shown)
        volumes = [(_cache(f.get("id", f["target"]), f.get("sharing", "")), f["target"], "rw,nocopy")
                   for f in self._of("cache")]  # fmt: skip
        if volumes:
            found["Volumes"] = ("a(sss)", volumes)
        temporary = {f["target"]: f"size={f['size']}" if "size" in f else "" for f in self._of("tmpfs")}
        return {**found, "Tmpfs": ("a{ss}", temporary)} if temporary else found

    # Inside

    def _of(self, kind: str) -> list[dict[str, str]]:
        return [fields for each, fields in self._given if each == kind]

    def _parsed(self, text: str) -> tuple[str, dict[str, str]]:
        wrong = self._instruction.wrong
        given = dict(part.partition("=")[::2] for part in text.split(","))
        fields = {OTHER_NAMES.get(name, name): value for name, value in given.items()}
        kind = fields.pop("type", "bind")
        if kind not in KNOWN:
            raise wrong(f"RUN --mount=type={kind} is not offered: known are {', '.join(KNOWN)}")
        if unknown := fields.keys() - KNOWN[kind]:
            names = ", ".join(sorted(KNOWN[kind]))
            raise wrong(f"RUN --mount=type={kind} knows no {sorted(unknown)[0]!r}: known are {names}")
        if kind == "secret" and not fields.get("id"):
            raise wrong(f"RUN --mount={text} names no id")
        target = fields.get("target") or _usual_target(kind, fields)
        if not target:
            raise wrong(f"RUN --mount={text} names no target")
        return kind, {**fields, "target": posixpath.normpath(posixpath.join(self._directory, target))}

    def _secret(self, fields: Mapping[str, str]) -> tuple[int, str, str] | None:
        """None: it was not given, and need not be."""
        content = self._secrets.get(fields["id"])
        if content is None:
            name = fields["id"]
            self._missing(fields, f"the secret {name!r} is required: give --secret id={name},src=FILE")
            return None
        return self._room.secret(content, *self._rights(fields, SECRET_MODE)), fields["target"], "ro"

    def _agent(self, fields: Mapping[str, str]) -> tuple[int, str, str] | None:
        """As a secret."""
        name = fields.get("id", DEFAULT)
        if name not in self._agents:
            self._missing(fields, f"the agent {name!r} is required: give --ssh {name}, or --ssh {name}=SOCKET")
            return None
        return self._room.agent(self._agents[name], *self._rights(fields, AGENT_MODE)), fields["target"], "ro"

    def _missing(self, fields: Mapping[str, str], sentence: str) -> None:
        if fields.get("required", "false") in ("", "true"):
            raise self._instruction.wrong(sentence)

    def _rights(self, fields: Mapping[str, str], mode: str) -> tuple[int, tuple[int, int]]:
        """Mode and owner on the disk: in a build that is not root's what is the caller's own is root's inside."""
        bits, uid, gid = (self._number(fields, *of) for of in (("mode", mode, 8), ("uid", "0", 10), ("gid", "0", 10)))
        if os.geteuid() and (uid or gid):
            raise self._instruction.wrong(
                "a secret's or agent's uid and gid can only be 0 in a build that is not root's"
            )
        return bits, (uid, gid) if not os.geteuid() else (os.geteuid(), os.getegid())

    def _number(self, fields: Mapping[str, Any], name: str, default: str, base: int) -> int:
        try:
            return int(fields.get(name, default), base)
        except ValueError:
            raise self._instruction.wrong(f"RUN --mount: {name}={fields[name]} is not a number") from None


def path_of_script(instruction: Instruction) -> str:
    """Of the file that a here-document is which says, by #!, what executes it; else empty."""
    script = instruction.script
    return f"{SCRIPTS}/{script.name}" if script and script.text.startswith("#!") else ""


def _script(instruction: Instruction) -> Member | None:
    script = instruction.script
    if not script or not path_of_script(instruction):
        return None
    info, data = tarfile.TarInfo(script.name), script.text.encode()
    info.size, info.mode = len(data), 0o755
    return info, lambda: io.BytesIO(data)


def origins(instruction: Instruction) -> list[str]:
    """Images and stages that its binds take from."""
    words = (part.partition("=") for text in instruction.flags.get("mount", []) for part in text.split(","))
    return [value for name, _, value in words if name == "from"]


def _usual_target(kind: str, fields: Mapping[str, str]) -> str:
    if kind == "ssh":
        return TARGET.format(fields.get("id", DEFAULT))
    return f"{SECRETS}/{fields['id']}" if kind == "secret" else ""


def _access(fields: Mapping[str, str]) -> str:
    """What is written there is lost, as in docker."""
    return "rw" if any(fields.get(name, "false") != "false" for name in ("rw", "readwrite")) else "ro"


def _cache(identity: str, sharing: str) -> str:
    """The name of the volume; none: one of its own, which goes with the container."""
    return "" if sharing == "private" else f"build-cache-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
