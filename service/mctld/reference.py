# SPDX-License-Identifier: GPL-3.0-or-later
"""What images are called: docker's and podman's grammar, held to strictly.

https://github.com/distribution/reference/blob/main/reference.go
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .bounds import shown
from .errors import InvalidArgs

RULE = "[HOST[:PORT]/]NAME[/NAME...][:TAG], lower case but for the tag, as busybox or example.org/team/web:1.2"
REPOSITORY_MAX = 255
DEFAULT_TAG = "latest"
DOCKER_HUB = "docker.io"
FEWEST_DIGITS = 4  # of an id's beginning

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?"
_REFERENCE = re.compile(
    rf"(?P<repository>(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}))?",
    re.ASCII,
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_BEGINNING = re.compile(rf"(?:sha256:)?([0-9a-f]{{{FEWEST_DIGITS},64}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reference:
    """tag: or the digest of a manifest, which no tag can look like."""

    repository: str
    tag: str = DEFAULT_TAG

    @classmethod
    def parse_any(cls, text: str) -> Reference:
        """Also NAME@sha256:...: what a registry has under that digest, and under no other name. A tag before it says no
        more.
        """
        name, at, digest = text.partition("@")
        if not at:
            return cls.parse(text)
        return cls(cls.parse(name).repository, check_digest(digest))

    @classmethod
    def parse(cls, text: str) -> Reference:
        """A name that an image may be given."""
        found = _REFERENCE.fullmatch(text) if len(text) <= REPOSITORY_MAX + 129 else None
        if not found or len(found["repository"]) > REPOSITORY_MAX or _DIGEST.fullmatch(text):
            raise InvalidArgs(f"{shown(text)} is not a name of an image: it is {RULE}")
        return cls(_canonical(found["repository"]), found["tag"] or DEFAULT_TAG)

    @property
    def registry(self) -> str:
        """The host that the name begins with; empty where it has none, as docker tells them apart."""
        first, slash, _ = self.repository.partition("/")
        return first if slash and (set(first) & set(".:") or first == "localhost") else ""

    @property
    def on_docker_hub(self) -> Reference | None:
        """What docker means by a name without a registry."""
        return None if self.registry else Reference(_canonical(f"{DOCKER_HUB}/{self.repository}"), self.tag)

    @property
    def is_digest(self) -> bool:
        return ":" in self.tag

    def __str__(self) -> str:
        return f"{self.repository}{'@' if self.is_digest else ':'}{self.tag}"


def _canonical(repository: str) -> str:
    """Docker's registry has an old name, and a place for what has no place."""
    host, slash, rest = repository.partition("/")
    if not slash or host not in (DOCKER_HUB, f"index.{DOCKER_HUB}"):
        return repository
    return f"{DOCKER_HUB}/{rest}" if "/" in rest else f"{DOCKER_HUB}/library/{rest}"


def check_digest(text: str) -> str:
    """Before it becomes part of a path (CVE-2024-3727)."""
    if not _DIGEST.fullmatch(text):
        raise InvalidArgs(f"{shown(text)} is not a digest: it is sha256: and 64 digits of 0-9 and a-f")
    return text


def beginning_of_id(text: str) -> str | None:
    """The hexadecimal digits, where `text` may be an id, or the beginning of one."""
    found = _BEGINNING.fullmatch(text)
    return found[1] if found else None
