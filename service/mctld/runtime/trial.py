# SPDX-License-Identifier: GPL-3.0-or-later
"""What a start does, done in small and undone: for a check that is not content with version numbers."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
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
# linux/rtnetlink.h, linux/if_link.h; Python has no names for these
RTM_NEWLINK, NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE, NLMSG_ERROR = 16, 0x1, 0x4, 0x400, 2
IFLA_LINK, IFLA_LINKINFO, IFLA_INFO_KIND = 5, 18, 1
ANSWER_SECONDS = 10.0


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
    """Why making a bridge, a macvlan and a socket of SCTP, and asking nft(8), failed; empty for what did not.

    None for an nft that is not there.
    """

    bridge: str
    nft: str | None
    macvlan: str = ""
    sctp: str = ""


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
    bridge = _bridge()
    return Network(bridge, ask_nft(), "" if bridge else _macvlan(socket.if_nametoindex("trial")), _sctp())


def _bridge() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            fcntl.ioctl(any_socket, SIOCBRADDBR, b"trial\0")
        except OSError as error:
            return _why(error)
    return ""


def _macvlan(link: int) -> str:
    kind = _attribute(IFLA_LINKINFO, _attribute(IFLA_INFO_KIND, b"macvlan\0"))
    body = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + _attribute(IFLA_LINK, struct.pack("=I", link)) + kind
    flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as asking:
            asking.settimeout(ANSWER_SECONDS)
            asking.sendto(struct.pack("=IHHII", 16 + len(body), RTM_NEWLINK, flags, 1, 0) + body, (0, 0))
            answer = asking.recv(1 << 16)
    except OSError as error:
        return _why(error)
    _, said, _, _, _, number = struct.unpack_from("=IHHIIi", answer)
    return os.strerror(-number) if said == NLMSG_ERROR and number else ""


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _sctp() -> str:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError as error:
        return _why(error)
    return ""


def rules() -> str:
    """All of nftables, as libnftables-json(5) has it, without the elements of sets; empty where nobody tells."""
    nft = shutil.which("nft", path=PROGRAMS)
    if nft is None:
        return ""
    command = [nft, "--json", "--terse", "list", "ruleset"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=NFT_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return ""
    return "" if done.returncode else done.stdout


def ask_nft() -> str | None:
    nft = shutil.which("nft", path=PROGRAMS)
    if nft is None:
        return None
    try:
        done = subprocess.run([nft, "list", "tables"], capture_output=True, text=True, check=False, timeout=NFT_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return " ".join(done.stderr.split())[:200] or f"status {done.returncode}" if done.returncode else ""
