# SPDX-License-Identifier: GPL-3.0-or-later
"""What is stored comes back as it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mctld import capability, security
from mctld.device import Device
from mctld.encoding import decode, encode
from mctld.health import ACTIONS, HealthCheck
from mctld.limits import Limits
from mctld.mounts import Bind, HostPath, Tmpfs
from mctld.networking import Networking
from mctld.restart import POLICIES, RestartPolicy
from mctld.security import Security
from mctld.spec import Rootfs, Spec, User

if TYPE_CHECKING:
    from collections.abc import Callable

words = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20)
plain = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
paths = plain.map("/data/".__add__)
owners = st.none() | st.tuples(st.integers(0, 2**32 - 2), st.integers(0, 2**32 - 2))
pinned: dict[str, Any] = {
    "path": words.map("/".__add__), "device": st.integers(0, 2**64 - 1), "inode": st.integers(0, 2**64 - 1),
    "owner": owners, "boot": plain,
}  # fmt: skip
addresses = st.sampled_from(["1.2.3.4", "::1", "fe80::1"])


def several(found: st.SearchStrategy[Any], unique_by: Callable[[Any], Any] | None = None) -> st.SearchStrategy[Any]:
    return st.lists(found, max_size=3, unique_by=unique_by).map(tuple)


def numbers(name: str) -> st.SearchStrategy[tuple[str, int, int]]:
    value = st.integers(0, security.RLIMIT_MAX) | st.just(security.RLIMIT_INFINITY)
    return st.tuples(value, value).map(lambda pair: (name, min(pair), max(pair)))


securities = st.builds(
    Security,
    capabilities=several(st.sampled_from(capability.NAMES)),
    ambient=several(st.sampled_from(capability.NAMES)),
    seccomp=st.sampled_from(["default", "strict", "unconfined"]) | words.map("{".__add__),
    no_new_privileges=st.booleans(),
    unmask=several(st.sampled_from(["ALL", "/proc/kcore", "/proc/sys/"])),
    user_namespace=st.sampled_from(["auto", "host"]) | st.integers(65_536, 2**31).map(str),
    oom_score_adjust=st.integers(-1000, 1000),
    rlimits=several(st.sampled_from(sorted(security.RLIMITS)).flatmap(numbers), lambda found: found[0]),
    sysctls=several(st.tuples(plain.map("net.".__add__), words)),
)
devices = st.builds(
    Device,
    path=words.map("/".__add__),
    major=st.integers(0, 4095),
    minor=st.integers(0, 2**20),
    block=st.booleans(),
    target=plain.map("/dev/x-".__add__),
    permissions=st.sampled_from(["r", "rw", "rwm"]),
)
specs = st.builds(
    Spec,
    name=plain,
    rootfs=st.builds(Rootfs, **pinned),
    command=st.lists(words, min_size=1, max_size=3).filter(lambda found: bool(found[0])).map(tuple),
    environment=several(words.map("A=".__add__)),
    working_directory=paths,
    hostname=plain,
    user=st.sampled_from([User(), User("7", "8"), User("www-data"), User("a", "b")]),
    limits=st.builds(Limits, memory_max=st.integers(4 << 20, 2**60), io_read_iops_max=several(
        st.tuples(plain.map("/dev/".__add__), st.integers(1, 2**31)))),
    networking=st.sampled_from([Networking(), Networking(()), Networking(("a", "b"), "1.2.3.4")]),
    labels=several(st.tuples(words, words)),
    stop_signal=st.integers(1, 64),
    timeout_stop_usec=st.integers(0, 2**64 - 1),
    auto_remove=st.just(value=False),
    restart=st.sampled_from([RestartPolicy(name) for name in POLICIES] + [RestartPolicy("on-failure", 3)]),
    health=st.builds(HealthCheck, several(words.filter(bool)), st.integers(100_000, 10**9), retries=st.integers(1, 9),
                     on_failure=st.sampled_from(ACTIONS)),
    security=securities,
    read_only=st.booleans(),
    binds=several(st.builds(Bind, st.builds(HostPath, **pinned), paths, st.booleans(), st.booleans()),
                  lambda bind: bind.target),
    tmpfs=several(st.builds(Tmpfs, plain.map("/run/".__add__), st.integers(4096, 2**44), st.integers(2, 2**32),
                            st.integers(0, 0o7777), st.booleans(), st.booleans()), lambda tmpfs: tmpfs.target),
    shm_size=st.integers(4096, 2**44),
    init=st.just(value=False),
    machine=st.booleans(),
    devices=several(devices, lambda device: device.target),
    hosts=several(st.tuples(plain, addresses)),
    name_servers=several(addresses),
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(specs)
def test_there_and_back(spec: Spec) -> None:
    again = decode(encode(spec))
    assert again == spec
    assert hash(again) == hash(spec)  # a list where there should be a tuple has none
    assert isinstance(again.rootfs, Rootfs)


def test_what_an_earlier_version_did_not_write(make_spec: Callable[..., Spec]) -> None:
    """What it made had no network, and otherwise what is the default now."""
    spec = make_spec(networking=Networking(()))
    found = json.loads(encode(spec))
    for key in ("security", "read_only", "binds", "tmpfs", "shm_size", "init", "hosts", "name_servers", "networking",
                "restart", "health", "machine"):
        del found[key]
    assert decode(json.dumps(found)) == spec
