# SPDX-License-Identifier: GPL-3.0-or-later
"""Which damaged images come back, from where, under which names, and what is told where they do not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import pytest

from mctl import repair, transfers
from mctl.failures import Failure
from mctl.repair import Damaged

if TYPE_CHECKING:
    from mctl.client import Call, Client
    from mctl.parser import Arguments

HUB, HERE = "docker.io/library/web:1", "shop:2"
BY_DIGEST = f"docker.io/library/web@sha256:{'5' * 64}"
OTHER = f"docker.io/library/web@sha256:{'6' * 64}"
PATH = "/org/mctl1/image/_31"


class Registry:
    """And the service: what a pull has brought, and what it is asked for."""

    def __init__(self, identity: str = "sha256:1", damaged: tuple[str, ...] = ()) -> None:
        self.identity = identity
        self.damaged = damaged
        self.pulled: list[tuple[str, dict[str, Any]]] = []
        self.tagged: list[str] = []

    def manager(self, member: str, *_: object) -> tuple[Any, ...]:
        assert member == "GetImage"
        return (PATH,)

    def called(self, path: str, text: str) -> None:
        del path, text

    def call(self, call: Call) -> tuple[Any, ...]:
        if call.member == "Check":
            return (list(self.damaged),)
        if call.member == "Tag":
            self.tagged.append(str(call.body[0]))
        return ()

    def pull(self, arguments: Arguments, _: Client, name: str) -> str:
        self.pulled.append((name, arguments.options))
        if not self.identity:
            raise Failure("it does not answer", status=1)
        return self.identity


def image(*names: str, **more: Any) -> dict[str, Any]:
    return {
        "Id": "sha256:1", "Names": list(names), "OwnerUID": os.getuid(), "MadeHere": False, "Shared": True,
        "OS": "linux", "Architecture": "arm", "Configuration": '{"variant": "v7"}', **more,
    }  # fmt: skip


def brought_back(monkeypatch: pytest.MonkeyPatch, registry: Registry, found: dict[str, Any]) -> int:
    monkeypatch.setattr(transfers, "pull", registry.pull)
    client = cast("Client", registry)
    damaged = Damaged("it", PATH, ["sha256:9"], found)
    damaged.remove(client)
    return damaged.bring_back(client)


def test_with_all_its_names_and_for_its_platform(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    registry = Registry()
    assert brought_back(monkeypatch, registry, image(HERE, HUB, BY_DIGEST, OTHER, Shared=False)) == 0
    options = {"platform": "linux/arm/v7", "private": True}
    assert registry.pulled == [(BY_DIGEST, options), (OTHER, options)]
    assert registry.tagged == [HERE, HUB]
    assert capfd.readouterr() == ("it: removed\nit: pulled again\n", "")


@pytest.mark.parametrize("found", [
    image(HERE), image(), image(HUB, MadeHere=True), image(HUB, OwnerUID=os.getuid() + 1), image("team/web:1"),
])  # fmt: skip
def test_what_is_left_to_people(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], found: dict[str, Any]
) -> None:
    registry = Registry()
    assert brought_back(monkeypatch, registry, found) == 0
    assert registry.pulled == []
    assert capfd.readouterr() == ("it: removed; bring it in again\n", "")


@pytest.mark.parametrize(("registry", "told"), [
    (Registry(""), f"it: not there any more: it does not answer; `mctl pull {HUB}` brings it in again\n"),
    (Registry("sha256:2"), f"it: {HUB} is another image by now, sha256:2, which was pulled; what was called {HERE} is "
                           "not there any more\n"),
    (Registry(damaged=("sha256:9",)), "it: pulled again, but damaged still: another image or a container has kept the "
                                      "layer; remove that first\n"),
])  # fmt: skip
def test_what_does_not_come_back_as_it_was(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], registry: Registry, told: str
) -> None:
    assert brought_back(monkeypatch, registry, image(HUB, HERE)) == 1
    assert capfd.readouterr() == ("it: removed\n", f"mctl: {told}")


@pytest.mark.parametrize(("found", "then"), [
    (image(HUB), f"; `mctl image check --repair` removes the image and pulls {HUB}"),
    (image(HERE), "; `mctl image check --repair` removes the image, then bring it in again"),
])  # fmt: skip
def test_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], found: dict[str, Any], then: str
) -> None:
    monkeypatch.setattr(repair, "properties", lambda *_: found)
    assert Damaged.found(cast("Client", Registry()), "it") is None
    damaged = Damaged.found(cast("Client", Registry(damaged=("sha256:9",))), "it")
    assert damaged is not None
    damaged.tell(remedy=True)
    damaged.tell(remedy=False)
    line = "mctl: it: the layer sha256:9 is damaged"
    assert capfd.readouterr().err == f"{line}{then}\n{line}\n"
