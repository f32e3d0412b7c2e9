# SPDX-License-Identifier: GPL-3.0-or-later
"""The example rules, as an administrator takes them: copied into polkit's directory and met by real users."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from .conftest import RELOAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

EXAMPLES = Path(__file__).parents[3] / "polkit" / "examples"  # base images go without documentation
PAGE = Path(__file__).parents[3] / "packaging" / "man" / "mctld.8"
RULES = "/etc/polkit-1/rules.d"
BUSCTL = "busctl --json=short call org.mctl1"


@contextlib.contextmanager
def rules(mctl: Mctl, name: str, users: str) -> Iterator[None]:
    """With the example in force, and groups or users that it speaks of."""
    rule = manuals() if name == "manual" else (EXAMPLES / f"50-mctl-{name}.rules").read_bytes()
    mctl.machine.run(["sh", "-c", f"{users}; cat > {RULES}/50-mctl-{name}.rules; {RELOAD}"], input=rule)
    try:
        yield
    finally:
        mctl.shell(f"rm {RULES}/50-mctl-{name}.rules; {RELOAD}")
        undone = "for group in deploy students teachers; do groupdel $group; done; userdel -r ci"
        mctl.shell(f"({undone}) 2>/dev/null; true")


def manuals() -> bytes:
    """The one that mctld(8) shows."""
    beginning = "polkit.addRule"
    _, found, rest = PAGE.read_text().partition(f"\n.RS\n{beginning}")
    assert found
    return (beginning + rest.partition(".RE\n")[0]).encode()


def can(mctl: Mctl, name: str, user: str) -> dict[str, str]:
    told = json.loads(mctl("can", "--json=short", name, user=user).stdout)
    return {verb: each["Answer"] for verb, each in told.items()}


def granted(answers: dict[str, str]) -> set[str]:
    return {verb for verb, answer in answers.items() if answer in ("yes", "na")}


def made(mctl: Mctl, user: str, *options: str, rootfs: str = "/srv/alice") -> str:
    """What is said where it is refused."""
    words = ["run", "--no-ask-password", "--rm", *options, rootfs, "true"]
    return mctl(*words, user=user, check=False).stderr.decode()


def test_deploy(mctl: Mctl) -> None:
    """bob is in the group: the label decides, and the verb."""
    for name, label in (("web", "team=web"), ("other", "team=db")):
        mctl.run("sh", "-c", "echo said; sleep 1000", options=["-d", "--name", name, "--label", label])
    with rules(mctl, "deploy", "groupadd deploy; usermod -aG deploy bob"):
        allowed = granted(can(mctl, "web", "bob"))
        assert {"start", "stop", "restart", "kill", "pause", "unpause", "logs"} <= allowed
        assert allowed.isdisjoint({"rm", "exec", "cp", "update", "enable", "port", "network", "commit", "export"})
        assert granted(can(mctl, "other", "bob")) == granted(can(mctl, "web", "alice")) == set()
        assert mctl("logs", "web", user="bob").text == "said\n"
        mctl("restart", "-t", "0", "web", user="bob")
        assert mctl("rm", "-f", "--no-ask-password", "web", user="bob", check=False).returncode == 1
        assert mctl("exec", "--no-ask-password", "web", "true", user="bob", check=False).returncode == 125
        assert mctl("stop", "--no-ask-password", "other", user="bob", check=False).returncode == 1
        assert json.loads(mctl("inspect", "web", user="bob").stdout)["Name"] == "web"


def test_the_manuals(mctl: Mctl) -> None:
    for name, label in (("web", "team=web"), ("other", "team=db")):
        mctl.run("sleep", "1000", options=["-d", "--name", name, "--label", label])
    with rules(mctl, "manual", "groupadd deploy; usermod -aG deploy bob"):
        assert granted(can(mctl, "web", "bob")) == {"start", "stop"}
        assert granted(can(mctl, "other", "bob")) == granted(can(mctl, "web", "alice")) == set()
        mctl("stop", "-t", "0", "web", user="bob")


def test_ci(mctl: Mctl) -> None:
    """A user nobody logs in as; what takes more is refused without a question."""
    mctl.run("sleep", "1000", options=["-d", "--name", "roots"])
    with rules(mctl, "ci", "useradd -m -s /bin/sh ci; cp -a /srv/alice /srv/ci; chown -hR ci: /srv/ci"):
        assert made(mctl, "ci", rootfs="/srv/ci") == ""
        for options in (["--cap-add", "NET_RAW"], ["--security-opt", "seccomp=unconfined"], ["-p", "80:80"]):
            assert "(org.mctl1.create-privileged)" in made(mctl, "ci", *options, rootfs="/srv/ci")
        assert "(org.mctl1.create-privileged)" in made(mctl, "ci", rootfs="/srv/root")
        assert set(can(mctl, "roots", "ci").values()) == {"no"}
        call = f"{BUSCTL} /org/mctl1 org.mctl1.Manager Can as 0"
        told = json.loads(mctl.machine.run(["sh", "-c", call], user="ci").text)["data"][0]
        assert {name for name, (answer, *_) in told.items() if answer == "no"} == {"Privileged", "CreateNetwork"}
        assert {answer for answer, *_ in told.values()} == {"yes", "no"}
        mctl("run", "-d", "--name", "job", "/srv/ci", "sleep", "1000", user="ci")
        assert {"stop", "exec", "logs", "rm"} <= granted(can(mctl, "job", "ci"))
        mctl("rm", "-f", "job", user="ci")
        mctl.shell("rm -r /srv/ci")


def test_classroom(mctl: Mctl) -> None:
    """alice is a student, bob teaches; root's container is nobody's pupil."""
    mctl.run("sleep", "1000", options=["-d", "--name", "roots"])
    with rules(mctl, "classroom", "groupadd students; groupadd teachers; usermod -aG students alice;"
                                  "usermod -aG teachers bob"):  # fmt: skip
        mctl.run(
            "sh", "-c", "echo done; sleep 1000", options=["-d", "--name", "homework"], rootfs="/srv/alice", user="alice"
        )
        assert "(org.mctl1.create)" in made(mctl, "alice", "-p", "8080:80")
        assert "(org.mctl1.create-privileged)" in made(mctl, "alice", "--cap-add", "NET_RAW")
        own = can(mctl, "homework", "alice")
        assert {verb for verb, answer in own.items() if answer == "no"} == {"net", "port", "update"}
        assert mctl("update", "--pids", "9", "homework", user="alice", check=False).returncode == 1
        allowed = granted(can(mctl, "homework", "bob"))
        assert {"cp", "exec", "kill", "logs", "pause", "restart", "rm", "start", "stop", "unpause"} <= allowed
        assert allowed.isdisjoint({"attach", "enable", "disable", "update"})
        assert granted(can(mctl, "roots", "bob")) == set()
        assert mctl("logs", "homework", user="bob").text == "done\n"
        assert mctl("exec", "homework", "id", "-u", user="bob").text == "0\n"
        assert mctl("stop", "--no-ask-password", "roots", user="bob", check=False).returncode == 1
        mctl("stop", "-t", "0", "homework", user="bob")
        mctl("rm", "homework", user="bob")
