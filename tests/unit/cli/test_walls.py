# SPDX-License-Identifier: GPL-3.0-or-later
"""Options about what a container may do and what it is shown: what goes over the bus, and what is refused before."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from mctl.creation import container_options
from mctl.failures import UsageError
from mctl.parser import find_verb, parse

if TYPE_CHECKING:
    from pathlib import Path

INFINITY = 2**64 - 1


def asked(*words: str) -> dict[str, tuple[str, Any]]:
    """What `mctl create WORDS / sh` puts on the bus, without what is always there."""
    options = container_options(parse(find_verb(["create", *words, "/", "sh"])), {"Rootfs": ("h", 3)})
    return {key: value for key, value in options.items() if key not in ("Rootfs", "Command")}


STRICT = {"Seccomp": ("s", "strict"), "DropCapabilities": ("as", ["ALL"])}
PRIVILEGED = {
    "Seccomp": ("s", "unconfined"), "NoNewPrivileges": ("b", False),
    "AddCapabilities": ("as", ["ALL"]), "Unmask": ("as", ["ALL"]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--cap-add", "net_raw", "--cap-add=CAP_SYS_TIME"], {"AddCapabilities": ("as", ["NET_RAW", "SYS_TIME"])}),
        (["--cap-drop", "all"], {"DropCapabilities": ("as", ["ALL"])}),
        (["--cap-add", "All"], {"AddCapabilities": ("as", ["ALL"])}),
        (["--security-opt", "strict"], STRICT),
        (["--security-opt", "strict", "--cap-drop", "CHOWN"], STRICT),
        (["--security-opt", "strict", "--cap-add", "KILL"], {**STRICT, "AddCapabilities": ("as", ["KILL"])}),
        (["--security-opt", "seccomp=unconfined"], {"Seccomp": ("s", "unconfined")}),
        (["--security-opt", "seccomp:strict"], {"Seccomp": ("s", "strict")}),
        (["--security-opt", "seccomp=strict", "--security-opt", "seccomp=default"], {"Seccomp": ("s", "default")}),
        (["--security-opt", "no-new-privileges"], {"NoNewPrivileges": ("b", True)}),
        (["--security-opt", "no-new-privileges=false"], {"NoNewPrivileges": ("b", False)}),
        (["--security-opt", "no-new-privileges:true"], {"NoNewPrivileges": ("b", True)}),
        (["--security-opt", "unmask=/proc/kcore:/sys/firmware"], {"Unmask": ("as", ["/proc/kcore", "/sys/firmware"])}),
        (["--security-opt", "unmask=ALL", "--security-opt", "unmask=/proc/a"], {"Unmask": ("as", ["ALL", "/proc/a"])}),
        (["--privileged"], PRIVILEGED),
        (["--privileged", "--cap-add", "KILL"], PRIVILEGED),
        (["--privileged", "--cap-drop", "MKNOD"], {**PRIVILEGED, "DropCapabilities": ("as", ["MKNOD"])}),
        (["--privileged", "--security-opt", "seccomp=default"], {**PRIVILEGED, "Seccomp": ("s", "default")}),
        (["--privileged", "--security-opt", "no-new-privileges"], {**PRIVILEGED, "NoNewPrivileges": ("b", True)}),
        (["--userns", "host"], {"UserNamespace": ("s", "host")}),
        (["--userns=auto"], {"UserNamespace": ("s", "auto")}),
        (["--userns", "100000"], {"UserNamespace": ("s", "100000")}),
        (["--ulimit", "nofile=1024:4096"], {"Rlimits": ("a{s(tt)}", {"NOFILE": (1024, 4096)})}),
        (["--ulimit", "core=0", "--ulimit", "core=-1"], {"Rlimits": ("a{s(tt)}", {"CORE": (INFINITY, INFINITY)})}),
        (["--ulimit", "memlock=1:unlimited"], {"Rlimits": ("a{s(tt)}", {"MEMLOCK": (1, INFINITY)})}),
        (["--sysctl", "net.ipv4.ip_forward=1"], {"Sysctls": ("a{ss}", {"net.ipv4.ip_forward": "1"})}),
        (["--sysctl", "kernel.sem=1 2=3"], {"Sysctls": ("a{ss}", {"kernel.sem": "1 2=3"})}),
        (["--oom-score-adj", "-1000"], {"OOMScoreAdjust": ("i", -1000)}),
        (["--init", "--read-only"], {"Init": ("b", True), "ReadOnly": ("b", True)}),
        (["--tmpfs", "/run", "--tmpfs=/x:size=1m,exec"], {"Tmpfs": ("a{ss}", {"/run": "", "/x": "size=1m,exec"})}),
        (["--mount", "type=tmpfs,target=/x,tmpfs-size=1m,ro"], {"Tmpfs": ("a{ss}", {"/x": "ro,size=1m"})}),
        (["--mount", "type=tmpfs,dst=/x,tmpfs-mode=700"], {"Tmpfs": ("a{ss}", {"/x": "mode=700"})}),
        (["--mount", "type=volume,source=data,dst=/x,ro,volume-subpath=a/b"],
         {"Volumes": ("a(sss)", [("data", "/x", "ro,subpath=a/b")])}),
        (["--mount", "type=volume,src=data,dst=/x,subpath=a,volume-nocopy"],
         {"Volumes": ("a(sss)", [("data", "/x", "nocopy,subpath=a")])}),
        (["--shm-size", "1g"], {"ShmSize": ("t", 1 << 30)}),
        (["--add-host", "db:10.0.0.9"], {"Hosts": ("a{ss}", {"db": "10.0.0.9"})}),
        (["--add-host", "db:[fe80::1]", "--add-host", "x:::1"], {"Hosts": ("a{ss}", {"db": "fe80::1", "x": "::1"})}),
        (["--dns", "1.1.1.1", "--dns", "8.8.8.8"], {"NameServers": ("as", ["1.1.1.1", "8.8.8.8"])}),
    ],
)  # fmt: skip
def test_on_the_bus(words: list[str], expected: dict[str, object]) -> None:
    assert asked(*words) == expected


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--cap-add", "NET-RAW"], ["--cap-add", "'NET-RAW'", "NET_RAW"]),
        (["--cap-drop", ""], ["--cap-drop", "''"]),
        (["--cap-add", "21"], ["--cap-add", "'21'"]),
        (["--security-opt", "strict=1"], ["--security-opt", "strict=1", "no-new-privileges"]),
        (["--security-opt", "apparmor=unconfined"], ["apparmor=unconfined", "is not offered"]),
        (["--security-opt", "label=disable"], ["label=disable", "is not offered"]),
        (["--security-opt", "seccomp="], ["seccomp=", "FILE"]),
        (["--security-opt", "seccomp"], ["'seccomp'"]),
        (["--security-opt", "seccomp=/nonexistent"], ["seccomp=/nonexistent", "No such file"]),
        (["--security-opt", "seccomp=/dev"], ["seccomp=/dev", "Is a directory"]),
        (["--security-opt", "no-new-privileges=yes"], ["no-new-privileges=yes"]),
        (["--security-opt", "unmask="], ["unmask="]),
        (["--userns", "keep-id"], ["--userns", "'keep-id'", "65536"]),
        (["--userns", "-1"], ["--userns"]),
        (["--userns", "0100000"], ["0100000"]),
        (["--userns", "1e6"], ["1e6"]),
        (["--ulimit", "nofile"], ["'nofile'", "nofile=1024:4096"]),
        (["--ulimit", "nofile="], ["is not a number"]),
        (["--ulimit", "=1"], ["'=1'"]),
        (["--ulimit", "core=9223372036854775808"], ["9223372036854775808 is too large", "or unlimited"]),
        (["--ulimit", "nofile=2:1"], ["soft limit above"]),
        (["--ulimit", "nofile=1:2:3"], ["1:2:3"]),
        (["--ulimit", "nofile=1k"], ["'1k' is not a number"]),
        (["--ulimit", "nofile=1.5"], ["'1.5' is not a number"]),
        (["--ulimit", "core=unlimited:5"], ["soft limit above"]),
        (["--ulimit", "core=99999999999999999999"], ["is too large: the most is 9223372036854775807"]),
        (["--sysctl", "net.x"], ["'net.x'", "NAME=VALUE"]),
        (["--sysctl", "=1"], ["NAME=VALUE"]),
        (["--oom-score-adj", "1001"], ["--oom-score-adj", "1001", "1000"]),
        (["--oom-score-adj", "x"], ["--oom-score-adj", "x"]),
        (["-v", "srv"], ["-v", "'srv'", "HOST-PATH:PATH[:ro]"]),
        (["-v", "/srv:srv"], ["HOST-PATH:PATH[:ro]"]),
        (["-v", ":/srv"], ["HOST-PATH:PATH[:ro]"]),
        (["-v", "data:srv"], ["VOLUME:PATH[:ro]"]),
        (["-v", "/nonexistent:/srv"], ["/nonexistent", "No such file"]),
        (["-v", "/a\0b:/srv"], ["cannot show"]),
        (["--mount", "type=bind,target=/x"], ["type=bind,source=PATH"]),
        (["--mount", "type=volume,source=/,target=/x"], ["type=volume"]),
        (["--mount", "source=/"], ["type=bind,source=PATH"]),
        (["--mount", "source=/,target=/x,readonly=yes"], ["readonly is 'yes'", "true or false"]),
        (["--mount", "source=/,target=/x,ro=no"], ["ro is 'no'"]),
        (["--mount", "source=/,target=/x,bind-nonrecursive=maybe"], ["bind-nonrecursive is 'maybe'"]),
        (["--mount", "source=/,target=/x,bind-propagation=shared"], ["'bind-propagation' is not known", "bind has"]),
        (["--mount", "type=tmpfs,source=/,target=/x"], ["type=tmpfs"]),
        (["--mount", "type=tmpfs,target=/x,bind-nonrecursive"], ["'bind-nonrecursive'", "tmpfs has target,"]),
        (["--mount", "type=volume,target=/x,volume-driver=nfs"], ["'volume-driver'", "has source, target", "-subpath"]),
        (["--tmpfs", "run"], ["--tmpfs", "'run'", "/run:size=64m"]),
        (["--tmpfs", "/x:ro", "--tmpfs", "/x:rw"], ["--tmpfs", "at one place", "/x"]),
        (["--shm-size", "lots"], ["--shm-size", "lots"]),
        (["--add-host", "db"], ["'db'", "NAME:ADDRESS"]),
        (["--add-host", ":1.2.3.4"], ["NAME:ADDRESS"]),
        (["--add-host", "db:"], ["NAME:ADDRESS"]),
    ],
)
def test_refused_with_flag_value_and_bound(words: list[str], parts: list[str]) -> None:
    with pytest.raises(UsageError) as raised:
        asked(*words)
    assert [part for part in parts if part not in str(raised.value)] == []


def test_a_profile_is_sent_as_text(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    file.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    assert asked("--security-opt", f"seccomp={file}") == {"Seccomp": ("s", file.read_text())}
    file.write_bytes(b"{\xff}")
    with pytest.raises(UsageError, match="not UTF-8"):
        asked("--security-opt", f"seccomp={file}")
    file.write_text("é" * (128 << 10) + "x")
    with pytest.raises(UsageError, match="larger than 262144 bytes"):
        asked("--security-opt", f"seccomp={file}")


@pytest.mark.parametrize(
    ("words", "target", "options"),
    [
        (["-v", "{}:/data"], "/data", ""),
        (["-v", "{}:/data:ro"], "/data", "ro"),
        (["-v", "{}:/data:ro,x"], "/data", "ro,x"),  # the service knows what it offers
        (["--mount", "type=bind,source={},target=/data"], "/data", ""),
        (["--mount", "src={},dst=/data,readonly"], "/data", "ro"),
        (["--mount", "source={},destination=/data,ro=1,bind-nonrecursive"], "/data", "ro,bind"),
        (["--mount", "source={},target=/data,readonly=false,bind-nonrecursive=true"], "/data", "bind"),
    ],
)
def test_what_is_shown_is_opened_here(tmp_path: Path, words: list[str], target: str, options: str) -> None:
    """With the caller's own rights, and without reading it: a directory, a file, a socket."""
    (kind, [(opened, *rest)]) = asked(*(word.format(tmp_path) for word in words))["Mounts"]
    assert (kind, rest) == ("a(hss)", [target, options])
    assert os.readlink(f"/proc/self/fd/{opened}") == str(tmp_path)
    with pytest.raises(OSError, match="Bad file descriptor"):  # O_PATH
        os.read(opened, 1)
    os.close(opened)


def test_a_path_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (_, [(opened, *_rest)]) = asked("-v", "./:/x")["Mounts"]
    assert os.readlink(f"/proc/self/fd/{opened}") == str(tmp_path)
    os.close(opened)


def test_a_message_carries_so_many_descriptors() -> None:
    with pytest.raises(UsageError, match="13 paths of the host are too many: the most is 12"):
        asked(*(word for number in range(13) for word in ("-v", f"/:/x{number}")))
