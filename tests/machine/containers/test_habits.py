# SPDX-License-Identifier: GPL-3.0-or-later
"""What users of docker and podman type every day, against the real service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

IMAGE = "habits"


@pytest.fixture
def image(mctl: Mctl) -> Iterator[str]:
    """Exposes three ports and has a variable whose name no shell would take."""
    changes = ["--change", "EXPOSE 80 53/udp", "--change", "EXPOSE 9000", "--change", "ENV discovery.type=single"]
    mctl("import", *changes, mctl.rootfs, IMAGE)
    yield IMAGE
    mctl("rmi", "-f", IMAGE)


def test_every_exposed_port_on_a_free_one_of_the_host(mctl: Mctl, image: str) -> None:
    mctl("run", "-d", "--name", "web", "-P", "--expose", "81", "-p", "18053:53/udp", image, "httpd", "-f", "-h", "/bin")
    ports = json.loads(mctl("port", "--json", "web").text)
    assert {(each["Protocol"], each["ContainerPort"]) for each in ports} == {
        ("tcp", 80), ("udp", 53), ("tcp", 9000), ("tcp", 81),
    }  # fmt: skip
    (host,) = [each["HostPort"] for each in ports if each["ContainerPort"] == 80]
    asked = f"until busybox wget -q -O /dev/null http://127.0.0.1:{host}/busybox; do sleep 0.1; done"
    mctl.shell(f"timeout 30 sh -c '{asked}'")
    assert mctl("ps", "-q", "-f", f"publish={host}").text == mctl("ps", "-q").text != ""
    mctl("rm", "-f", "web")


def test_variables_and_labels_of_any_name(mctl: Mctl, image: str) -> None:
    mctl.machine.write("/tmp/environment", "cluster.name=one\nX-Y=2 \n")
    mctl.machine.write("/tmp/labels", "# notes\nteam=web\n")
    options = ["--rm", "--network", "none", "--env-file", "/tmp/environment", "-e", "node.name=n 1"]
    told = mctl("run", *options, "--label-file", "/tmp/labels", image, "env").text.splitlines()
    assert {"discovery.type=single", "cluster.name=one", "X-Y=2 ", "node.name=n 1"} <= set(told)
    mctl("create", "--name", "web", "--label-file", "/tmp/labels", image, "true")
    assert mctl("ps", "-a", "--format", '{{.Names}} {{.Label "team"}}', "-f", "label=team").text == "web web\n"
    mctl("rm", "web")
    mctl.shell("rm /tmp/environment /tmp/labels")


def test_the_id_of_a_container_in_a_file(mctl: Mctl) -> None:
    mctl.run("true", options=["-d", "--name", "web", "--network", "none", "--cidfile", "/tmp/cid"])
    identity = mctl.shell("cat /tmp/cid").text
    assert mctl("inspect", "-f", "{{.Id}}", identity).text == f"{identity}\n"
    again = mctl.run("true", options=["--cidfile", "/tmp/cid"], check=False)
    assert (again.returncode, "File exists" in again.stderr.decode()) == (125, True)
    assert mctl.run("/nonexistent", options=["--rm", "--cidfile", "/tmp/other"], check=False).returncode == 127
    mctl.shell("! [ -e /tmp/other ] && rm /tmp/cid")
    mctl("rm", "-f", "web")


def test_who_wants_what_is_so_already_has_it(mctl: Mctl) -> None:
    """The interface tells apart what the command does not."""
    mctl("create", "--name", "web", "--network", "none", mctl.rootfs, "sleep", "1000")
    call = "busctl call org.mctl1 /org/mctl1/container/web org.mctl1.Container"
    assert mctl("stop", "web").text == "web\n"  # it has never run
    assert mctl("start", "web").text == "web\n"
    pid = mctl.properties("web")["MainPID"]
    assert mctl("start", "web").text == "web\n"
    assert mctl.properties("web")["MainPID"] == pid
    assert b"running already" in mctl.shell(f"{call} Start t 0", check=False).stderr
    mctl("pause", "web")
    for verb, words in (("start", "paused already"), ("pause", "paused already")):
        refused = mctl(verb, "web", check=False)
        assert (refused.returncode, words in refused.stderr.decode()) == (1, True), verb
    mctl("unpause", "web")
    assert "not paused" in mctl("unpause", "web", check=False).stderr.decode()
    for _ in range(2):
        assert mctl("stop", "-t", "0", "web").text == "web\n"
    assert b"is not running" in mctl.shell(f"{call} Stop 'a{{sv}}t' 0 0", check=False).stderr
    assert "is not running" in mctl("kill", "web", check=False).stderr.decode()
    refused = mctl("stop", "web", "nobody", check=False)
    assert (refused.returncode, refused.text, "'nobody'" in refused.stderr.decode()) == (1, "web\n", True)
    assert mctl("rm", "-f", "web", "nobody").text == "web\n"
    assert mctl("rm", "web", check=False).returncode == 1


def test_inspect_knows_whatever_has_a_name(mctl: Mctl, image: str) -> None:
    mctl("volume", "create", "data")
    for name, key in ((image, "Layers"), ("data", "Containers"), ("bridge", "Subnet")):
        assert key in json.loads(mctl("inspect", name).stdout)
    refused = mctl("inspect", "data", user="bob", check=False)
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert "Layers" in json.loads(mctl("inspect", image, user="bob").stdout)  # shared, and nobody is asked
    mctl("volume", "rm", "data")


def test_sizes_processes_and_events(mctl: Mctl) -> None:
    script = "head -c 300000 /dev/zero >/tmp/file; exec sleep 1000"
    mctl.run("sh", "-c", script, options=["-d", "--name", "big", "--network", "none"])
    mctl.run("true", options=["--name", "big-2", "--network", "none"])
    mctl.shell("timeout 30 sh -c 'until mctl top big -eo args | grep -qx \"sleep 1000\"; do sleep 0.1; done'")
    listed = [mctl("top", "big", words).text.splitlines() for words in ("aux", "-ef")]
    first, second = ([(line.split()[:2], line.split()[-2:]) for line in lines] for lines in listed)  # times go on
    assert first == second
    assert [command for _, command in first[1:]] == [["sleep", "1000"]]
    (size,) = [each["Size"] for each in json.loads(mctl("ps", "-s", "--json", "-f", "name=big").stdout)]
    assert size >= 300_000
    assert mctl("ps", "-a", "-f", "name=big", "-f", "exited=0", "--format", "{{.Names}}").text == "big-2\n"
    assert mctl("ps", "-a", "-f", "since=big", "--format", "{{.Names}}").text == "big-2\n"
    told = mctl("events", "--since", "1h", "--until", "0s", "-f", "container=big-2", "-f", "event=die", "--json").text
    assert [json.loads(line)["Event"] for line in told.splitlines()][-1:] == ["exited"]
    mctl("rm", "-f", "big", "big-2")
