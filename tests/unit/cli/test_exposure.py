# SPDX-License-Identifier: GPL-3.0-or-later
"""-P publishes what the image exposes, --expose adds to it, -p goes before; --cidfile has the id or is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from mctl.creation import container_options
from mctl.exposure import with_exposed
from mctl.failures import MCTL, Failure, UsageError
from mctl.idfile import IdFile
from mctl.parser import Arguments, find_verb, parse

if TYPE_CHECKING:
    from pathlib import Path

    from mctl.client import Call, Client


class FakeClient:
    """Has one image, which a pull brings."""

    def __init__(self, *ports: str, here: bool = True) -> None:
        self.ports, self.here = list(ports), here
        self.pulled: list[str] = []

    def manager(self, member: str, signature: str, text: str) -> tuple[str]:
        assert (member, signature) == ("GetImage", "s")
        if not self.here:
            raise Failure("there is no image", status=125, name=MCTL + "NoSuchImage", text="there is no image")
        return (f"/org/mctl1/image/{text}",)

    def call(self, call: Call) -> tuple[tuple[str, list[str]]]:
        assert (call.member, call.body) == ("Get", ("org.mctl1.Image", "ExposedPorts"))
        return (("as", self.ports),)


def ports(client: FakeClient, *words: str) -> list[Any]:
    arguments = parse(find_verb(["run", *words, "x.org/app"]))
    options = container_options(arguments, {"Image": ("s", "x.org/app")})
    found = with_exposed(arguments, cast("Client", client), options)
    return list(found["Ports"][1]) if "Ports" in found else []


def test_ports_of_the_image_and_more() -> None:
    client = FakeClient("80/tcp", "53/udp", "9000-9001")
    assert ports(client, "-P") == [
        ("tcp", "", 0, 80, 1), ("udp", "", 0, 53, 1), ("tcp", "", 0, 9000, 1), ("tcp", "", 0, 9001, 1),
    ]  # fmt: skip
    assert ports(FakeClient(), "-P") == []
    assert ports(FakeClient(), "--publish-all", "--expose", "80", "--expose=80/tcp") == [("tcp", "", 0, 80, 1)]


def test_what_is_published_already_stays_alone() -> None:
    assert ports(FakeClient("80/tcp", "80/udp"), "-P", "-p", "8080:80") == [
        ("tcp", "", 8080, 80, 1), ("udp", "", 0, 80, 1),
    ]  # fmt: skip
    assert ports(FakeClient("9001/tcp"), "-P", "-p", "9000-9002:9000-9002") == [("tcp", "", 9000, 9000, 3)]


@pytest.mark.parametrize(("pull", "here", "times"), [("missing", True, 0), ("missing", False, 1), ("always", True, 1)])
def test_the_image_is_fetched_before_its_ports_are_read(
    monkeypatch: pytest.MonkeyPatch, pull: str, *, here: bool, times: int
) -> None:
    def fetched(arguments: Arguments, client: Client, name: str) -> None:
        fake = cast("FakeClient", client)
        fake.pulled.append(name)
        fake.here = True

    monkeypatch.setattr("mctl.transfers.pull", fetched)
    client = FakeClient("80", here=here)
    assert ports(client, "-P", f"--pull={pull}") == [("tcp", "", 0, 80, 1)]
    assert client.pulled == ["x.org/app"] * times


def test_an_image_that_may_not_be_fetched_is_missed() -> None:
    with pytest.raises(Failure, match="there is no image"):
        ports(FakeClient("80", here=False), "-P", "--pull=never")


def test_id_file(tmp_path: Path) -> None:
    path = tmp_path / "cid"
    with IdFile(Arguments({"cidfile": str(path)}, [])) as file:
        file.write("abc")
    assert path.read_text() == "abc"
    with pytest.raises(UsageError, match="File exists"), IdFile(Arguments({"cidfile": str(path)}, [])):
        pytest.fail("another container's file was taken")
    assert path.read_text() == "abc"


def test_id_file_of_a_container_that_was_not_made(tmp_path: Path) -> None:
    path = tmp_path / "cid"
    with pytest.raises(Failure), IdFile(Arguments({"cidfile": str(path)}, [])):
        raise Failure("no", status=125)
    assert not path.exists()
