# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of containers and other objects as object paths and back, escaped like sd_bus_path_encode(3)."""

from __future__ import annotations

import re
import string

ROOT = "/org/mctl1"
CONTAINERS = f"{ROOT}/container"
EXECS = f"{ROOT}/exec"
NETWORKS = f"{ROOT}/network"
IMAGES = f"{ROOT}/image"
JOBS = f"{ROOT}/job"
VOLUMES = f"{ROOT}/volume"

_LETTERS = frozenset(string.ascii_letters.encode())
_DIGITS = frozenset(string.digits.encode())
_ESCAPED = re.compile(rb"_([0-9a-f]{2})")


def encode_label(text: str) -> str:
    """One element of an object path. A digit is kept except at the beginning."""
    if not text:
        return "_"
    return "".join(
        chr(byte) if byte in _LETTERS or (index and byte in _DIGITS) else f"_{byte:02x}"
        for index, byte in enumerate(text.encode())
    )


def decode_label(label: str) -> str | None:
    """None where encode_label would not have written it: an object has one path, not several."""
    raw = b"" if label == "_" else _ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), label.encode())
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    return text if encode_label(text) == label else None


def container_path(name: str) -> str:
    return f"{CONTAINERS}/{encode_label(name)}"


def network_path(name: str) -> str:
    return f"{NETWORKS}/{encode_label(name)}"


def exec_path(identity: str) -> str:
    return f"{EXECS}/{encode_label(identity)}"


def image_path(key: str) -> str:
    return f"{IMAGES}/{encode_label(key)}"


def job_path(identity: str) -> str:
    return f"{JOBS}/{encode_label(identity)}"


def volume_path(identity: str) -> str:
    return f"{VOLUMES}/{encode_label(identity)}"
