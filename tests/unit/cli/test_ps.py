# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl ps: what is asked of the service, what is chosen here, and how it looks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mctl.commands import ps
from unit.cli.fake_service import INFINITY, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.cli.conftest import Result
    from unit.cli.fake_service import FakeService

    Mctl = Callable[..., Result]

RUNNING = ("s", "running")


def test_ps(mctl: Mctl, service: FakeService) -> None:
    service.add("up", State=RUNNING, MemoryMax=("t", INFINITY), Command=("as", ["sleep", "\x1b[2J"]))
    service.add("down", State=("s", "exited"), ExitHow=("s", "exited"))
    lines = mctl("ps").stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "up"]
    assert r"sleep \e[2J" in lines[1]
    assert len(mctl("ps", "-a").stdout.splitlines()) == 3
    assert mctl("list", "-aq").stdout == b"abc000000000\nabc100000000\n"
    assert mctl("ps", "--filter", "state=exited", "--format", "{{.Names}}").stdout == b"down\n"
    assert [each["Name"] for each in json.loads(mctl("ps", "--json=short").stdout)] == ["up"]
    assert {call[1] for call in service.calls} == {"ListContainers"}


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["--json"], {"States": ("as", ["starting", "running", "paused", "stopping", "restarting", "unreadable"])}),
        ([], {"States": ("as", list(ps.ACTIVE)), "Properties": ("as", list(ps.IN_TABLE))}),
        (["-a"], {"Properties": ("as", [*ps.IN_TABLE, *ps.OF_ENDED])}),
        (["-f", "state=exited"], {"States": ("as", ["exited"]), "Properties": ("as", [*ps.IN_TABLE, *ps.OF_ENDED])}),
        (["-a", "--format={{.Names}} {{.Labels.team}} {{.State}}"],
         {"Properties": ("as", sorted({*ps.IN_TABLE, *ps.OF_ENDED, "Labels"}))}),
        (["-a", "--format={{json .}}"], {}),
        (["-aq"], {"Properties": ("as", ["Id", "CreateTimestamp"])}),
        (["-f", "name=web", "--filter=name=db", "-a", "--json"], {}),
        (["-f", "exited=0", "-q"],
         {"States": ("as", ["exited", "restarting"]),
          "Properties": ("as", ["Id", "CreateTimestamp", "State", "ExitHow", "ExitStatus"])}),
        (["-f", "label=team", "--filter=label=tier=front", "-aq", "--json"],
         {"Labels": ("as", ["team", "tier=front"]), "Properties": ("as", ["Id", "CreateTimestamp"])}),
        (["-f", "status=created", "--format", "json"], {"States": ("as", ["created"])}),
        (["-lq"], {"Properties": ("as", ["Id", "CreateTimestamp"])}),
        (["-n", "2", "-q", "-f", "ancestor=busybox"],
         {"Properties": ("as", ["Id", "CreateTimestamp", "State", "Image", "ImageId"])}),
    ],
)
def test_ps_asks_in_one_call(mctl: Mctl, service: FakeService, words: list[str], asked: object) -> None:
    assert mctl("ps", *words).returncode == 0
    assert [call[1:3] for call in service.calls] == [("ListContainers", (asked, 0))]


@pytest.mark.parametrize("words", [
    ["--filter", "color=red"], ["--filter", "state"], ["web"], ["--json=ugly"], ["-n0"], ["-f", "name=*"],
    ["-f", "health=fine"], ["-f", "exited=x"], ["-f", "publish=http"],
    ["-f", f"exited={'0' * 5000}"], ["-f", f"publish={'8' * 5000}"], ["--sort", "names"],
])
def test_ps_refuses(mctl: Mctl, service: FakeService, words: list[str]) -> None:
    assert mctl("ps", *words).returncode == 125
    assert service.calls == []


def test_ps_of_ids_images_and_the_newest(mctl: Mctl, service: FakeService) -> None:
    for number, (image, digest) in enumerate((("busybox", "aaaa"), ("x.org/app:1", "bbbb"), ("busybox", "aaaa"))):
        made = service.add(f"c{number}", Image=("s", image), ImageId=("s", f"sha256:{digest}00"))
        made.properties["CreateTimestamp"] = ("t", number)

    def names(*words: str) -> list[str]:
        return mctl("ps", "-a", "--format={{.Name}}", *words).stdout.decode().split()

    assert names("-f", "image=busybox") == names("--filter=ancestor=busybox:latest") == ["c2", "c0"]
    assert names("-f", "image=x.org/app:1") == names("-f", "image=sha256:bbbb") == names("-f", "image=bbbb") == ["c1"]
    assert names("-f", "image=app") == names("-f", "image=bb") == names("-f", "id=0") == []
    assert names("-f", "id=abc0", "-f", "id=ABC2") == ["c2", "c0"]
    assert names("-n", "2") == ["c2", "c1"]
    assert names("-l") == mctl("ps", "--latest", "--format={{.Name}}").stdout.decode().split() == ["c2"]
    assert names("-f", "image=x.org/app:1", "-f", "id=abc0") == []


def test_ps_filters_of_docker_and_podman(mctl: Mctl, service: FakeService) -> None:
    common: dict[str, Any] = {
        "Image": ("s", "i"), "ImageId": ("s", ""), "Volumes": ("a(sss)", []), "Mounts": ("a(sss)", []),
        "Networks": ("as", ["bridge"]), "Ports": ("a(ssqqq)", []), "Health": ("s", "none"),
    }  # fmt: skip
    well = {"Health": ("s", "healthy"), "Networks": ("as", ["back"]), "Ports": ("a(ssqqq)", [("tcp", "", 8080, 80, 2)])}
    service.add("web", State=RUNNING, **common | well)
    service.add("webshop", State=RUNNING, **common | {"Volumes": ("a(sss)", [("data", "/srv", "")])})
    service.add("job", State=("s", "exited"), ExitHow=("s", "killed"), **common)
    service.containers["/org/mctl1/container/job"].properties["ExitStatus"] = ("i", 9)
    for number, made in enumerate(service.containers.values()):
        made.properties["CreateTimestamp"] = ("t", number)

    def names(*filters: str) -> list[str]:
        words = [word for each in filters for word in ("-f", each)]
        done = mctl("ps", "--format={{.Name}}", *words)
        assert done.returncode == 0, done.stderr
        return sorted(done.stdout.decode().split())

    assert names("name=web") == ["web", "webshop"]
    assert names("name=^web$") == names("name=^/web$") == ["web"]
    assert names("name=shop$", "name=job") == ["webshop"]
    assert names("name=web", "health=healthy") == names("network=back") == ["web"]
    assert names("health=none", "network=bridge") == names("volume=data") == names("volume=/srv") == ["webshop"]
    assert names("publish=8081") == names("publish=8080/tcp") == ["web"]
    assert names("publish=8082") == names("publish=8080/udp") == names("exited=9") == []
    assert names("exited=137") == ["job"]
    assert names("before=webshop") == names("before=job", "name=b$") == ["web"]
    assert names("since=web") == ["webshop"]
    asked = {"Properties": ("as", ["Id", "CreateTimestamp", "State", "Name"])}
    assert mctl("ps", "-f", "since=job", "-q").stdout == b""  # though that does not run
    assert service.calls[-1][1:3] == ("ListContainers", (asked, 0))
    done = mctl("ps", "-f", "since=nope")
    assert (done.returncode, b"since='nope': there is no such container" in done.stderr) == (125, True)


def test_ps_with_sizes(mctl: Mctl, service: FakeService) -> None:
    service.add("web", State=RUNNING, Labels=("a{ss}", {"com.x/y": "z"}))
    head, line = mctl("ps", "-s").stdout.decode().splitlines()
    assert (head.split()[-1], line.rpartition("  ")[2]) == ("SIZE", "2.0 KiB")
    assert json.loads(mctl("ps", "--size", "--json").stdout)[0]["Size"] == 2048
    asked = mctl("ps", "--format", '{{ .Size }} {{.Label "com.x/y"}} {{.RunningFor}} {{.CreatedAt}}', TZ="UTC").stdout
    assert asked.startswith(b"2.0 KiB z ")
    assert asked.endswith(b" ago 2023-11-14 22:13:20 +0000\n")
    service.calls.clear()
    assert b"SIZE" not in mctl("ps").stdout
    assert [call[1] for call in service.calls] == ["ListContainers"]


def test_ps_says_what_a_template_meant(mctl: Mctl, service: FakeService) -> None:
    """The service is asked for the one field, and only who mistypes pays for all."""
    service.add("web", State=RUNNING)
    unknown = Refused("org.freedesktop.DBus.Error.InvalidArgs", "filter Properties 'Nmae' is not known")
    service.errors["ListContainers"] = [unknown]
    result = mctl("ps", "--format", "{{.Nmae}}")
    assert (result.returncode, b"no field .Nmae (did you mean .Name?)" in result.stderr) == (125, True)
    service.containers.clear()
    service.errors["ListContainers"] = [unknown]
    result = mctl("ps", "--format", "{{.Nmae}}")
    assert (result.returncode, b"--format 'Nmae' is not known" in result.stderr) == (125, True)
