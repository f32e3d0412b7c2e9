# SPDX-License-Identifier: GPL-3.0-or-later
"""A small image without a registry: Debian's busybox-static and a link for each of its programs."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import tarfile

from .archives import Archive
from .failures import UsageError

PROGRAMS = ("/bin/busybox", "/usr/bin/busybox")
DIRECTORIES = {
    "bin": 0o755, "dev": 0o755, "etc": 0o755, "home": 0o755, "proc": 0o555, "root": 0o700, "run": 0o755, "sys": 0o555,
    "tmp": 0o1777, "usr": 0o755, "usr/bin": 0o755, "var": 0o755, "var/tmp": 0o1777,
}  # fmt: skip
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
    "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    **dict.fromkeys(("etc/hostname", "etc/hosts", "etc/resolv.conf"), ""),  # else each container makes room for its own
}
COMMAND = ["/bin/sh"]
PT_INTERP = 3  # elf.h


def busybox_archive() -> Archive:
    """The same bytes for the same busybox, whoever makes them and when."""
    path = next((path for path in PROGRAMS if os.path.exists(path)), None)
    if path is None:
        raise UsageError("there is no busybox here: install the package busybox-static")
    with open(path, "rb") as file:
        program = file.read()
        changed = int(os.fstat(file.fileno()).st_mtime)
    if not is_static(program):
        raise UsageError(f"{path} needs libraries of this host: install the package busybox-static in its place")
    applets = subprocess.run([path, "--list"], capture_output=True, text=True, check=True).stdout.split()
    memory = os.memfd_create("busybox", os.MFD_CLOEXEC)
    with open(memory, "wb", closefd=False) as out:
        pack(out, program, sorted({*applets} - {"busybox"}), changed)
    os.lseek(memory, 0, os.SEEK_SET)
    return Archive(memory, changed)


def pack(out: io.BufferedIOBase, program: bytes, applets: list[str], changed: int) -> None:
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, mode in DIRECTORIES.items():
            add(tar, name, changed, tarfile.DIRTYPE, mode)
        add(tar, "bin/busybox", changed, tarfile.REGTYPE, 0o755, program)
        for name, text in FILES.items():
            add(tar, name, changed, tarfile.REGTYPE, 0o644, text.encode())
        for applet in applets:
            add(tar, f"bin/{applet}", changed, tarfile.SYMTYPE, 0o777, link="busybox")


def add(
    tar: tarfile.TarFile, name: str, changed: int, kind: bytes, mode: int, content: bytes = b"", link: str = ""
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime, entry.size, entry.linkname = kind, mode, changed, len(content), link
    tar.addfile(entry, io.BytesIO(content))


def is_static(program: bytes) -> bool:
    """An ELF file whose program headers name no interpreter, elf(5)."""
    if program[:4] != b"\x7fELF":
        return False
    wide, order = program[4] == 2, "<" if program[5] == 1 else ">"
    try:
        (at,) = struct.unpack_from(order + ("Q" if wide else "I"), program, 32 if wide else 28)
        size, count = struct.unpack_from(order + "HH", program, 54 if wide else 42)
        kinds = [struct.unpack_from(order + "I", program, at + n * size)[0] for n in range(count)]
    except struct.error:
        return False
    return PT_INTERP not in kinds
