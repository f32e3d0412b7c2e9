# SPDX-License-Identifier: GPL-3.0-or-later
"""mctld.conf(5) line by line: the file, then the drop-ins by name, so that the last to set a value decides."""

from __future__ import annotations

import glob
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .bounds import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = "/etc/mctl/mctld.conf"
DROP_INS = "/etc/mctl/mctld.conf.d/*.conf"
LIMITS, NETWORK, JOURNAL = "[Limits]", "[Network]", "[Journal]"
YES_NO = {"yes": True, "no": False}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Line:
    """key and value are empty where there is no equals sign."""

    place: str
    section: str
    text: str
    key: str
    value: str

    def ignored(self, why: str) -> None:
        log.warning("%s: %s is ignored: %s", self.place, shown(self.text), why)


def lines(file: str = FILE, drop_ins: str = DROP_INS) -> Iterator[Line]:
    """What cannot be read is told and left out."""
    for path in (file, *sorted(glob.glob(drop_ins))):
        section = ""
        try:
            with open(path, encoding="utf-8", errors="replace") as opened:
                for number, text in enumerate(map(str.strip, opened), 1):
                    if text.startswith("["):
                        section = text
                    elif text and text[0] not in "#;":
                        key, equals, value = (part.strip() for part in text.partition("="))
                        yield Line(f"{path}:{number}", section, text, key if equals else "", value)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("%s cannot be read: %s", path, error.strerror)
