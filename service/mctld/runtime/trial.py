# SPDX-License-Identifier: GPL-3.0-or-later
"""What a start does, done in small and undone: for a check that is not content with version numbers."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from ..kernel import attempt, process
from ..kernel import constants as c
from . import rootfs, users

PROGRAMS = "/usr/sbin:/usr/bin:/sbin:/bin"
NFT_SECONDS = 10
SIOCBRADDBR = 0x89A0  # linux/sockios.h


@dataclass(frozen=True, slots=True)
class Layers:
    """Why the steps of a root file system failed; empty for those that did not."""

    idmap: str = ""
    overlay: str = ""


def layers(directory: str, user_namespace: int) -> Layers:
    """An idmapped mount of a directory below `directory`, then an overlay on it, in a mount namespace of its own.

    By the same functions as a start. Blocks for some milliseconds: call it in a thread.
    """
    try:
        place = tempfile.mkdtemp(prefix="trial-", dir=directory)
    except OSError as error:
        why = f"no directory can be made in {directory}: {_why(error)}"
        return Layers(why, why)
    try:
        return _layers(place, user_namespace)
    except OSError as error:
        return Layers(_why(error), _why(error))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _layers(place: str, user_namespace: int) -> Layers:
    with ExitStack() as opened:
        lower = _directory(f"{place}/lower")
        opened.callback(os.close, lower)
        try:
            mounted = rootfs.lower_mount(lower, user_namespace)
        except OSError as error:
            return Layers(idmap=_why(error), overlay="its lower directory could not be mounted")
        opened.callback(os.close, mounted)
        return Layers(overlay=_overlay(place, lower, mounted))


def _overlay(place: str, lower: int, mounted: int) -> str:
    staging = rootfs.Staging(f"{place}/staging")
    try:
        rootfs.make_layers(f"{place}/container", lower, users.FIRST, owned=False)
        os.close(staging.overlay([mounted], f"{place}/container", volatile=True))
    except OSError as error:
        return _why(error)
    except BrokenExecutor:  # its thread could not enter a mount namespace of its own
        return "there are no mount namespaces"
    finally:
        staging.close()
    return ""


def _directory(path: str) -> int:
    os.mkdir(path, 0o755)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def system_calls() -> dict[str, str]:
    """Those that a start makes and that do not answer, and why."""
    return attempt.refused()


def device_rules() -> str | None:
    """Why systemd cannot enforce rules for devices, empty if it can; None where that cannot be tried."""
    try:
        attempt.load_device_program()
    except NotImplementedError:
        return None
    except OSError as error:
        return _why(error)
    return ""


def _why(error: OSError) -> str:
    return str(error.strerror or error)


def filter_library() -> str:
    """Why no system call filter can be compiled, empty if one can."""
    try:
        from .seccomp import program, shelf  # as a start: libseccomp's binding is not loaded before it is needed

        assert program
        shelf.library_version()
    except (ImportError, OSError, RuntimeError) as error:
        return str(error)
    return ""


@dataclass(frozen=True, slots=True)
class Network:
    """Why making a bridge and asking nft(8) failed; empty for what did not, None for an nft that is not there."""

    bridge: str
    nft: str | None


def network() -> Network:
    """In a network namespace that is gone afterwards, with the thread that made it."""
    with ThreadPoolExecutor(1, "trial") as thread:
        return thread.submit(_network).result()


def _network() -> Network:
    try:
        process.unshare(c.CLONE_NEWNET)
    except OSError as error:
        why = f"no network namespace: {_why(error)}"
        return Network(why, why)
    return Network(_bridge(), ask_nft())


def _bridge() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            fcntl.ioctl(any_socket, SIOCBRADDBR, b"trial\0")
        except OSError as error:
            return _why(error)
    return ""


def ask_nft() -> str | None:
    nft = shutil.which("nft", path=PROGRAMS)
    if nft is None:
        return None
    try:
        done = subprocess.run([nft, "list", "tables"], capture_output=True, text=True, check=False, timeout=NFT_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return " ".join(done.stderr.split())[:200] or f"status {done.returncode}" if done.returncode else ""
