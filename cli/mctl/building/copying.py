# SPDX-License-Identifier: GPL-3.0-or-later
"""COPY and ADD: from the context, another stage or another image, to the members of a new layer."""

from __future__ import annotations

import io
import os
import posixpath
import re
import shutil
import tarfile
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from .containerfile import name_of_document
from .context import Context, of_archive
from .ignore import has_wildcard, rule
from .placing import Layout, Ownership, digest
from .words import array, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .containerfile import Document, Instruction
    from .placing import Member
    from .service import Image, Service
    from .stage import Stage

ACCOUNTS = (("/etc/passwd", 2), ("/etc/group", 2))
ACCOUNTS_MAX = 4 << 20
_URL = re.compile(r"(https?|git|ssh|ftp)://|git@", re.IGNORECASE)


class Copying:
    def __init__(self, service: Service, stage: Stage, instruction: Instruction) -> None:
        self._service = service
        self._stage = stage
        self._instruction = instruction
        self._expand = stage.expansion()
        words = array(instruction.rest) or split(instruction.rest, stage.escape)
        if len(words) < 2:
            raise instruction.wrong(f"{instruction.word} takes at least one source, and where it goes")
        *sources, target = words
        self._documents = {each.name: each for each in instruction.documents}
        self.sources = [word if word.startswith("<<") else self._expand(word) for word in sources]
        self._into = self._expand(target)

    def from_context(self, context: Context) -> tuple[list[Member], str]:
        """The members, and what the cache knows them by."""
        found = [each for source in self.sources for each in self._of_context(context, source)]
        layout = self._layout()
        several = len(found) > 1
        for path, files, is_directory in found:
            self._place(layout, path, files, is_directory=is_directory, several=several)
        return layout.members, f"{self._instruction.word} sha256:{digest(layout.members)} {self._told()}"

    def from_image(self, image: Image) -> tuple[list[Member], str]:
        layout = self._layout()
        found = [each for source in self.sources for each in self._of_image(image, source)]
        for path, files, is_directory in found:
            self._place(layout, path, files, is_directory=is_directory, several=len(found) > 1)
        return layout.members, self.told_from(image)

    def told_from(self, image: Image) -> str:
        """Known before anything is read: the image says which files these are."""
        return f"{self._instruction.word} --from={image.id} {' '.join(self.sources)} {self._told()}"

    # Inside

    def _told(self) -> str:
        flags = "".join(f"{name}={self._instruction.flag(name)} " for name in ("chown", "chmod")
                        if name in self._instruction.flags)  # fmt: skip
        return f"{flags}in {self._into}"

    def _layout(self) -> Layout:
        image = self._stage.image
        if image is None:
            return Layout(lambda path: (path, "", 0, 0, 0), self._ownership())
        return Layout(lambda path: self._service.resolve(image.id, path), self._ownership())

    def _target(self) -> str:
        """Absolute; ends with a slash where it says that it is a directory."""
        path = posixpath.normpath(posixpath.join("/", self._stage.directory, self._into))
        path = path[1:] if path.startswith("//") else path
        last = self._into.rpartition("/")[2]
        return path if path == "/" or last not in ("", ".", "..") else f"{path}/"

    def _place(
        self, layout: Layout, source: str, files: Iterator[tuple[str, Member]], *, is_directory: bool, several: bool
    ) -> None:
        target = self._target()
        if several and not target.endswith("/") and not layout.is_directory(target):
            raise self._wrong(f"several files go into {target!r}, which is no directory: end it with a slash")
        into = is_directory or target.endswith("/") or layout.is_directory(target)
        for name, (info, opener) in files:
            path = posixpath.join(target, name) if into else target
            layout.put(path, info, opener)
        del source

    def _of_context(self, context: Context, source: str) -> Iterator[tuple[str, Iterator[tuple[str, Member]], bool]]:
        document = self._documents.get(name_of_document(source)) if source.startswith("<<") else None
        if document:
            yield document.name, iter([(document.name, self._inline(document))]), False
            return
        if _URL.match(source):
            name, member = self._fetched(source)
            yield name, iter([(name, member)]), False
            return
        if "checksum" in self._instruction.flags:
            raise self._wrong(f"--checksum is of what is fetched, and {source!r} is no URL")
        matching = context.matching(source)
        if not matching:
            raise self._wrong(f"{source!r} is not in the context")
        for path in matching:
            if self._instruction.word == "ADD" and (unpacked := self._unpacked(context, path)) is not None:
                yield path, unpacked, True
                continue
            files = ((name, (file.info, file.open)) for name, file in context.below(path))
            yield path, files, context.is_directory(path)

    def _fetched(self, url: str) -> tuple[str, Member]:
        """With docker's mode; archives stay as they are."""
        from .fetching import FetchError, fetch, is_git, name_of

        if self._instruction.word == "COPY":
            raise self._wrong(f"{url!r} is not fetched by COPY: ADD does it")
        if is_git(url):
            raise self._wrong(f"{url!r} is not fetched, for it is no http or https of a file: let a RUN clone it")
        try:
            info = tarfile.TarInfo(name_of(url) if self._target().endswith("/") else "fetched")
            found = fetch(url, self._expand(self._instruction.flag("checksum")))
        except FetchError as error:
            raise self._wrong(f"{url!r} cannot be fetched: {error}") from None
        info.size, info.mode, info.mtime = found.size, 0o600, found.modified
        return info.name, (info, again(found.file))

    def _unpacked(self, context: Context, path: str) -> Iterator[tuple[str, Member]] | None:
        """ADD unpacks archives."""
        if context.is_directory(path):
            return None
        ((_, file),) = context.below(path)
        if file.open is None:
            return None
        opened = file.open()
        if not opened.seekable() or not _is_archive(opened):
            opened.close()
            return None
        inside = of_archive(opened, repr(path))
        return ((name, (each.info, each.open)) for name, each in inside.below(""))

    def _of_image(self, image: Image, source: str) -> Iterator[tuple[str, Iterator[tuple[str, Member]], bool]]:
        path = posixpath.normpath(posixpath.join("/", source))
        path = path[1:] if path.startswith("//") else path
        if has_wildcard(path):
            yield from self._matching(image, path)
            return
        _, kind, *_ = self._service.resolve(image.id, path)
        if not kind:
            raise self._wrong(f"{source!r} is not in the image that it is to come from")
        with self._service.files(image.id, path) as archive:
            files = kept(archive)
        named = [(name if kind == "directory" else posixpath.basename(path), member) for name, member in files]
        yield path, (each for each in named if each[0] != "."), kind == "directory"

    def _matching(self, image: Image, path: str) -> Iterator[tuple[str, Iterator[tuple[str, Member]], bool]]:
        parts = path.split("/")
        first = next(number for number, part in enumerate(parts) if has_wildcard(part))
        above, wild = "/".join(parts[:first]) or "/", rule("/".join(parts[first:]), r"(/.*)?")
        with self._service.files(image.id, above) as archive:
            files = [(name, member) for name, member in kept(archive) if wild.match(name)]
        depth = len(parts) - first
        tops = dict.fromkeys("/".join(name.split("/")[:depth]) for name, _ in files)
        if not tops:
            raise self._wrong(f"nothing in the image matches {path!r}")
        for top in tops:
            is_directory = any(name == top and info.isdir() for name, (info, _) in files)
            below = [(name[len(top) + 1 :], member) for name, member in files if name.startswith(f"{top}/")]
            alone = [(posixpath.basename(top), member) for name, member in files if name == top]
            yield top, iter(below if is_directory else alone), is_directory

    def _inline(self, document: Document) -> Member:
        data = (document.text if document.literal else self._expand(document.text, quotes=False)).encode()
        info = tarfile.TarInfo(document.name)
        info.size, info.mode = len(data), 0o644
        return info, lambda: io.BytesIO(data)

    def _ownership(self) -> Ownership | None:
        chown, chmod = self._instruction.flag("chown"), self._instruction.flag("chmod")
        mode = None
        if chmod:
            if not re.fullmatch(r"0?[0-7]{3,4}", self._expand(chmod)):
                raise self._wrong(f"--chmod={chmod} is not a mode: give octal digits, as 755")
            mode = int(self._expand(chmod), 8)
        if not chown:
            return Ownership(0, 0, mode) if "from" not in self._instruction.flags else (
                Ownership(-1, -1, mode) if mode is not None else None)  # fmt: skip
        user, _, group = self._expand(chown).partition(":")
        uid = self._id(user, *ACCOUNTS[0])
        return Ownership(uid, self._id(group, *ACCOUNTS[1]) if group else uid, mode)

    def _id(self, name: str, path: str, field: int) -> int:
        """A number, or what the image's own files say."""
        if name.isascii() and name.isdigit():
            return int(name)
        if self._stage.image:
            with self._service.files(self._stage.image.id, path) as archive:
                text = next((archive.extractfile(info) or io.BytesIO()).read(ACCOUNTS_MAX) for info in archive)
            for line in text.decode("utf-8", "replace").splitlines():
                parts = line.split(":")
                if parts[0] == name and len(parts) > field and parts[field].isdigit():
                    return int(parts[field])
        raise self._wrong(f"--chown: {name!r} is not in the image's {path}")

    def _wrong(self, sentence: str) -> Exception:
        return self._instruction.wrong(sentence)


def _is_archive(opened: IO[bytes]) -> bool:
    """With something in it: an image of a disk begins with zeros, which to tarfile is an archive's end."""
    try:
        with tarfile.open(fileobj=opened) as archive:
            found = archive.next() is not None
    except (tarfile.TarError, OSError, EOFError):
        found = False
    opened.seek(0)
    return found


def kept(archive: tarfile.TarFile) -> list[tuple[str, Member]]:
    """What a stream gives once; on the disk, since it may be large. Hard links become files."""
    found: dict[str, Member] = {}
    for info in archive:
        name = posixpath.normpath(info.name)
        if info.islnk():
            there, opener = found[posixpath.normpath(info.linkname)]
            info.size = there.size
            found[name] = info, opener
        else:
            content = archive.extractfile(info) if info.isreg() else None
            found[name] = info, _stored(content) if content else None
    return list(found.items())


def _stored(content: IO[bytes]) -> Callable[[], IO[bytes]]:
    kept = TemporaryFile()  # noqa: SIM115 (lives as long as the layer is made)
    shutil.copyfileobj(content, kept, 1 << 20)
    return again(kept)


def again(kept: IO[bytes]) -> Callable[[], IO[bytes]]:
    """A file without a name, from its beginning each time."""

    def opener() -> IO[bytes]:
        kept.seek(0)
        return io.FileIO(os.dup(kept.fileno()))

    return opener
