# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles that callers bring: understood as docker, podman and runc understand them, or refused with a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mctld import capability
from mctld.errors import InvalidArgs
from mctld.runtime.seccomp import oci, program
from mctld.runtime.seccomp.document import TEXT_MAX
from unit import bpf

ALLOW, ERRNO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
ARCH_MAP = [
    {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
    {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
    {"architecture": "SCMP_ARCH_LOONGARCH64", "subArchitectures": None},
]


def profile(*syscalls: Any, **members: Any) -> dict[str, Any]:
    return {"defaultAction": ERRNO, "archMap": ARCH_MAP, "syscalls": list(syscalls), **members}


def rule(*names: str, action: str = ALLOW, **members: Any) -> dict[str, Any]:
    return {"names": list(names), "action": action, **members}


def argument(index: int, op: str, value: int, value_two: int = 0) -> dict[str, Any]:
    return {"index": index, "op": f"SCMP_CMP_{op}", "value": value, "valueTwo": value_two}


def compiled(document: Any, caps: str = "", machine: str = "x86_64", release: str = "6.1.0-40-amd64") -> bpf.Filter:
    text = document if isinstance(document, str) else json.dumps(document)
    return bpf.Filter(program.compile_profile(oci.profile(text, frozenset(caps.split()), machine, release)))


def test_the_least_profile() -> None:
    found = compiled({"defaultAction": ERRNO, "syscalls": [rule("read", "statx")]})
    assert found.ask("X86_64", "read") == "ALLOW"
    assert found.ask("X86_64", "write") == "EPERM"
    assert found.ask("X86", "read") == "0x0"  # no architectures: the native one, and a foreign call kills its thread
    assert compiled({"defaultAction": ALLOW}).ask("X86_64", "mount") == "ALLOW"


def test_a_list_of_what_is_refused() -> None:
    document = profile(rule("mount", action=ERRNO, errnoRet=1), rule("reboot", action="SCMP_ACT_KILL_PROCESS"))
    found = compiled({**document, "defaultAction": ALLOW})
    assert found.ask("X86_64", "mount") == "EPERM"
    assert found.ask("X86_64", "reboot") == "0x80000000"
    assert found.ask("X86_64", 9999) == "ALLOW"


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        ("SCMP_ACT_KILL", "0x0"), ("SCMP_ACT_KILL_THREAD", "0x0"), ("SCMP_ACT_KILL_PROCESS", "0x80000000"),
        ("SCMP_ACT_TRAP", "0x30000"), ("SCMP_ACT_LOG", "0x7ffc0000"), ("SCMP_ACT_TRACE", "0x7ff00001"),
        ("SCMP_ACT_ERRNO", "EPERM"), ("SCMP_ACT_ALLOW", "ALLOW"),
    ],
)  # fmt: skip
def test_actions(action: str, answer: str) -> None:
    other = {"defaultAction": "SCMP_ACT_TRAP" if action == ALLOW else ALLOW}
    assert compiled({**other, "syscalls": [rule("read", action=action)]}).ask("X86_64", "read") == answer
    assert compiled({"defaultAction": action, "syscalls": [rule("write")]}).ask("X86_64", "read") == answer


@pytest.mark.parametrize(
    ("members", "answer"),
    [
        ({}, "EPERM"),
        ({"errnoRet": 38}, "ENOSYS"),
        ({"errno": "ENOSYS", "errnoRet": 1}, "ENOSYS"),  # podman's, which comes first
        ({"errno": "13"}, "EACCES"),
        ({"errno": "", "errnoRet": 13}, "EACCES"),
    ],
)
def test_errors_of_a_rule_and_of_the_default(members: dict[str, Any], answer: str) -> None:
    assert compiled(profile(rule("read", action=ERRNO, **members), defaultAction=ALLOW)).ask("X86_64", "read") == answer
    capital = {f"default{key[0].upper()}{key[1:]}": value for key, value in members.items()}
    assert compiled(profile(rule("write"), **capital)).ask("X86_64", "read") == answer


def test_newer_calls_than_the_profile_knows_are_enosys() -> None:
    """As with runc: else libc takes EPERM for an answer and does not fall back."""
    found = compiled(profile(rule("read", "openat2", "set_tls"), defaultErrnoRet=1))
    assert found.ask("X86_64", "mount") == "EPERM"
    for architecture, bit in (("X86_64", 0), ("X86", 0), ("X32", bpf.X32_BIT)):
        assert found.ask(architecture, bit + 437) == "ALLOW"
        assert found.ask(architecture, bit + 436) == "EPERM"
        assert found.ask(architecture, bit + 438) == "ENOSYS"
        assert found.ask(architecture, bit + 9999) == "ENOSYS"
    assert found.ask("X86_64", -1) == "EPERM"  # no call at all
    arm = compiled(profile(rule("read", "openat2", "set_tls")), machine="aarch64")
    assert (arm.ask("AARCH64", 438), arm.ask("ARM", 438)) == ("ENOSYS", "ENOSYS")
    assert (arm.ask("ARM", 0xF0005), arm.ask("ARM", 0xF0002)) == ("ALLOW", "EPERM")  # ARM's private calls
    assert compiled({"defaultAction": "SCMP_ACT_LOG"}).ask("X86_64", 9999) == "0x7ffc0000"


def test_architectures() -> None:
    assert compiled(profile(rule("read"))).ask("X32", "read") == "ALLOW"
    assert compiled(profile(rule("read")), machine="aarch64").ask("ARM", "read") == "ALLOW"
    document = {
        "defaultAction": ERRNO,
        "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_S390X"],
        "syscalls": [rule("read")],
    }
    found = compiled(document)
    assert found.ask("X86_64", "read") == "ALLOW"  # the native one is always there
    assert found.ask("X86", "read") == "ALLOW"
    assert found.ask("X32", "read") == "0x0"


@pytest.mark.parametrize(
    ("op", "value", "value_two", "yes", "no"),
    [
        ("EQ", 5, 0, [5], [4, 6, 5 + 2**32]),
        ("NE", 5, 0, [4, 6, 5 + 2**32], [5]),
        ("LT", 5, 0, [0, 4], [5, 6, 2**32]),
        ("LE", 5, 0, [0, 5], [6, 2**32]),
        ("GT", 5, 0, [6, 2**63], [5, 0]),
        ("GE", 5, 0, [5, 2**63], [4, 0]),
        ("MASKED_EQ", 0x7E020000, 0, [0, 0x3D0F00, 2**32], [0x10000000, 0x20000]),
        ("MASKED_EQ", 0xFF, 0x12, [0x12, 0xFF12, 2**32 + 0x12], [0x13, 0]),
        ("EQ", 2**64 - 1, 0, [2**64 - 1], [2**32 - 1]),
    ],
)
@pytest.mark.parametrize("index", [0, 1, 5])
def test_operators(op: str, value: int, value_two: int, yes: list[int], no: list[int], index: int) -> None:
    found = compiled(profile(rule("ioctl", args=[argument(index, op, value, value_two)])))
    before = (0,) * index
    assert {found.ask("X86_64", "ioctl", *before, given) for given in yes} == {"ALLOW"}
    assert {found.ask("X86_64", "ioctl", *before, given) for given in no} == {"EPERM"}


def test_conditions_on_several_arguments_hold_together_and_on_one_are_alternatives() -> None:
    both = compiled(profile(rule("ioctl", args=[argument(0, "EQ", 1), argument(1, "EQ", 2)])))
    assert [both.ask("X86_64", "ioctl", a, b) for a, b in ((1, 2), (1, 3), (0, 2))] == ["ALLOW", "EPERM", "EPERM"]
    either = compiled(profile(rule("ioctl", args=[argument(0, "EQ", 1), argument(0, "EQ", 2), argument(1, "EQ", 7)])))
    answers = [either.ask("X86_64", "ioctl", *given) for given in ((1, 0), (2, 0), (0, 7), (3, 3))]
    assert answers == ["ALLOW", "ALLOW", "ALLOW", "EPERM"]


@pytest.mark.parametrize(
    ("asked", "caps", "machine", "release", "there"),
    [
        ({"includes": {"caps": ["CAP_SYS_ADMIN"]}}, "", "x86_64", "6.1.0", False),
        ({"includes": {"caps": ["CAP_SYS_ADMIN"]}}, "SYS_ADMIN", "x86_64", "6.1.0", True),
        ({"includes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}}, "SYS_ADMIN", "x86_64", "6.1.0", False),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}}, "BPF", "x86_64", "6.1.0", False),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN"]}}, "", "x86_64", "6.1.0", True),
        ({"includes": {"arches": ["amd64", "x32"]}}, "", "x86_64", "6.1.0", True),
        ({"includes": {"arches": ["arm64"]}}, "", "x86_64", "6.1.0", False),
        ({"includes": {"arches": ["arm", "arm64"]}}, "", "aarch64", "6.1.0", True),
        ({"excludes": {"arches": ["s390", "s390x"]}}, "", "x86_64", "6.1.0", True),
        ({"excludes": {"arches": ["amd64"]}}, "", "x86_64", "6.1.0", False),
        ({"includes": {"minKernel": "4.8"}}, "", "x86_64", "6.1.0-40-amd64", True),
        ({"includes": {"minKernel": "6.10"}}, "", "x86_64", "6.9.12", False),
        ({"includes": {"minKernel": "6.10"}}, "", "x86_64", "6.18.44-fc-v595", True),
        ({"excludes": {"minKernel": "6.1"}}, "", "x86_64", "6.1-rc5", False),
        ({"includes": {"caps": ["CAP_BPF"], "minKernel": "4.8"}}, "BPF", "x86_64", "6.1.0", True),
        ({"includes": {"caps": ["CAP_BPF"]}, "excludes": {"arches": ["amd64"]}}, "BPF", "x86_64", "6.1.0", False),
        ({"includes": {}, "excludes": None, "comment": "why"}, "", "x86_64", "6.1.0", True),
    ],
)  # fmt: skip
def test_includes_and_excludes(asked: dict[str, Any], caps: str, machine: str, release: str, *, there: bool) -> None:
    native = "X86_64" if machine == "x86_64" else "AARCH64"
    found = compiled(profile(rule("openat", **asked), rule("openat2")), caps, machine, release)
    assert found.ask(native, "openat") == ("ALLOW" if there else "EPERM")


def test_old_files_have_one_name_a_rule() -> None:
    assert compiled(profile({"name": "read", "action": ALLOW, "args": None})).ask("X86_64", "read") == "ALLOW"
    assert compiled(profile({"name": "read", "names": [], "action": ALLOW})).ask("X86_64", "read") == "ALLOW"


def test_unknown_names_are_left_out_and_can_be_counted() -> None:
    text = json.dumps(profile(rule("read", "call_of_the_year_2040", "kexec_dance")))
    rules = oci.profile(text, frozenset(), "x86_64", "6.1")
    assert program.unknown(rules) == ("call_of_the_year_2040", "kexec_dance")
    assert compiled(text).ask("X86_64", "read") == "ALLOW"


def test_the_shape_of_dockers_own_profile() -> None:
    document = profile(
        rule("read", "write", "socketcall", "futex"),
        rule("ptrace", includes={"minKernel": "4.8"}),
        *(rule("socket", args=[argument(0, op, n)]) for op, n in (("LT", 38), ("EQ", 39), ("GT", 40))),
        *(rule("personality", args=[argument(0, "EQ", n)]) for n in (0, 8, 0xFFFFFFFF)),
        rule("bpf", "clone", "clone3", includes={"caps": ["CAP_SYS_ADMIN"]}),
        rule(
            "clone", args=[argument(0, "MASKED_EQ", 0x7E020000)],
            excludes={"caps": ["CAP_SYS_ADMIN"], "arches": ["s390", "s390x"]},
        ),
        rule("clone3", action=ERRNO, errnoRet=38, excludes={"caps": ["CAP_SYS_ADMIN"]}),
        defaultErrnoRet=1,
    )  # fmt: skip
    found = compiled(document)
    assert [f for f in range(64) if found.ask("X86_64", "socket", f) != "ALLOW"] == [38, 40]
    assert found.ask("X86_64", "clone", 17) == "ALLOW"
    assert found.ask("X86_64", "clone", 0x10000011) == "EPERM"
    assert found.ask("X86_64", "clone3") == "ENOSYS"
    assert found.ask("X86_64", "personality", 1) == "EPERM"
    assert found.ask("X86_64", "ptrace") == "ALLOW"
    assert compiled(document, "SYS_ADMIN").ask("X86_64", "clone", 0x10000011) == "ALLOW"


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("", "neither default, strict or unconfined nor the JSON text"),
        ("defualt", "'defualt' is neither default, strict or unconfined"),
        ("{", "JSON"),
        ("[" * 100_000, "nested too deeply|JSON"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "defaultAction": "SCMP_ACT_KILL"}', "'defaultAction' is there twice"),
        ('{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": NaN}', "NaN is no JSON"),
        ('{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": ' + "9" * 5000 + "}", "neither default"),
        ([], r"Seccomp is '\[\]': it must be an object"),
        ({}, "Seccomp defaultAction is 'null': it must be a string"),
        ({"defaultaction": ALLOW}, "Seccomp 'defaultaction' is not known; known are defaultAction"),
        ({"defaultAction": "ALLOW"}, "defaultAction is '\"ALLOW\"': it must be one of SCMP_ACT_KILL"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "SCMP_ACT_NOTIFY.*no process that would answer"),
        (profile(defaultAction=ALLOW, defaultErrnoRet=1), "defaultErrnoRet is '1': SCMP_ACT_ALLOW returns no errno"),
        (profile(defaultErrnoRet=4096), "defaultErrnoRet is '4096': it must be an integer of 0 to 4095"),
        (profile(defaultErrnoRet=True), "defaultErrnoRet is 'true': it must be an integer"),
        (profile(defaultErrnoRet=1.0), "defaultErrnoRet is '1.0': it must be an integer"),
        (profile(defaultErrno="EWHAT"), "defaultErrno is '\"EWHAT\"': it must be the name of an errno"),
        (profile(flags=["SECCOMP_FILTER_FLAG_LOG"]), r"flags\[0\] .*without flags"),
        (profile(listenerPath="/run/agent.sock"), "listenerPath .*no process that answers"),
        (profile(listenerMetadata="x"), "listenerMetadata"),
        (profile(architectures=["SCMP_ARCH_X86_64"]), "archMap .*architectures is there too"),
        ({"defaultAction": ALLOW, "architectures": ["x86_64"]}, r"tures\[0\] is '\"x86_64\"': it must be one of"),
        ({"defaultAction": ALLOW, "architectures": "SCMP_ARCH_X86"}, "architectures .* must be a list"),
        ({"defaultAction": ALLOW, "archMap": [{"arch": 1}]}, r"archMap\[0\]\.'arch' is not known"),
        ({"defaultAction": ALLOW, "syscalls": {}}, "syscalls is '{}': it must be a list"),
        (profile(5), r"syscalls\[0\] is '5': it must be an object"),
        (profile(rule("read"), rule()), r"syscalls\[1\] .*must name a call"),
        (profile({"names": ["read"], "name": "write", "action": ALLOW}), "names .*name is there too"),
        (profile({"names": "read", "action": ALLOW}), r"syscalls\[0\]\.names .* must be a list"),
        (profile(rule("read", "no call")), r"syscalls\[0\]\.names\[1\] is '\"no call\"'"),
        (profile(rule("")), "must be the name of a system call"),
        (profile(rule("r" * 65)), "must be the name of a system call"),
        (profile({"names": ["read"]}), r"syscalls\[0\]\.action is 'null'"),
        (profile(rule("read", action="SCMP_ACT_NOTIFY")), r"syscalls\[0\]\.action .*no process that would answer"),
        (profile(rule("read", errnoRet=1)), "errnoRet is '1': SCMP_ACT_ALLOW returns no errno"),
        (profile(rule("read", args=[argument(6, "EQ", 1)])), r"syscalls\[0\]\.args\[0\]\.index is '6'.* 0 to 5"),
        (profile(rule("read", args=[argument(0, "EQ", -1)])), r"args\[0\]\.value is '-1'"),
        (profile(rule("read", args=[argument(0, "EQ", 2**64)])), "value is '18446744073709551616'"),
        (profile(rule("read", args=[argument(0, "IS", 1)])), "op is '\"SCMP_CMP_IS\"': it must be one of SCMP_CMP_NE"),
        (profile(rule("read", args=[{"index": 0, "op": "SCMP_CMP_EQ"}])), "value is 'null'"),
        (profile(rule("read", includes={"caps": ["SYS_ADMIN"]})), r"includes\.caps\[0\] .*such as CAP_SYS_ADMIN"),
        (profile(rule("read", includes={"minKernel": "4"})), r'minKernel is \'"4"\'.*such as "4.8"'),
        (profile(rule("read", excludes={"kernel": "4.8"})), r"excludes\.'kernel' is not known"),
        (profile(*[rule("read")] * 4097), "syscalls has 4097 items: the most is 4096"),
        (" " * (TEXT_MAX + 1), f"{TEXT_MAX + 1} bytes: the most is {TEXT_MAX}"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(document: Any, sentence: str) -> None:
    with pytest.raises(InvalidArgs, match=sentence) as caught:
        compiled(document)
    assert str(caught.value).startswith("Seccomp")
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


def test_rules_that_contradict_each_other() -> None:
    document = profile(
        rule("ioctl", args=[argument(0, "EQ", 1)]), rule("ioctl", action="SCMP_ACT_LOG", args=[argument(0, "EQ", 1)])
    )
    with pytest.raises(InvalidArgs, match=r"does not take a rule for ioctl .*another action"):
        compiled(document)


def test_a_program_may_be_too_long_for_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """To reach the kernel's own bound takes libseccomp 20 s."""
    assert program.INSTRUCTIONS_MAX == 4096
    monkeypatch.setattr(program, "INSTRUCTIONS_MAX", 40)
    assert compiled(profile(rule("read")))
    with pytest.raises(InvalidArgs, match=r"a filter of [0-9]+ instructions, and the kernel takes 40: use fewer rules"):
        compiled(profile(*(rule("ioctl", args=[argument(1, "EQ", n)]) for n in range(40))))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_ANY = _JSON | st.sampled_from([ALLOW, ERRNO, "SCMP_ARCH_X86", "read", "SCMP_CMP_EQ"])
_RULE = st.fixed_dictionaries(
    {},
    optional={
        "names": st.lists(st.sampled_from(["read", "ioctl", "nope"]) | _ANY, max_size=2),
        "action": st.sampled_from([ALLOW, ERRNO]) | _ANY,
        "errnoRet": _ANY,
        "args": st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(("index", "value", "op"), _ANY))) | _ANY,
        "includes": _ANY,
    },
)


@given(
    st.fixed_dictionaries(
        {"defaultAction": st.sampled_from([ALLOW, ERRNO]) | _ANY},
        optional={"syscalls": st.lists(_RULE, max_size=3) | _ANY, "architectures": _ANY, "flags": _ANY, "x": _ANY},
    )
    | _JSON
)
def test_whatever_comes_is_a_profile_or_a_sentence(document: Any) -> None:
    try:
        answer = compiled(json.dumps(document)).ask("X86_64", "read")
    except InvalidArgs as error:
        answer = str(error)
    assert answer
    assert answer.isprintable()


@given(st.sets(st.sampled_from([c for c, _ in bpf.numbers("X86_64")]), max_size=40), st.booleans())
def test_the_program_says_what_the_rules_say(names: set[str], allow: bool) -> None:  # noqa: FBT001
    """Over random lists of names: each call of the table gets the answer of the list that it is in."""
    inner, outer = (ALLOW, ERRNO) if allow else (ERRNO, ALLOW)
    document = {"defaultAction": outer, "syscalls": [rule(*sorted(names), action=inner)] if names else []}
    found = compiled(document)
    top = max((bpf.number("X86_64", name) for name in names), default=2**30)
    for call, number in bpf.numbers("X86_64"):
        expected = "ALLOW" if (call in names) == allow else "EPERM"
        if allow and number > top:
            expected = "ENOSYS"
        assert found.ask("X86_64", number) == expected, call


def test_the_names_of_capabilities_are_ours_without_a_prefix() -> None:
    text = json.dumps(profile(rule("openat", includes={"caps": ["CAP_NET_RAW"]}), rule("openat2")))
    with_it = oci.profile(text, frozenset({"NET_RAW"}), "x86_64", "6.1")
    assert "NET_RAW" in capability.NUMBERS
    assert with_it != oci.profile(text, frozenset(), "x86_64", "6.1")
