# SPDX-License-Identifier: GPL-3.0-or-later
"""Every method of the contract with arguments that fit its signature and nothing else, from a user whom polkit lets
do everything: an answer or an error in one sentence, never a traceback, a warning, a lost descriptor or a lost name.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest
from dbus_next.signature import SignatureTree, SignatureType, Variant
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bus.house import ALICE, CONTRACT, House
from bus.polkit import YES
from bus.test_authorization import path_of
from mctld.bus import options
from mctld.bus.connection import TEXT_MAX, RemoteError
from mctld.bus.contract import Contract, Method
from mctld.lifecycle.events import Exit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bus.house import Client

EXAMPLES = 2
CALLS = 20  # an example
WAITING = {"Wait", "WaitContainer"}  # they answer when something ends
METHODS = [
    method
    for interface in Contract(CONTRACT).interfaces.values()
    for method in interface.methods.values()
    if method.name not in WAITING
]
ERRORS = ("org.mctl1.Error.", "org.freedesktop.DBus.Error.")
KEYS: dict[str, str] = {
    **options.CREATION, **options.RUN, **options.EXEC, **options.LOG, **options.UPDATE, **options.START, **options.STOP,
}  # fmt: skip
RANGES = {
    "y": (0, 2**8 - 1), "n": (-(2**15), 2**15 - 1), "q": (0, 2**16 - 1), "i": (-(2**31), 2**31 - 1),
    "u": (0, 2**32 - 1), "x": (-(2**63), 2**63 - 1), "t": (0, 2**64 - 1),
}  # fmt: skip
WORDS = ("", "web", "web-2", "/", "..", "a" * 64, "-", "\n", "\x1b[2J", "\u202e", "0", "root", "ALL", "no", "a=b", "{")
TEXT = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
PATHS = st.sampled_from(["/", "/org/mctl1", "/org/mctl1/container/web"])


def of_type(kind: SignatureType, depth: int = 0) -> st.SearchStrategy[Any]:
    """Whatever D-Bus can carry as this type; numbers near their bounds, and flags that are known."""
    token = kind.token
    if token in RANGES:
        least, most = RANGES[token]
        return st.sampled_from([0, 1, 2, 3, most, least]) | st.integers(least, most)
    if token in "sog":
        return {"s": TEXT, "o": PATHS, "g": st.sampled_from(["", "s", "a{sv}"])}[token]
    if token == "b":
        return st.booleans()
    if token == "d":
        return st.floats()
    if token == "h":
        return st.integers(0, 2)  # one is sent
    if token == "v":
        return variants(depth)
    if token in "({":
        return st.tuples(*(of_type(child, depth) for child in kind.children)).map(list)
    return arrays(kind.children[0], depth)


def arrays(item: SignatureType, depth: int) -> st.SearchStrategy[Any]:
    if item.token == "y":
        return st.binary(max_size=20)
    if item.token != "{":
        return st.lists(of_type(item, depth), max_size=4)
    key, value = item.children
    free = st.dictionaries(of_type(key, depth), of_type(value, depth), max_size=3)
    if value.token != "v":
        return free
    known = st.sampled_from(sorted(KEYS)).flatmap(
        lambda name: st.tuples(st.just(name), of_signature(KEYS[name], depth) | of_type(value, depth))
    )
    return st.lists(known, max_size=4).map(dict) | free


def of_signature(signature: str, depth: int = 0) -> st.SearchStrategy[Variant]:
    return of_type(SignatureTree(signature).types[0], depth).map(lambda value: Variant(signature, value))


def variants(depth: int) -> st.SearchStrategy[Variant]:
    kinds = ["s", "u", "b", "t", "as", "h", *(["v", "a{sv}", "(sv)"] if depth < 2 else [])]
    return st.sampled_from(kinds).flatmap(lambda kind: of_signature(kind, depth + 1))


def bodies(method: Method) -> st.SearchStrategy[list[list[Any]]]:
    arguments = st.tuples(*(of_type(kind) for kind in SignatureTree(method.signature).types)).map(list)
    return st.lists(arguments, min_size=CALLS, max_size=CALLS)


def furnish(house: House) -> None:
    """One of each kind, whatever the last call has done to it."""
    registry = house.registry
    if registry.get("web") is None:
        registry.add("web", ALICE)
    if registry.execs.get("web") is None:
        registry.execs.add("web", "web", ALICE, ALICE).finish(Exit("exited", 0))
    if registry.networks.get("web") is None:
        registry.networks.add("web", ALICE)
    if registry.images.get("web") is None:
        registry.images.add("web", ALICE)
    if registry.transfers.get("web") is None:
        registry.transfers.add("web", ALICE)
    if registry.volumes.get("web") is None:
        registry.volumes.add("web", ALICE)


async def send(house: House, client: Client, method: Method, body: Sequence[object]) -> None:
    furnish(house)
    fd = os.memfd_create("sent")
    try:
        path = path_of(method.interface, "web")
        await client.call(path, method.interface, method.name, method.signature, *body, fds=[fd])
    except RemoteError as error:
        check(error, body)
    finally:
        os.close(fd)


def check(error: RemoteError, body: Sequence[object]) -> None:
    assert error.name.startswith(ERRORS), (error.name, error.text, body)
    assert "internal error" not in error.text, (error.text, body)
    assert "Traceback" not in error.text, (error.text, body)
    assert error.text.isprintable(), (error.text, body)
    assert 0 < len(error.text) <= TEXT_MAX, (error.text, body)


async def play(address: str, method: Method, calls: Sequence[Sequence[object]]) -> None:
    async with asyncio.timeout(60), House(address) as house:
        house.polkit.decide = lambda _: YES
        client = await house.client(ALICE)
        for body in calls:
            await send(house, client, method, body)
        for container in house.registry.containers.values():
            for end in container.sockets:
                end.close()
        assert await house.owns_its_name()


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_any_arguments_get_an_answer(bus: str, method: Method) -> None:
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(bodies(method))
    def played(calls: list[list[Any]]) -> None:
        asyncio.run(play(bus, method, calls))

    played()
