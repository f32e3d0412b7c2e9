# SPDX-License-Identifier: GPL-3.0-or-later
"""User namespaces, and the range of ids that containers get theirs from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...runtime import users
from .finding import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .host import Host

LEAST_NAMESPACES = 128  # below that a host with a few dozen containers runs out
POOL_END = users.FIRST + users.RANGE * users.RANGES
NSPAWN_LOCKS = "/run/systemd/nspawn-uid"  # systemd-nspawn --private-users=pick locks the first id of each machine
SHOWN = 3


@dataclass(frozen=True, slots=True)
class UserNamespaces:
    there: bool
    most: int | None  # user.max_user_namespaces
    failure: str | None  # of an attempt to make one; None: there was no attempt


def read_namespaces(host: Host, failure: str | None) -> UserNamespaces:
    return UserNamespaces(host.there("/proc/self/ns/user"), host.number("/proc/sys/user/max_user_namespaces"), failure)


def user_namespaces(facts: UserNamespaces) -> Finding:
    without = "No container can be started: each has ids of its own, none of which is the host's root."
    raised = "sysctl -w user.max_user_namespaces=15000, and the same line in a file below /etc/sysctl.d"
    if not facts.there:
        remedy = "install a kernel that is built with CONFIG_USER_NS"
        return Finding("userns", Verdict.MISSING, "the kernel has no user namespaces", without, remedy)
    if facts.most == 0:
        return Finding("userns", Verdict.MISSING, "user.max_user_namespaces is 0", without, raised)
    if facts.failure:
        remedy = f"see that no security module forbids it (journalctl -k), and {raised}"
        return Finding("userns", Verdict.MISSING, f"one could not be made: {facts.failure}", without, remedy)
    if facts.most is not None and facts.most < LEAST_NAMESPACES:
        found, meaning = f"at most {facts.most}", "Each container takes one: starts fail when they are used up."
        return Finding("userns", Verdict.WARNING, found, meaning, raised)
    if facts.failure is None:
        meaning = "An attempt needs the spawner, which does not answer."
        return Finding("userns", Verdict.UNKNOWN, "not tried", meaning, "see the check spawner")
    found = "one was made" if facts.most is None else f"one was made, at most {facts.most:,} are allowed"
    return Finding("userns", Verdict.OK, found, "Root in a container is nobody on the host.")


@dataclass(frozen=True, slots=True)
class Claim:
    """Ids that somebody else takes for theirs."""

    where: str
    whose: str
    first: int
    count: int

    @property
    def in_pool(self) -> bool:
        return self.first < POOL_END and self.first + self.count > users.FIRST

    def __str__(self) -> str:
        last = self.first + self.count - 1
        ids = str(self.first) if self.count == 1 else f"{self.first} to {last}"
        return f"{self.where}: {self.whose} has {ids}"


def read_claims(host: Host) -> tuple[Claim, ...]:
    return (
        *_subordinate(host, "/etc/subuid"),
        *_subordinate(host, "/etc/subgid"),
        *_accounts(host, "/etc/passwd"),
        *_accounts(host, "/etc/group"),
        *(Claim(NSPAWN_LOCKS, "a machine", int(n), users.RANGE) for n in host.names(NSPAWN_LOCKS) if n.isdecimal()),
    )


def _subordinate(host: Host, path: str) -> Iterator[Claim]:
    """Lines NAME:FIRST:COUNT, subuid(5)."""
    for line in (host.text(path) or "").splitlines():
        match line.split(":"):
            case [whose, first, count] if first.isdecimal() and count.isdecimal():
                yield Claim(path, whose, int(first), int(count))


def _accounts(host: Host, path: str) -> Iterator[Claim]:
    """Lines NAME:x:ID:..., passwd(5) and group(5)."""
    for line in (host.text(path) or "").splitlines():
        match line.split(":"):
            case [whose, _, number, *_] if number.isdecimal():
                yield Claim(path, whose, int(number), 1)


def pool(claims: tuple[Claim, ...]) -> Finding:
    clashes = [str(claim) for claim in claims if claim.in_pool]
    found = f"{users.FIRST} to {POOL_END - 1}"
    if clashes:
        more = f", and {len(clashes) - SHOWN} more" if len(clashes) > SHOWN else ""
        return Finding(
            "ids",
            Verdict.MISSING,
            f"{found} are not containers' alone: {'; '.join(clashes[:SHOWN])}{more}",
            "A container may get the ids of somebody else's processes and files.",
            "give those accounts or ranges other ids: usermod(8), its --del-subuids and --add-subuids, machinectl(1)",
        )
    return Finding("ids", Verdict.OK, f"{found} are free", "Containers share no id with anybody on the host.")
