# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from a registry and to it: Debian's docker-registry with TLS and a login, and one that means harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import RELOAD, STORE, settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

REGISTRY = "localhost:5443"
BOX = f"{REGISTRY}/team/box:1"
PASSWORD = b"open sesame\n"
PLACE = "/srv/registry"
CERTIFICATES = f"/etc/containers/certs.d/{REGISTRY}"
SERVE = f"systemd-run -q --unit=test-registry docker-registry serve {PLACE}/config.yml"
SET_UP = f"""
set -e
mkdir -p {PLACE} {CERTIFICATES}; chmod 755 {PLACE}; cd {PLACE}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key -out cert -days 2 \
    -subj /CN=localhost -addext subjectAltName=DNS:localhost 2> /dev/null
cp cert {CERTIFICATES}/ca.crt
echo 'alice:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW' > htpasswd
cat > config.yml <<X
version: 0.1
storage: {{filesystem: {{rootdirectory: {PLACE}/data}}}}
http: {{addr: "127.0.0.1:5443", tls: {{certificate: {PLACE}/cert, key: {PLACE}/key}}}}
auth: {{htpasswd: {{realm: test, path: {PLACE}/htpasswd}}}}
X
{SERVE}
"""
SIGNED_POLICY = {
    "default": [{"type": "insecureAcceptAnything"}],
    "transports": {"docker": {REGISTRY: [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/none"}]}},
}
SIGNED_RULE = """
polkit.addRule(function(action, subject) {
    if (action.id == "org.mctl1.images" && subject.user == "alice" && action.lookup("signed") == "yes")
        return polkit.Result.YES;
});
"""
HOSTILE = "127.0.0.1:5001"
WAIT = "for i in $(seq 300); do (exec 3<>/dev/tcp/{}) 2> /dev/null && exit 0; sleep 0.1; done; exit 1"
UNITS = "systemctl list-units --all --no-legend --plain 'mctl-transfer-*'"
TRANSFERS = "grep -o 'transfer-[0-9a-f]*' | sort -u | wc -l"  # one may ask for the manifest and for the image at once


@pytest.fixture
def registry(busybox: Mctl) -> Iterator[Mctl]:
    """With TEAM/box:1 in it."""
    busybox.shell(SET_UP)
    busybox.machine.run(["bash", "-c", WAIT.format("127.0.0.1/5443")])
    busybox("push", "--creds", "alice", "busybox", BOX, stdin=PASSWORD)
    yield busybox
    busybox.shell(f"systemctl stop test-registry; rm -r {PLACE} /etc/containers/certs.d")


@pytest.fixture
def hostile(images: Mctl) -> Iterator[Mctl]:
    images.machine.push(Path(__file__).parents[1] / "hostile_registry.py", "/srv/hostile.py")
    images.shell("systemd-run -q --unit=test-hostile python3 /srv/hostile.py 5001")
    images.machine.run(["bash", "-c", WAIT.format("127.0.0.1/5001")])
    yield images
    images.shell("systemctl stop test-hostile; rm /srv/hostile.py")


def nothing_left(mctl: Mctl) -> None:
    assert settled(mctl) == ""
    there = set(mctl.shell("ls /run/mctl").text.split())
    assert there <= {"health", "names.sock", "network", "seccomp", "spawner.sock", "staging"}
    assert mctl.shell(UNITS).text == ""


def test_there_and_back_with_tls_and_a_login(registry: Mctl) -> None:
    before = json.loads(registry("image", "inspect", "busybox").stdout)["Id"]
    refused = registry("push", "busybox", BOX, check=False)
    assert (refused.returncode, b"authentication required" in refused.stderr) == (1, True)
    wrong = registry("pull", "--creds", "alice", BOX, check=False, stdin=b"wrong\n")
    assert (wrong.returncode, b"could not pull" in wrong.stderr, b"wrong" in wrong.stderr) == (1, True, False)
    registry("rmi", "busybox")
    registry.shell(
        f"printf '%s' 'open sesame' | skopeo login --authfile {PLACE}/auth -u alice --password-stdin {REGISTRY}"
    )
    assert registry("pull", "--authfile", f"{PLACE}/auth", BOX).text == f"{before}\n"
    assert registry("run", "--rm", BOX, "echo", "alive").text == "alive\n"
    look = f"skopeo inspect --authfile {PLACE}/auth docker://{BOX}"
    assert len(json.loads(registry.shell(look).stdout)["Layers"]) == 1
    nothing_left(registry)


def test_fetching_takes_an_authorization_of_its_own(registry: Mctl) -> None:
    refused = registry("run", "--rm", "--no-ask-password", BOX, "true", user="alice", check=False)
    assert (refused.returncode, b"needs a password" in refused.stderr) == (125, True)
    nothing_left(registry)


def test_an_ordinary_users_image_is_theirs(registry: Mctl, alice_may_import: Mctl) -> None:
    assert registry is alice_may_import
    script = f"printf 'open sesame\\n' | mctl pull --creds alice {BOX} && mctl run --rm --pull never {BOX} id -u"
    assert registry.machine.run(["sh", "-c", script], user="alice").text.splitlines()[-1] == "0"
    assert registry("run", "--rm", "--pull", "never", BOX, "true", user="bob", check=False).returncode == 125
    registry("rmi", "busybox")
    assert registry("run", "--rm", "--creds", "alice", BOX, "echo", "fetched", user="alice", stdin=PASSWORD).text == (
        "fetched\n"
    )
    registry("rmi", BOX, user="alice")
    run = ["run", "--rm", "--creds", "alice", BOX, "echo", "fetched"]
    assert registry(*run, user="alice", stdin=PASSWORD).text == "fetched\n"
    nothing_left(registry)


def test_when_it_is_fetched(registry: Mctl) -> None:
    login = f"mkdir -p /run/containers/0; printf 'open sesame' | skopeo login -u alice --password-stdin {REGISTRY}"
    registry.shell(login)
    try:
        never = registry("run", "--rm", "--pull", "never", BOX, "true", check=False)
        assert b"`mctl pull localhost:5443/team/box:1` fetches it" in never.stderr
        assert registry("run", "--rm", BOX, "echo", "missing").text == "missing\n"
        registry.shell(f"cp /usr/bin/tini {PLACE}/data/; mctl import -c 'CMD [\"/tini\"]' {PLACE}/data other")
        registry("push", "other", BOX)
        assert registry("run", "--rm", BOX, "echo", "old").text == "old\n"
        changed = registry("run", "--rm", "--pull", "always", BOX, "echo", "new", check=False)
        assert changed.returncode == 127  # it has no echo
        short = registry("run", "nginx", check=False).stderr.decode()
        assert "as in docker.io/library/nginx; where none can be reached, `mctl import --busybox`" in short
        assert b"names no registry" in registry("pull", "nginx", check=False).stderr
    finally:
        registry.shell("rm -r /run/containers")


def test_what_has_not_changed_is_not_fetched_again(registry: Mctl) -> None:
    """The registry loses the layer: what it says of the image is still the same."""
    (identity,) = registry("pull", "--creds", "alice", BOX, stdin=PASSWORD).text.split()
    lose = f"cd {PLACE}/data/docker/registry/v2/blobs/sha256; rm -r $(ls -S */*/data | head -n 1 | xargs dirname)"
    registry.shell(lose)
    assert registry("pull", "--creds", "alice", BOX, stdin=PASSWORD).text.split() == [identity]
    registry("rmi", BOX, "busybox")
    lost = registry("pull", "--creds", "alice", BOX, stdin=PASSWORD, check=False)
    assert (lost.returncode, b"could not pull" in lost.stderr) == (1, True)
    nothing_left(registry)


def test_by_digest(registry: Mctl) -> None:
    """As other tools name what they have tested: pulled, run, listed and removed under that name alone."""
    pushed = registry("push", "--creds", "alice", "busybox", f"{REGISTRY}/team/box:2", stdin=PASSWORD).text.strip()
    name = f"{REGISTRY}/team/box@{pushed}"
    assert registry("run", "--rm", "--creds", "alice", name, "echo", "it", stdin=PASSWORD).text == "it\n"
    assert registry("run", "--rm", f"{REGISTRY}/team/box:any@{pushed}", "echo", "there").text == "there\n"
    assert json.loads(registry("image", "inspect", name).stdout)["Names"] == ["busybox:latest", name]
    assert f"{REGISTRY}/team/box  @{pushed[:19]}" in registry("images").text
    registry("rmi", "busybox")
    with_tags = "tar -xO manifest.json | grep -c team/box"
    assert registry.shell(f"mctl save {name} | {with_tags} || true").text == "0\n"
    for words in (("tag", name, f"x@{pushed}"), ("push", name, name)):
        refused = registry(*words, check=False)
        assert (refused.returncode, b"is not a name of an image" in refused.stderr) == (1, True)
    wrong = registry("pull", "--creds", "alice", name[:-4] + "0000", stdin=PASSWORD, check=False)
    assert (wrong.returncode, b"could not pull" in wrong.stderr) == (1, True)
    registry("rmi", name)
    assert registry("images", "-q").text == ""
    nothing_left(registry)


def test_the_policy_of_the_host_decides(registry: Mctl) -> None:
    policy = "/etc/containers/policy.json"
    registry.shell(f'cp {policy} /srv/policy; printf \'{{"default": [{{"type": "reject"}}]}}\' > {policy}')
    refused = registry("pull", "--creds", "alice", BOX, stdin=PASSWORD, check=False)
    registry.shell(f"rm {policy}")
    missing = registry("pull", "--creds", "alice", BOX, stdin=PASSWORD, check=False)
    registry.shell(f"mv /srv/policy {policy}; mv /usr/bin/skopeo /srv/")
    without = registry("pull", "--creds", "alice", BOX, stdin=PASSWORD, check=False)
    registry.shell("mv /srv/skopeo /usr/bin/")
    assert b"skopeo(1), which is not installed" in without.stderr
    assert b"is rejected by policy" in refused.stderr
    assert b"/etc/containers/policy.json is missing" in missing.stderr
    nothing_left(registry)


def test_a_rule_may_ask_for_signatures(registry: Mctl) -> None:
    """polkit's answer depends on what the host's policy says of the name; the policy itself is skopeo's to enforce."""
    policy, rule = "/etc/containers/policy.json", "/etc/polkit-1/rules.d/50-mctl-signed.rules"
    registry.machine.run(["sh", "-c", f"cat > {rule}; {RELOAD}"], input=SIGNED_RULE)
    asked = ["pull", "--no-ask-password", "--creds", "alice", BOX]
    unsigned = registry(*asked, user="alice", stdin=PASSWORD, check=False)
    registry.machine.run(["sh", "-c", f"cp {policy} /srv/policy; cat > {policy}"], input=json.dumps(SIGNED_POLICY))
    signed = registry(*asked, user="alice", stdin=PASSWORD, check=False)
    registry.shell(f"mv /srv/policy {policy}; rm {rule}; {RELOAD}")
    assert (unsigned.returncode, b"this needs a password" in unsigned.stderr) == (1, True)
    assert (signed.returncode, b"could not pull" in signed.stderr) == (1, True)
    nothing_left(registry)


@pytest.mark.parametrize(("name", "why"), [
    ("wrong-digest", "Digest did not match"),
    ("short", ""),
    ("other-layer", "a layer is not what the image's configuration says"),
    ("no-config", ""),
    ("ambiguous", ""),
    ("many-layers", ""),
    ("not-an-image", "not of a container image"),
    ("huge-manifest", ""),
    ("redirect-loop", "stopped after 10 redirects"),
    ("redirect-to-file", "unsupported protocol scheme"),
    ("unauthorized", ""),
    ("bomb", "looks like a decompression bomb"),
])  # fmt: skip
def test_a_hostile_registry(hostile: Mctl, name: str, why: str) -> None:
    refused = hostile("pull", "--tls-verify=false", f"{HOSTILE}/{name}", check=False, timeout=120)
    assert refused.returncode == 1
    assert why in refused.stderr.decode()
    assert refused.stderr.count(b"\n") == 1
    assert hostile("images", "-q").text == ""
    nothing_left(hostile)


def test_what_carries_is_walled_in(hostile: Mctl) -> None:
    """A transfer that hangs is looked at from outside, and then interrupted."""
    script = f"""
        env --default-signal=INT mctl pull --tls-verify=false {HOSTILE}/slow > /dev/null 2>&1 & pulling=$!
        for i in $(seq 300); do pid=$(pgrep -f '^/usr/bin/skopeo .* copy ') && break; sleep 0.1; done
        sleep 0.5
        grep -E '^(Uid|NoNewPrivs|Seccomp|CapEff|CapBnd):' /proc/$pid/status
        echo lib $(ls -A /proc/$pid/root/var/lib | tr '\\n' ' ')
        echo var $(ls -A /proc/$pid/root/var | tr '\\n' ' ')
        nsenter -t $pid -m -S $(awk '/^Uid/ {{print $2}}' /proc/$pid/status) touch /usr/x 2>&1 | sed 's/^/usr /'
        kill -INT $pulling; wait $pulling; echo status $?
    """
    found = hostile.machine.run(["bash", "-mc", script], timeout=60).text.splitlines()
    words = {line.split()[0]: line.split()[1:] for line in found}
    assert int(words["Uid:"][0]) >= 61_184  # systemd's range for DynamicUser=
    assert (words["NoNewPrivs:"], words["Seccomp:"]) == (["1"], ["2"])
    assert words["CapEff:"] == words["CapBnd:"] == ["0" * 16]
    assert words["lib"] in ([], ["containers"])
    assert set(words["var"]) <= {"lib", "tmp", "transfer"}
    assert "Read-only" in words["usr"]
    assert words["status"] == ["130"]
    nothing_left(hostile)


def test_one_transfer_for_all_who_ask(hostile: Mctl) -> None:
    """Of three who wait two leave: it goes on. With the last it ends."""
    since = hostile.shell("date +%s.%N").text.strip()
    script = f"""
        env --default-signal=INT mctl pull --tls-verify=false {HOSTILE}/slow 2> /dev/null & pulling=$!
        until pgrep -x skopeo > /dev/null; do sleep 0.1; done
        ask="busctl --json=short call org.mctl1 /org/mctl1 org.mctl1.Manager PullImage sa{{sv}}t"
        for i in 1 2; do
            job=$($ask {HOSTILE}/slow 1 VerifyTLS b false 0 | sed 's/.*"\\(.*\\)".*/\\1/')
        done
        for i in 1 2; do busctl call org.mctl1 $job org.mctl1.Job Cancel t 0; done
        echo transfers $({UNITS} | {TRANSFERS})
        kill -INT $pulling; wait $pulling
        echo units $({UNITS} | wc -l)
    """
    assert hostile.machine.run(["bash", "-mc", script]).text == "transfers 1\nunits 0\n"
    started = hostile.shell(f"journalctl -q --since @{since} -g 'Starting mctl-transfer' -o cat | {TRANSFERS}").text
    assert started == "1\n"
    nothing_left(hostile)


@pytest.mark.allow_journal(r"mctld\.service")
def test_a_service_killed_meanwhile_leaves_nothing(hostile: Mctl) -> None:
    script = f"""
        mctl pull --tls-verify=false {HOSTILE}/slow 2> /dev/null & pulling=$!
        for i in $(seq 300); do pgrep -x skopeo > /dev/null && break; sleep 0.1; done
        systemctl kill --kill-whom=main --signal=KILL mctld.service
        wait $pulling
        for i in $(seq 300); do pgrep -x skopeo > /dev/null || break; sleep 0.1; done
        pgrep -x skopeo; mctl images -q
    """
    assert hostile.machine.run(["bash", "-c", script]).text == ""
    assert hostile.shell(f"ls {STORE}/layers").text == ""
    nothing_left(hostile)
