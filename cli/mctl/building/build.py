# SPDX-License-Identifier: GPL-3.0-or-later
"""A build, instruction by instruction. What an earlier one has made with the same steps is taken from there."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from ..failures import INVALID, Failure
from ..output import printable, write_all
from . import platform
from .cache import goes_on
from .copying import Copying
from .mounting import Mounting, path_of_script
from .plan import SCRATCH, needed, parts, stage_number
from .showing import Shown, of_context, of_image
from .stage import PREDEFINED, Stage, triggered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .containerfile import Instruction
    from .context import Context
    from .mounting import Given
    from .placing import Member
    from .plan import Part
    from .room import Room
    from .service import Image, Options, Service

FAILED = 1
ERRORS = 2
COPY_FLAGS = ("from", "chown", "chmod", "link")
ADD_FLAGS = ("checksum", "chown", "chmod", "link")
TAIL = 8 << 10  # bytes of a step's output that are shown where it has failed in silence


class Build:
    def __init__(
        self,
        service: Service,
        context: Context,
        given: Mapping[str, str],
        shown: Given,
        room: Room,
        *,
        cached: bool,
        quiet: bool,
        private: bool,
    ) -> None:
        self._service = service
        self._context = context
        self._given = given
        self._shown_to_steps = shown
        self._room = room
        self._cached = cached
        self._quiet = quiet
        self._private: Options = {"Private": ("b", True)} if private else {}
        self._known: list[Image] = []
        self._made: dict[int, Image] = {}
        self._step = self._steps = 0

    def run(self, instructions: list[Instruction], escape: str, target: str, labels: Mapping[str, str]) -> Image:
        found, of_all = parts(instructions, self._given, escape)
        wanted = needed(found, target)
        self._steps = sum(len(found[number].instructions) + 1 for number in wanted)
        self._known = self._service.made_images() if self._cached else []
        self._tell_unused(instructions)
        for number in wanted:
            stage = self._begin(found, number, of_all, escape)
            for text in stage.triggers:
                for instruction in triggered(found[number].first, text, escape):
                    self._say(f"ONBUILD {instruction}\n")
                    self._do(stage, instruction, found[:number])
            for instruction in found[number].instructions:
                self._tell(str(instruction))
                self._do(stage, instruction, found[:number])
            if number == wanted[-1] and labels:
                stage.pending["Labels"] = ("a{ss}", {**stage.pending.get("Labels", ("", {}))[1], **labels})
                stage.told.append("LABEL " + " ".join(f"{name}={value}" for name, value in labels.items()))
            self._made[number] = self._finished(stage, found[number].first)
        return self._made[wanted[-1]]

    # Inside

    def _begin(self, found: list[Part], number: int, of_all: Mapping[str, str], escape: str) -> Stage:
        part = found[number]
        self._tell(str(part.first))
        earlier = stage_number(found[:number], part.base)
        if part.base == SCRATCH:
            base = None
        elif earlier is not None:
            base = self._made[earlier]
        else:
            base = self._service.base(part.base)
        return Stage(base, self._given, of_all, escape)

    def _do(self, stage: Stage, instruction: Instruction, before: list[Part]) -> None:
        try:
            if instruction.word == "RUN":
                self._execute(stage, instruction, before)
            elif instruction.word in ("COPY", "ADD"):
                self._copy(stage, instruction, before)
            else:
                stage.take(instruction)
        except Failure as error:
            said = error.text if error.name == INVALID else str(error)  # no flag was typed
            raise Failure(f"line {instruction.line}: {said}", status=error.status, name=error.name) from None
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            raise Failure(f"line {instruction.line}: {place}{error.strerror or error}", status=FAILED) from None

    def _execute(self, stage: Stage, instruction: Instruction, before: list[Part]) -> None:
        instruction.check_flags("network", "mount")
        network = self._network(instruction)
        if stage.image is None:
            raise instruction.wrong("there is nothing to RUN in: FROM scratch has no files; COPY some first")
        mounting = Mounting(
            instruction, stage.directory, self._shown_to_steps, self._room,
            lambda origin, source: self._shown(instruction, before, origin, source),
        )  # fmt: skip
        command = self._command(stage, instruction)
        arguments = {name: value for name, value in stage.arguments.items() if name not in PREDEFINED}
        told = " ".join(
            ["RUN", *(f"--mount={text}" for text in instruction.flags.get("mount", [])), *mounting.told,
              *([f"|{len(arguments)}", *(f"{n}={v}" for n, v in sorted(arguments.items()))] if arguments else [])]
        )
        stage.told.append(f"{told} {shlex.join(command)}")
        if self._from_cache(stage):
            return
        variables = {**stage.seen(), **mounting.variables}
        options: Options = {
            "Environment": ("as", [f"{name}={value}" for name, value in variables.items()]),
            "WorkingDirectory": ("s", stage.directory),
            **({"User": ("s", stage.user)} if stage.user else {}),
            **({} if network == "default" else {"Networks": ("as", [] if network == "none" else [network])}),
        }
        try:
            self._run(stage.image.id, command, {**options, **mounting.options()}, instruction)
            made = self._service.commit({**self._settings(stage), "KeepConfiguration": ("b", True)})
        finally:
            self._service.remove()
            self._room.clear()
        self._became(stage, made)

    def _network(self, instruction: Instruction) -> str:
        """Who has written the Containerfile is not who knows what may be reached from where."""
        found = instruction.flag("network", "default")
        if found in ("default", "none", self._service.network):
            return found
        raise instruction.wrong(
            f"RUN --network={found} is not for a Containerfile to choose: default and none are; any other is named by"
            " who builds it, as `mctl build --network`"
        )

    def _run(self, image: str, command: list[str], options: Options, instruction: Instruction) -> None:
        """With --quiet what it prints is shown only where it fails."""
        sink = os.memfd_create("output") if self._quiet else ERRORS
        try:
            status = self._service.run(image, command, options, (sink, sink))
            if status and self._quiet:
                size = os.fstat(sink).st_size
                write_all(ERRORS, os.pread(sink, TAIL, max(size - TAIL, 0)))
        finally:
            if self._quiet:
                os.close(sink)
        if status:
            raise Failure(f"{str(instruction)[:200]!r} ended with exit status {status}", status=FAILED)

    def _command(self, stage: Stage, instruction: Instruction) -> list[str]:
        """A here-document alone is a script, of the shell's if it names nobody else; behind a command it is for the
        shell to read.
        """
        if not instruction.documents:
            return stage.words(instruction.rest)
        if path := path_of_script(instruction):
            return [path]
        if instruction.script:
            return [*stage.shell, instruction.script.text]
        return [*stage.shell, instruction.rest + "\n" + "".join(each.whole for each in instruction.documents)]

    def _copy(self, stage: Stage, instruction: Instruction, before: list[Part]) -> None:
        instruction.check_flags(*(COPY_FLAGS if instruction.word == "COPY" else ADD_FLAGS))
        copying = Copying(self._service, stage, instruction)
        if "from" not in instruction.flags:
            members, told = copying.from_context(self._context)
            stage.told.append(told)
            if not self._from_cache(stage):
                self._derive(stage, members)
            return
        image = self._origin(before, instruction.flag("from"))
        stage.told.append(copying.told_from(image))
        if not self._from_cache(stage):
            self._derive(stage, copying.from_image(image)[0])

    def _shown(self, instruction: Instruction, before: list[Part], origin: str, source: str) -> Shown:
        if origin:
            return of_image(instruction, self._service, self._origin(before, origin), source)
        return of_context(instruction, self._context, source)

    def _origin(self, before: list[Part], text: str) -> Image:
        """A stage, or an image."""
        number = stage_number(before, text)
        return self._made[number] if number is not None else self._service.base(text)

    def _finished(self, stage: Stage, first: Instruction) -> Image:
        """With the settings that have come after the last layer."""
        if stage.image is None:
            raise first.wrong("the stage makes no image: FROM scratch needs a COPY or ADD")
        if stage.told and not self._from_cache(stage):
            self._derive(stage, None)
        return stage.image

    def _derive(self, stage: Stage, members: list[Member] | None) -> None:
        base = stage.image.id if stage.image else ""
        self._became(stage, self._service.derive(base, self._settings(stage), members))

    def _settings(self, stage: Stage) -> Options:
        author: Options = {"Author": ("s", stage.author)} if stage.author else {}
        return {**stage.pending, **author, **self._private, "History": ("as", stage.told)}

    def _became(self, stage: Stage, identity: str) -> None:
        made = self._service.image(identity)
        self._known.insert(0, made)
        stage.became(made)
        self._say(f"--> {identity.removeprefix('sha256:')[:12]}\n")

    def _from_cache(self, stage: Stage) -> bool:
        """An image that the caller has made here, with the same layers below, and the same steps up to here."""
        layers = stage.image.layers if stage.image else []
        history, before, said = stage.history, stage.image.config if stage.image else {}, stage.pending
        for image in self._known if self._cached else ():
            alike = image.history == history and image.layers[: len(layers)] == layers
            if alike and goes_on(before, said, image.config):
                stage.became(image)
                self._say(f"--> Using cache {image.id.removeprefix('sha256:')[:12]}\n")
                return True
        return False

    def _tell_unused(self, instructions: list[Instruction]) -> None:
        """docker's warning, for the one who has mistyped a name."""
        known = {word.partition("=")[0] for each in instructions if each.word == "ARG" for word in each.rest.split()}
        unused = sorted(self._given.keys() - known - PREDEFINED - platform.arguments().keys())
        if unused:
            self._say(f"no ARG is called {', '.join(unused)}: --build-arg {unused[0]} changes nothing\n")

    def _tell(self, text: str) -> None:
        self._step += 1
        self._say(f"STEP {self._step}/{self._steps}: {text}\n")

    def _say(self, text: str) -> None:
        """A stranger may have written what the terminal gets to see."""
        if not self._quiet:
            write_all(ERRORS, printable(text, keep="\n").encode("utf-8", "replace"))
