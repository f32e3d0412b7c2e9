# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries over the bus: what a person is told, what the service is given, what becomes of a job."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from dbus_next.signature import Variant

from bus.house import ALICE, BOB, MANAGER, PROPERTIES, ROOT_UID, House
from bus.polkit import NO, YES, Asked
from mctld.bus.paths import JOBS, ROOT, job_path
from mctld.lifecycle.carriage import Access

JOB = "org.mctl1.Job"
INVALID = "org.freedesktop.DBus.Error.InvalidArgs"


def own(asked: Asked) -> tuple[bool, bool]:
    return YES if asked.action in ("org.mctl1.inspect-own", "org.mctl1.manage-own", "org.mctl1.images") else NO


def memory(content: bytes) -> int:
    descriptor = os.memfd_create("authentication")
    os.write(descriptor, content)
    return descriptor


async def pull(house: House, uid: int, name: str = "example.org/team/web:1", **options: Variant) -> list[Any]:
    client = await house.client(uid)
    return await client.manager("PullImage", "sa{sv}t", name, options, 0)


async def test_a_pull_is_a_job_of_its_caller(house: House) -> None:
    house.polkit.decide = own
    assert await pull(house, ALICE, Platform=Variant("s", "linux/arm64")) == [job_path("abc")]
    alice, bob = await house.client(ALICE), await house.client(BOB)
    progress = house.registry.transfers.jobs["abc"].progress
    progress.expect([("sha256:aa", 100), ("sha256:bb", 2**64)], here=["sha256:aa"])
    progress.fetch({"sha256:b": 7}, ())
    progress.counts = (1, 2)
    (found,) = await alice.call(job_path("abc"), PROPERTIES, "GetAll", "s", JOB)
    assert {key: variant.value for key, variant in found.items()} == {
        "Id": "abc", "Kind": "pull", "Reference": "example.org/team/web:1", "OwnerUID": ALICE, "State": "fetching",
        "Bytes": 7, "Layers": [1, 2], "LayersHere": 3,
        "LayerProgress": [["sha256:aa", 0, 100, "here"], ["sha256:bb", 7, 2**63 - 1, "fetching"]],
    }  # fmt: skip
    assert await alice.call(job_path("abc"), JOB, "Wait") == ["/org/mctl1/image/key", "linux/arm64 False", ""]
    for member, signature, body in (("Wait", "", []), ("Cancel", "t", [0])):
        refused = await bob.error(job_path("abc"), JOB, member, signature, *body)
        assert refused.text.startswith("there is no job 'abc' of yours")
    nodes = [
        (await client.call(JOBS, "org.freedesktop.DBus.Introspectable", "Introspect"))[0] for client in (alice, bob)
    ]
    assert ['name="abc"' in text for text in nodes] == [True, False]
    await alice.call(job_path("abc"), JOB, "Cancel", "t", 0)
    assert (await alice.error(job_path("abc"), JOB, "Wait")).name == "org.mctl1.Error.Cancelled"


async def test_what_a_rule_and_a_person_are_told(house: House) -> None:
    house.polkit.decide = lambda _: YES
    await pull(house, ALICE, "docker.io/nginx", VerifyTLS=Variant("b", False))  # noqa: FBT003
    (asked,) = house.polkit.asked
    told = ("image", "verb", "owner", "shared", "registry", "tls_verify", "signed")
    assert {key: asked.details[key] for key in told} == {
        "image": "docker.io/library/nginx:latest", "verb": "pull", "owner": "1000", "shared": "no",
        "registry": "docker.io", "tls_verify": "no", "signed": "yes",
    }  # fmt: skip
    house.polkit.asked.clear()
    house.registry.images.add("web", ALICE)
    alice = await house.client(ALICE)
    await alice.manager("PushImage", "ssa{sv}t", "web", "example.org/web:2", {}, 0)
    (asked,) = house.polkit.asked
    assert (asked.details["image"], asked.details["reference"]) == ("web:latest", "example.org/web:2")
    assert await alice.call(job_path("abc"), JOB, "Wait") == ["/", "", house.registry.images.images["web"].id]


async def test_roots_images_are_shared_unless_they_are_private(house: House) -> None:
    root = await house.client(ROOT_UID)
    for options, shared in (({}, "True"), ({"Private": Variant("b", True)}, "False")):  # noqa: FBT003
        await pull(house, ROOT_UID, **options)
        assert (await root.call(job_path("abc"), JOB, "Wait"))[1].endswith(shared)


@pytest.mark.parametrize(("content", "wanted"), [
    (b'{"auth": "abc"}', {"auth": "abc"}),
    (b'{"auth": "abc", "identitytoken": "t"}', {"auth": "abc", "identitytoken": "t"}),
    (b'{"auths": {"example.org": {"auth": "abc"}}}', None),
    (b'{"auth": "abc", "credHelpers": "x"}', None),
    (b'{"auth": {"a": 1}}', None),
    (b"[]", None),
    (b"{}", None),
    (b"{", None),
    (b"[" * 60_000, None),
])  # fmt: skip
async def test_nothing_but_one_registrys_login_gets_on(house: House, content: bytes, wanted: Any) -> None:
    """credHelpers and credsStore of such a file name programs."""
    root = await house.client(ROOT_UID)
    descriptor = memory(content)
    options = {"Authentication": Variant("h", 0)}
    try:
        body = ["example.org/web", options, 0]
        if wanted:
            await root.manager("PullImage", "sa{sv}t", *body, fds=[descriptor])
        else:
            error = await root.error(ROOT, MANAGER, "PullImage", "sa{sv}t", *body, fds=[descriptor])
            assert (error.name, "Authentication is not a JSON object" in error.text) == (INVALID, True)
    finally:
        os.close(descriptor)
    given = [json.loads(access.authentication) for access in house.registry.transfers.access]
    assert given == ([{"auths": {"example.org": wanted}}] if wanted else [])


async def test_a_login_is_no_pipe(house: House) -> None:
    root = await house.client(ROOT_UID)
    reading, writing = os.pipe()
    body = ["example.org/web", {"Authentication": Variant("h", 0)}, 0]
    error = await root.error(ROOT, MANAGER, "PullImage", "sa{sv}t", *body, fds=[reading])
    os.close(reading)
    os.close(writing)
    assert error.text == "Authentication is not a file that is open for reading"


async def test_an_image_that_is_not_there(house: House) -> None:
    root = await house.client(ROOT_UID)
    error = await root.error(ROOT, MANAGER, "PushImage", "ssa{sv}t", "nothing", "example.org/web", {}, 0)
    assert error.name == "org.mctl1.Error.NoSuchImage"
    assert house.registry.transfers.access == []


async def test_the_end_is_told_to_its_owner(house: House) -> None:
    house.polkit.decide = own
    alice, bob, root = [await house.client(uid) for uid in (ALICE, BOB, ROOT_UID)]
    for client in (alice, bob, root):
        await client.manager("Subscribe")
    house.registry.transfers.end(house.registry.transfers.add("abc", ALICE), "failed")
    for client, heard in ((alice, 1), (bob, 0), (root, 1)):
        await client.settled()
        assert client.signals == [("JobRemoved", ROOT, [job_path("abc"), "abc", "failed"])] * heard


def test_access_says_nothing_of_a_login() -> None:
    """It may come to stand in a log."""
    assert "secret" not in repr(Access('{"auths": {"example.org": {"auth": "secret"}}}'))
