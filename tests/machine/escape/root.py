# SPDX-License-Identifier: GPL-3.0-or-later
"""A root directory with Python for the probes, made of the machine's own Debian: interpreter, modules, libraries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from machine.guest import Machine

PROGRAM = Path(__file__).with_name("program")
ROOT, ALICES = "/srv/python", "/srv/alice-python"
ARGV = ("/usr/bin/python3", "-IBSm", "escape_probes")
MAKE = r"""
set -eu
root=$1
version=$(python3 -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/usr/lib64" "$root/etc" "$root/tmp"
chmod 1777 "$root/tmp"
for name in bin lib lib64; do ln -sfn "usr/$name" "$root/$name"; done
cp /usr/bin/$version /bin/busybox "$root/usr/bin"
ln -sfn $version "$root/usr/bin/python3"
for applet in $(busybox --list); do [ -e "$root/usr/bin/$applet" ] || ln -s busybox "$root/usr/bin/$applet"; done
tar -C /usr/lib --exclude=test --exclude=idlelib --exclude=tkinter --exclude=ensurepip --exclude=lib2to3 \
    --exclude=pydoc_data --exclude=distutils --exclude='config-*' -c $version | tar -C "$root/usr/lib" -x
libraries=$(ldd /usr/bin/$version /usr/lib/$version/lib-dynload/_ctypes*.so | grep -o '/[^ ]*\.so[^ ]*' | sort -u)
for library in $libraries; do case $library in */lib-dynload/*) ;; *) cp -L --parents "$library" "$root" ;; esac; done
rm -rf "$root/usr/lib/$version/escape_probes"
mkdir "$root/usr/lib/$version/escape_probes"
tar -C "$root/usr/lib/$version/escape_probes" --no-same-owner -x
chown -R 0:0 "$root"
"""
FOR_ALICE = f"rm -rf {ALICES}; cp -a {ROOT} {ALICES}; chown -hR alice:alice {ALICES}"


def make(machine: Machine) -> None:
    """The same tree twice: root's, and alice's own."""
    machine.push(PROGRAM, "/srv/probes")
    pack = f"tar -C /srv/probes --exclude=__pycache__ -c . | sh -c '{quoted(MAKE)}' sh {ROOT}; {FOR_ALICE}"
    machine.run(["sh", "-euc", pack], timeout=120)


def quoted(script: str) -> str:
    return script.replace("'", "'\\''")
