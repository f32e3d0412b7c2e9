# SPDX-License-Identifier: GPL-3.0-or-later
"""What machines an image's programs are for, in the words of Go and OCI.

https://github.com/opencontainers/image-spec/blob/main/image-index.md
"""

from __future__ import annotations

from dataclasses import dataclass

from .bounds import shown
from .errors import InvalidArgs


@dataclass(frozen=True, slots=True)
class Platform:
    """As linux/amd64 or linux/arm/v7."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(p.isascii() and p.replace("_", "").isalnum() for p in parts):
            raise InvalidArgs(f"the platform {shown(text)} is not OS/ARCHITECTURE[/VARIANT], as linux/arm64")
        return cls(*parts)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def fits(self, wanted: Platform) -> bool:
        same = (self.os, self.architecture) == (wanted.os, wanted.architecture)
        return same and wanted.variant in ("", self.variant)
