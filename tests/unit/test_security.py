# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container's processes may do: a Security that exists is valid; one that would not be says why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mctld import capability, security
from mctld.errors import InvalidArgs
from mctld.hidden import MASKED, READ_ONLY
from mctld.security import RLIMIT_INFINITY, RLIMIT_MAX, Security

DEFAULT = capability.DEFAULT


@pytest.mark.parametrize(
    ("added", "dropped", "kept"),
    [
        ([], [], DEFAULT),
        (["ALL"], [], capability.NAMES),
        ([], ["ALL"], ()),
        (["CHOWN"], [], DEFAULT),
        (["net_raw"], ["ALL"], ("NET_RAW",)),
        (["CAP_NET_RAW", "Cap_Sys_Time"], ["all"], ("NET_RAW", "SYS_TIME")),
        (["ALL"], ["SYS_ADMIN"], tuple(n for n in capability.NAMES if n != "SYS_ADMIN")),
        ([], ["chown", "CAP_SETFCAP"], tuple(n for n in DEFAULT if n not in ("CHOWN", "SETFCAP"))),
        (["NET_RAW"], [], tuple(n for n in capability.NAMES if n in (*DEFAULT, "NET_RAW"))),
    ],
)
def test_what_is_kept(added: list[str], dropped: list[str], kept: tuple[str, ...]) -> None:
    assert security.keep_set(added, dropped) == kept


@pytest.mark.parametrize(
    ("added", "dropped", "words"),
    [
        (["NET_RAW"], ["CAP_net_raw"], "NET_RAW is both"),
        (["ALL"], ["ALL"], "ALL is both"),
        (["NOPE"], [], "AddCapabilities 'NOPE' is not known"),
        ([], ["CAP_"], "DropCapabilities '' is not known"),
        (["CAP_CAP_CHOWN"], [], "'CAP_CHOWN' is not known"),
        (["CHOWN\n"], [], "is not known"),
        (["ﬁle"], [], "is not known"),
    ],
)
def test_capabilities_that_are_refused(added: list[str], dropped: list[str], words: str) -> None:
    with pytest.raises(InvalidArgs, match=words):
        security.keep_set(added, dropped)


def test_names_are_in_the_order_of_their_numbers() -> None:
    assert security.named(["SYS_TIME", "ALL", "cap_chown"]) == ("CHOWN", "SYS_TIME")
    assert [capability.NUMBERS[n] for n in ("CHOWN", "SYS_ADMIN", "CHECKPOINT_RESTORE")] == [0, 21, 40]
    assert len(DEFAULT) == 11


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("seccomp", "Default", "neither of default, strict, unconfined nor a profile"),
        ("seccomp", "", "neither of"),
        ("seccomp", "[]", "neither of"),
        ("seccomp", "{" + "x" * (256 << 10), "longer than 262144 bytes"),
        ("seccomp", "{\0}", "NUL"),
        ("unmask", ("/etc",), "neither ALL nor one of what is masked"),
        ("unmask", ("/proc",), "neither ALL"),
        ("unmask", ("/proc/../etc",), "neither ALL"),
        ("unmask", ("/proc//kcore",), "neither ALL"),
        ("unmask", ("/proc/nothing-there",), "/proc/kcore"),
        ("unmask", ("",), "neither ALL"),
        ("unmask", ("/proc/kcore\n",), "control character"),
        ("unmask", ("/proc/kcore",) * 65, "the most is 64"),
        ("user_namespace", "", "is not auto, host or"),
        ("user_namespace", "HOST", "is not auto, host or"),
        ("user_namespace", "0", "between 65536 and"),
        ("user_namespace", "65535", "between 65536 and"),
        ("user_namespace", "4294901760", "between 65536 and 4294901759"),
        ("user_namespace", "99999999999", "is not auto"),
        ("user_namespace", "065536", "is not auto"),
        ("user_namespace", "-65536", "is not auto"),
        ("user_namespace", "65536 ", "is not auto"),
        ("user_namespace", "٦٥٥٣٦", "is not auto"),
        ("oom_score_adjust", -1001, "between -1000 and 1000"),
        ("oom_score_adjust", 1001, "between -1000 and 1000"),
        ("rlimits", (("NOFILES", 1, 1),), "'NOFILES' is not known; known are AS"),
        ("rlimits", (("nofile", 1, 1),), "is not known"),
        ("rlimits", (("NOFILE", 2, 1),), "soft limit of 2 above its hard limit of 1"),
        ("rlimits", (("CORE", RLIMIT_INFINITY, 1),), "above its hard limit"),
        ("rlimits", (("CORE", RLIMIT_MAX + 1, RLIMIT_INFINITY),), "Rlimits CORE 9223372036854775808 is out of range"),
        ("rlimits", (("CORE", 0, RLIMIT_INFINITY - 1),), "is out of range"),
        ("rlimits", (("CORE", 1, 2), ("CORE", 1, 3)), "CORE is given twice"),
        ("sysctls", (("kernel.core_pattern", "|/x"),), "would change the whole host"),
        ("sysctls", (("kernel.shmx/../core_pattern", "1"),), "is not a name"),
        ("sysctls", (("net.", "1"),), "is not a name"),
        ("sysctls", (("net..ipv4", "1"),), "is not a name"),
        ("sysctls", (("/net/ipv4/ip_forward", "1"),), "is not a name"),
        ("sysctls", (("net", "1"),), "is not a name"),
        ("sysctls", (("vm.overcommit_memory", "1"),), "would change the whole host"),
        ("sysctls", (("kernel.hostname", "x"),), "would change the whole host"),
        ("sysctls", (("fs/mqueue.x/../../y", "1"),), "is not a name"),
        ("sysctls", (("network.x", "1"),), "would change the whole host"),
        ("sysctls", (("net.ipv4.ip_forward", "1\n0"),), "control character"),
        ("sysctls", (("net.ipv4.ip_forward", "1" * 4096),), "longer than 4095"),
        ("sysctls", tuple((f"net.a{n}", "1") for n in range(65)), "the most is 64"),
        ("capabilities", ("ALL",), "Capability 'ALL' is not known"),
        ("ambient", ("cap_chown",), "is not known"),
    ],
)
def test_what_is_refused(key: str, value: object, words: str) -> None:
    with pytest.raises(InvalidArgs, match=words):
        Security(**{key: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seccomp", " {}"),
        ("unmask", ("ALL",)),
        ("unmask", ("/proc/kcore", "/proc/sys/", "/sys/firmware")),
        ("user_namespace", "65536"),
        ("user_namespace", "4294901759"),
        ("oom_score_adjust", -1000),
        ("rlimits", (("NOFILE", 0, 0), ("CORE", RLIMIT_MAX, RLIMIT_INFINITY))),
        ("sysctls", (("net.ipv4.ip_forward", ""), ("net/ipv4/conf/eth0.1/forwarding", "1"), ("kernel.sem", "1 2 3 4"))),
        ("sysctls", (("net.ipv4.conf.eth0/1.forwarding", "1"), ("kernel/msgmax", "1"), ("fs.mqueue.msg_max", "5"))),
    ],
)
def test_what_is_accepted(key: str, value: object) -> None:
    assert getattr(Security(**{key: value}), key) == value  # type: ignore[arg-type]


def test_everything_hidden_can_be_shown() -> None:
    for path in (*MASKED, *READ_ONLY):
        assert Security(unmask=(path,)).unmask == (path,)


def test_limits_are_complete() -> None:
    found = Security(rlimits=(("NOFILE", 5, 6),)).resource_limits
    assert found["NOFILE"] == (5, 6)
    assert {**found, "NOFILE": security.RLIMITS["NOFILE"]} == security.RLIMITS


def test_nothing_is_set_up_with_less_than_usual() -> None:
    given = (("NOFILE", 3, 2_000_000), ("CORE", 0, 0), ("MEMLOCK", 9 << 20, 9 << 20))
    found = Security(rlimits=given).preparing_limits
    assert found["NOFILE"] == (1024, 2_000_000)
    assert found["CORE"] == (0, RLIMIT_INFINITY)
    assert found["MEMLOCK"] == (9 << 20, 9 << 20)
    assert found["STACK"] == security.RLIMITS["STACK"]
    assert Security(rlimits=given).raised_limits == (given[0], given[2])


def test_ids() -> None:
    assert Security().has_user_namespace
    assert not Security(user_namespace="host").has_user_namespace
    assert [Security(user_namespace=text).first_id for text in ("auto", "host", "65536")] == [None, None, 65536]


@given(st.text(max_size=40))
def test_an_accepted_sysctl_stays_in_its_place(key: str) -> None:
    """Whatever is accepted is one file below /proc/sys, in a directory of the container's own namespaces."""
    for name in (key, f"net.{key}", f"kernel/shm{key}"):
        try:
            Security(sysctls=((name, "1"),))
        except InvalidArgs:
            continue
        parts = name.replace(".", "/").split("/")
        assert parts[0] in ("net", "kernel", "fs")
        assert all(parts)
        assert name.isascii()
