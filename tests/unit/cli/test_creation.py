# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of run and create: what goes over the bus, and what is refused before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mctl.creation import container_options
from mctl.failures import UsageError
from mctl.parser import find_verb, load, parse
from mctl.refusals import ADVICE

if TYPE_CHECKING:
    from pathlib import Path

INFINITY = 2**64 - 1


def asked(*words: str) -> dict[str, tuple[str, Any]]:
    """What `mctl create WORDS / sh` puts on the bus, without what is always there."""
    options = container_options(parse(find_verb(["create", *words, "/", "sh", "-c", "x"])), {"Rootfs": ("h", 3)})
    assert options.pop("Rootfs") == ("h", 3)
    assert options.pop("Command") == ("as", ["sh", "-c", "x"])
    return options


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {}),
        (["--memory", "256m"], {"MemoryMax": ("t", 256 << 20)}),
        (["-m4m"], {"MemoryMax": ("t", 4 << 20)}),
        (["--memory=max"], {"MemoryMax": ("t", INFINITY)}),
        (["-m", "1g", "--swap", "1.5g"], {"MemoryMax": ("t", 1 << 30), "MemorySwapMax": ("t", 1 << 29)}),
        (["-m", "1g", "--swap", "1g"], {"MemoryMax": ("t", 1 << 30), "MemorySwapMax": ("t", 0)}),
        (["-m", "1g", "--memory-swap", "-1"], {"MemoryMax": ("t", 1 << 30), "MemorySwapMax": ("t", INFINITY)}),
        (["--swap", "max"], {"MemorySwapMax": ("t", INFINITY)}),
        (["--cpu", "0.5"], {"CPUQuotaPerSecUSec": ("t", 500_000)}),
        (["--cpus=2"], {"CPUQuotaPerSecUSec": ("t", 2_000_000)}),
        (["--cpu", "0.001"], {"CPUQuotaPerSecUSec": ("t", 1000)}),
        (["--cpu-weight", "1"], {"CPUWeight": ("t", 1)}),
        (["--cpu-weight", "10000"], {"CPUWeight": ("t", 10_000)}),
        (["--pids", "100"], {"TasksMax": ("t", 100)}),
        (["--pids-limit", "0"], {"TasksMax": ("t", INFINITY)}),
        (["--network", "a", "--net", "b"], {"Networks": ("as", ["a", "b"])}),
        (["--network", "none"], {"Networks": ("as", [])}),
        (["--ip", "172.20.0.9"], {"Address": ("s", "172.20.0.9")}),
        (["--ip6", "fd00::9"], {"Address6": ("s", "fd00::9")}),
        (
            ["-p", "8080:80", "-p", "80", "--publish", "127.0.0.2:53:5353/udp",
             "-p", "[fd00::1]:1000-1003:2000-2003/sctp"],
            {
                "Ports": (
                    "a(ssqqq)",
                    [
                        ("tcp", "", 8080, 80, 1), ("tcp", "", 0, 80, 1), ("udp", "127.0.0.2", 53, 5353, 1),
                        ("sctp", "fd00::1", 1000, 2000, 4),
                    ],
                )
            },
        ),
        (["-p", "0.0.0.0:1:2", "-p", "10.0.0.1::3"], {
            "Ports": ("a(ssqqq)", [("tcp", "", 1, 2, 1), ("tcp", "10.0.0.1", 0, 3, 1)])
        }),
        (["-u", "1000"], {"User": ("s", "1000")}),
        (["--user", "0:5"], {"User": ("s", "0:5")}),
        (["-w", "/srv"], {"WorkingDirectory": ("s", "/srv")}),
        (["--hostname", "a.b-c"], {"Hostname": ("s", "a.b-c")}),
        (["-e", "A=1", "-e", "B=", "-e", "A=2=3"], {"Environment": ("as", ["A=2=3", "B="])}),
        (["-e", "FROM_CALLER", "-e", "NOT_SET"], {"Environment": ("as", ["FROM_CALLER=yes"])}),
        (["--label", "team=web", "--label", "x"], {"Labels": ("a{ss}", {"team": "web", "x": ""})}),
        (
            ["--stop-signal", "INT", "--stop-timeout", "2.5"],
            {"StopSignal": ("i", 2), "TimeoutStopUSec": ("t", 2500000)},
        ),
        (["--rm", "-q"], {"AutoRemove": ("b", True)}),
    ],
)
def test_on_the_bus(words: list[str], expected: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_CALLER", "yes")
    monkeypatch.delenv("NOT_SET", raising=False)
    assert asked(*words) == expected


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--memory", "1m"], ["--memory", "1m", "4m"]),
        (["--memory", "4194303"], ["--memory", "4194303", "4194304"]),
        (["-m", "12q"], ["-m", "12q", "256m"]),
        (["-m", "512m", "--swap", "511m"], ["--swap", str(511 << 20), "--memory", str(512 << 20)]),
        (["--swap", "1g"], ["--swap", "--memory"]),
        (["-m", "max", "--swap", "1g"], ["--swap", "--memory"]),
        (["--cpu-weight", "0"], ["--cpu-weight", "0", "1 to 10000"]),
        (["--cpu-weight", "10001"], ["--cpu-weight", "10001", "1 to 10000"]),
        (["--cpu", "0"], ["--cpu", "0", "0.001", "8192"]),
        (["--cpus", "8193"], ["--cpus", "8193", "8192"]),
        (["--cpu", "nan"], ["--cpu", "nan"]),
        (["--cpu", "-0.5"], ["--cpu", "-0.5"]),
        (["--pids", "-5"], ["--pids", "-5", "0 to 4194304"]),
        (["--pids", "4194305"], ["--pids", "4194305", "4194304"]),
        (["--network", "Bridge"], ["--network", "'Bridge'", "1 to 63"]),
        (["--net", "none", "--network", "a"], ["--network", "none", "none, a"]),
        (["-p", "80:"], ["-p", "'80:'", "1 to 65535"]),
        (["-p", ""], ["-p", "''"]),
        (["-p", "0:80"], ["-p", "'0:80'", "1 to 65535"]),
        (["-p", "65536:80"], ["'65536:80'", "1 to 65535"]),
        (["-p", "80:80/icmp"], ["-p", "icmp", "tcp, udp, sctp"]),
        (["-p", "1000-1003:80"], ["-p", "same length"]),
        (["-p", "1003-1000:80-83"], ["-p", "1003-1000", "backwards"]),
        (["-p", "[::1:80:80"], ["-p", "'[::1:80:80'"]),
        (["-p", "1:2:3:4"], ["-p", "'1:2:3:4'"]),
        (["--ip", "172.20.0"], ["--ip", "'172.20.0'", "172.20.0.9"]),
        (["--ip", "172.20.0.256"], ["--ip", "172.20.0.256"]),
        (["--ip", "1.2.3.04"], ["--ip", "1.2.3.04"]),
        (["--ip6", "172.20.0.9"], ["--ip6", "'172.20.0.9'", "fd00::9"]),
        (["--ip6", "fe80::1%eth0"], ["--ip6", "'fe80::1%eth0'"]),
        (["--ip6", "fd00::\0"], ["--ip6"]),
        (["--name", "../x"], ["--name", "../x", "1 to 63"]),
        (["--name", "a\nb"], ["--name", r"a\nb", "1 to 63"]),
        (["--name", "x" * 300], ["--name", "xxx...", "1 to 63"]),
        (["--name", ""], ["--name", "''", "1 to 63"]),
        (["--name", "-x"], ["--name", "-x"]),
        (["--user", "web:"], ["--user", "web:", "USER:GROUP"]),
        (["--user", "a b"], ["--user", "a b"]),
        (["--user", "01"], ["--user", "01"]),
        (["--user", "4294967295"], ["--user", "4294967295", "4294967294"]),
        (["--user", "1:"], ["--user", "1:"]),
        (["-u", "-1"], ["-u", "-1"]),
        (["-w", "srv"], ["-w", "srv", "absolute"]),
        (["--hostname", "a b"], ["--hostname", "a b", "64"]),
        (["--hostname", "x" * 65], ["--hostname", "64"]),
        (["-e", "1 A=2"], ["-e", "1 A=2", "NAME=VALUE"]),
        (["--expose", "x"], ["--expose", "x", "PORT"]),
        (["--expose", "80/icmp"], ["--expose", "80/icmp"]),
        (["-e", "=x"], ["-e", "=x"]),
        (["--label", "=x"], ["--label", "=x"]),
        (["--stop-signal", "65"], ["--stop-signal", "65", "1 to 64"]),
        (["--stop-timeout", "-3"], ["--stop-timeout", "-3"]),
        (["--env-file", "/nonexistent"], ["--env-file", "/nonexistent"]),
    ],
)
def test_refused_with_flag_value_and_bound(words: list[str], parts: list[str]) -> None:
    with pytest.raises(UsageError) as raised:
        asked(*words)
    assert [part for part in parts if part not in str(raised.value)] == []


def test_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAKEN", "over")
    file = tmp_path / "env"
    file.write_text('# comment\n\nA=1\n  B="as it is" # kept\nTAKEN\nNOT_SET\nA=2\n')
    options = asked("--env-file", str(file), "-e", "C=3")
    assert options["Environment"] == ("as", ["A=2", 'B="as it is" # kept', "TAKEN=over", "C=3"])


def test_env_file_of_bytes(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_bytes(b"A=\xff\n")
    with pytest.raises(UsageError, match="UTF-8"):
        asked("--env-file", str(file))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xef\xbb\xbfA=1\r\nB=2\r\n", ["A=1", "B=2"]),  # as Windows' editor writes it
        ("A=x\u2028y\x85z\x0bw \n".encode(), ["A=x\u2028y\x85z\x0bw "]),
        (b" \tA='q'\n#B=1\n  # c\n\nC=", ["A='q'", "C="]),
        (b"discovery.type=single-node\nX-Y=1\n1A=2", ["discovery.type=single-node", "X-Y=1", "1A=2"]),
    ],
)
def test_env_file_as_docker_reads_it(tmp_path: Path, content: bytes, expected: list[str]) -> None:
    file = tmp_path / "env"
    file.write_bytes(content)
    assert asked("--env-file", str(file)) == {"Environment": ("as", expected)}


@pytest.mark.parametrize("content", [b"export A=1", b"=1", b"A B"])
def test_env_file_names_the_line_that_is_wrong(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "env"
    file.write_bytes(b"GOOD=1\n" + content)
    with pytest.raises(UsageError, match=f"{file}: '{content.decode()}' is not NAME=VALUE"):
        asked("--env-file", str(file))


def test_label_file(tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_bytes(b"# c\nteam=web\ntier\nx=1=2\n")
    assert asked("--label-file", str(file), "-l", "team=db") == {
        "Labels": ("a{ss}", {"team": "db", "tier": "", "x": "1=2"})
    }
    file.write_bytes(b"=web\n")
    with pytest.raises(UsageError, match="has no key"):
        asked("--label-file", str(file))


def test_only_this_hosts_platform() -> None:
    from mctl.building.platform import host

    assert asked("--platform", host()) == asked("--platform", host().removeprefix("linux/")) == {}
    with pytest.raises(UsageError, match=f"this host executes {host()}; `mctl pull --platform` fetches"):
        asked("--platform", "linux/s390x")


def test_what_is_so_here_of_volumes_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mctl.mounts.SELINUX", str(tmp_path / "enforce"))
    assert asked("-v", "data:/x:ro,z,cached") == {"Volumes": ("a(sss)", [("data", "/x", "ro")])}
    assert asked("-v", "data:/x:Z") == {"Volumes": ("a(sss)", [("data", "/x", "")])}
    with pytest.raises(UsageError, match="U is not offered: what belongs to you"):
        asked("-v", "data:/x:U")
    (tmp_path / "enforce").write_text("1")
    with pytest.raises(UsageError, match="z is not offered: `chcon"):
        asked("-v", "data:/x:z")


@pytest.mark.parametrize(("verb", "flags"), list(ADVICE.items()))
def test_what_is_refused_with_advice_is_not_offered(verb: str, flags: dict[str, str]) -> None:
    assert not set(flags) & {name for option in load(verb).VERB.options for name in option.names}
    for flag, advice in flags.items():
        with pytest.raises(UsageError) as caught:
            parse(find_verb([verb, flag, "x"]))
        assert str(caught.value) == f"{flag} is not offered: {advice}"


@pytest.mark.parametrize(
    ("words", "advice"),
    [(["kill", "-9", "web"], "-s 9 sends signal 9"), (["logs", "-l"], "name the container"), (["images", "-l"], "")],
)
def test_advice_for_a_kind_of_flag(words: list[str], advice: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(find_verb(words))
    expected = f"{words[1]} is not offered: {advice}" if advice else f"unknown option {words[1]}"
    assert str(caught.value).startswith(expected)
