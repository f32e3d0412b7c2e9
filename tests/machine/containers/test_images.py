# SPDX-License-Identifier: GPL-3.0-or-later
"""Images in a machine: brought in, run, shared, removed; and what happens in between."""

from __future__ import annotations

import io
import json
import os
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import STORE, settled

if TYPE_CHECKING:
    from .conftest import Mctl

def packed(*members: tuple[str, bytes | None, dict[str, Any]]) -> bytes:
    """name, content (None: a directory), fields of TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content, fields in members:
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            entry.mode, entry.size = 0o755, len(content or b"")
            for key, value in fields.items():
                setattr(entry, key, value)
            tar.addfile(entry, io.BytesIO(content or b""))
    return out.getvalue()


def test_busybox_without_a_registry(busybox: Mctl) -> None:
    assert busybox("run", "--rm", "busybox", "sh", "-c", "echo $PATH; id -u; pwd").text.splitlines() == [
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "0", "/",
    ]  # fmt: skip
    assert busybox("run", "--rm", "-i", "busybox", stdin=b"echo from the default command").text == (
        "from the default command\n"
    )
    busybox.shell("sleep 1.1")  # times are told in seconds
    assert busybox("import", "--busybox").text.split() == busybox("images", "-q", "--no-trunc").text.split()
    assert busybox.shell(f"ls {STORE}/layers | wc -l").text == "1\n"


def test_the_same_content_of_the_same_time_is_the_same_image(images: Mctl) -> None:
    make = "mkdir -p /srv/{0}; cd /srv/{0}; for i in {1}; do echo $i > $i; done; touch -d @7 . *; chmod 755 ."
    images.shell("; ".join((make.format("one", "a b c d"), make.format("two", "d b a c"))))
    script = "for i in one two one; do SOURCE_DATE_EPOCH={} mctl import /srv/$i it; sleep 1.1; done"
    found = images.shell(script.format(1_000_000_000)).text.split()
    assert (len(found), len(set(found))) == (3, 1)
    (told,) = json.loads(json.loads(images("image", "inspect", "it").stdout)["Configuration"])["history"]
    assert told["created"] == "2001-09-09T01:46:40Z"
    refused = images.shell("SOURCE_DATE_EPOCH=soon mctl import /srv/one it", check=False)
    assert b"SOURCE_DATE_EPOCH 'soon' is not a number of seconds" in refused.stderr
    images.shell("rm -r /srv/one /srv/two")


def test_what_the_image_says_is_honoured(busybox: Mctl) -> None:
    tree = "/srv/root"
    busybox(
        "import", "-c", 'ENTRYPOINT ["/bin/sh", "-c"]', "-c", 'CMD ["echo $A $B $(id -u):$(id -g) $(pwd)"]',
        "-c", "ENV A=1 B=image", "-c", "USER 7:8", "-c", "WORKDIR /not/there/yet", "-c", "STOPSIGNAL USR1",
        "-c", "LABEL team=web", "-c", "EXPOSE 80", "-c", "VOLUME /data", tree, "example.org/team/web:1",
    )  # fmt: skip
    name = "example.org/team/web:1"
    assert busybox("run", "--rm", name).text == "1 image 7:8 /not/there/yet\n"
    assert busybox("run", "--rm", "-e", "B=mine", "-u", "0:0", "-w", "/", name).text == "1 mine 0:0 /\n"
    assert busybox("run", "--rm", name, "echo mine").text == "mine\n"
    assert busybox("run", "--rm", "--entrypoint", "/bin/echo", name, "words").text == "words\n"
    assert busybox("run", "--rm", name, "stat -c %u:%a /not/there").text == "0:755\n"
    busybox("create", "--name", "web", name)
    found = busybox.properties("web")
    assert (found["StopSignal"], found["Labels"], found["Image"]) == (10, {"team": "web"}, name)
    inspected = json.loads(busybox("image", "inspect", name).stdout)
    assert (inspected["ExposedPorts"], inspected["Volumes"]) == (["80/tcp"], ["/data"])
    assert inspected["Id"] == found["ImageId"]


PRINTS = "i=0; while :; do i=$((i + 1)); echo o$i > /dev/stdout; echo e$i > /proc/self/fd/2; sleep 0.1; done"
SEEN = "n=$(mctl logs web | grep -c ^{0}); until [ $(mctl logs web | grep -c ^{0}) -gt $((n + 3)) ]; do :; done"


@pytest.mark.allow_journal(r"mctld\.service")
def test_an_image_may_open_its_output_anew(busybox: Mctl) -> None:
    """As nginx, httpd and php-fpm do; also as an ordinary user, and whatever becomes of the service."""
    busybox("run", "-d", "--name", "web", "-u", "7:8", "busybox", "sh", "-c", PRINTS)
    end = "systemctl stop mctld.service", "systemctl kill --kill-whom=main --signal=KILL mctld.service"
    for what in ("true", *end):
        busybox.shell(f"{what}; {SEEN.format('o')}; {SEEN.format('e')}")
    joined = busybox.machine.run(["timeout", "-s", "KILL", "2", "mctl", "attach", "web"], check=False)
    assert (b"o" in joined.stdout, b"e" in joined.stderr) == (True, True)
    busybox("stop", "-t", "0", "web")
    told = busybox("logs", "web").text.split()
    for kind in "oe":
        numbers = [int(line[1:]) for line in told if line[0] == kind]
        assert numbers == sorted(set(numbers))
        assert len(numbers) >= max(numbers) - 3  # what the service held when it was killed is lost


def test_owners_modes_and_capabilities_survive(images: Mctl) -> None:
    capability = bytes.fromhex("0100000200040000000000000000000000000000").decode("latin-1")
    busybox = images.machine.run(["cat", "/bin/busybox"]).stdout
    archive = packed(
        (".", None, {"mode": 0o711}),
        ("bin/busybox", busybox, {}),
        ("suid", b"x", {"mode": 0o4755, "uid": 7, "gid": 65_535}),
        ("cap", b"x", {"pax_headers": {"SCHILY.xattr.security.capability": capability}}),
        ("home", None, {"mode": 0o700, "uid": 1000, "gid": 1000}),
    )
    images("import", "-", "owners", stdin=archive)
    script = "stat -c '%n %u:%g %a' / /suid /home"
    assert images("run", "--rm", "owners", "/bin/busybox", "sh", "-c", script).text.splitlines() == [
        "/ 0:0 711", "/suid 7:65535 4755", "/home 1000:1000 700",
    ]  # fmt: skip
    (made,) = images.shell(f"ls {STORE}/layers/*/tree/cap").text.split()
    read = "import os, sys; print(os.getxattr(sys.argv[1], 'security.capability').hex())"
    assert images.machine.run(["python3", "-c", read, made]).text.strip() == capability.encode("latin-1").hex()
    assert images.shell(f"stat -c %u:%g:%a {STORE}").text == "0:0:700\n"
    refused = images.machine.run(["sh", "-c", f"ls {STORE}/layers"], user="alice", check=False)
    assert refused.returncode != 0


def test_layers_over_layers(busybox: Mctl) -> None:
    """Whiteouts and opaque directories, as overlayfs sees them: two layers put under one container by hand."""
    busybox("import", "-", "below", stdin=packed(("d/gone", b"1", {}), ("d/kept", b"2", {}), ("o/old", b"3", {})))
    above = packed(("d/.wh.gone", b"", {}), ("o/.wh..wh..opq", b"", {}), ("o/new", b"4", {}))
    busybox("import", "-", "above", stdin=above)
    found = busybox.shell(f"ls {STORE}/layers/*/tree/o/new {STORE}/layers/*/tree/o/old").text.split()
    lower = ":".join(path.removesuffix("/o/new").removesuffix("/o/old") for path in sorted(found, key=os.path.basename))
    script = (
        f"mkdir /srv/merged; mount -t overlay overlay -o lowerdir={lower} /srv/merged && find /srv/merged -type f; "
        "umount /srv/merged; rmdir /srv/merged"
    )
    assert sorted(busybox.shell(script).text.split()) == ["/srv/merged/d/kept", "/srv/merged/o/new"]


def test_a_directory_with_the_rights_of_its_caller(alice_may_import: Mctl) -> None:
    mctl = alice_may_import
    mctl("import", "-c", 'CMD ["/bin/stat", "-c", "%u", "/bin/busybox"]', "/srv/alice", "mine", user="alice")
    assert mctl("run", "--rm", "mine", user="alice").text == "0\n"
    mctl.shell("mkdir -p /srv/secret/in; chmod 700 /srv/secret/in; chmod 755 /srv/secret; touch /srv/secret/in/x")
    refused = mctl("import", "/srv/secret", "stolen", user="alice", check=False)
    mctl.shell("rm -r /srv/secret")
    assert refused.returncode == 1
    assert b"tar could not read everything" in refused.stderr
    assert "stolen" not in mctl("images").text


def test_whose_images_are_seen_used_and_removed(alice_may_import: Mctl) -> None:
    mctl = alice_may_import
    mctl("import", "--busybox")
    mctl("import", "--private", "/srv/root", "hidden")
    mctl("import", "--busybox", "hers", user="alice")
    names = {image["Names"][0] for image in json.loads(mctl("images", "--json", user="alice").stdout)}
    assert names == {"busybox:latest", "hers:latest"}
    assert mctl("run", "--rm", "busybox", "echo", "shared", user="alice").text == "shared\n"
    for name in ("hidden", "nothing"):
        refused = mctl("run", "--rm", name, "true", user="alice", check=False)
        assert refused.stderr.decode().startswith(f"mctl: there is no image '{name}' that you may use")
    assert mctl("rmi", "--no-ask-password", "busybox", user="alice", check=False).returncode == 1
    mctl("tag", "busybox", "own:1", user="alice")
    mctl("rmi", "busybox")
    assert mctl("run", "--rm", "own:1", "echo", "still", user="alice").text == "still\n"
    assert mctl("image", "share", "--no-ask-password", "hers", user="alice", check=False).returncode == 1
    assert mctl("run", "--rm", "hers", "true", user="bob", check=False).returncode == 125
    mctl("tag", "hers", "kept:1")  # root's own name of it, which shows it to nobody
    assert "kept" not in mctl("images", user="bob").text
    mctl("rmi", "kept:1")
    mctl("image", "share", "hers")
    assert "hers" in mctl("images", user="bob").text
    mctl("rmi", "hers", "own:1", user="alice")


def test_removal_waits_for_containers(busybox: Mctl) -> None:
    busybox("create", "--name", "user", "busybox", "echo", "alive")
    refused = busybox("rmi", "busybox", check=False)
    assert b"the image busybox:latest is used by" in refused.stderr
    busybox("rmi", "-f", "busybox")
    assert busybox("images", "-q").text == ""
    assert busybox.shell(f"ls {STORE}/layers | wc -l").text == "1\n"
    busybox("start", "user")
    busybox.shell("mctl rm -f user")


HOSTILE = {
    "absolute": packed(("/srv/canary/pwned", b"x", {})),
    "upwards": packed(("../../../../../srv/canary/pwned", b"x", {})),
    "link": packed(("d", b"", {"type": tarfile.SYMTYPE, "linkname": "/srv/canary"}), ("d/pwned", b"x", {})),
    "hard link": packed(("l", b"", {"type": tarfile.LNKTYPE, "linkname": "../../../../../../srv/canary/file"})),
    "cut off": packed(("x", b"y" * 5000, {}))[:3000],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_leave_nothing(images: Mctl, name: str) -> None:
    images.shell("mkdir -p /srv/canary; echo alive > /srv/canary/file")
    refused = images("import", "-", "evil", stdin=HOSTILE[name], check=False)
    assert refused.returncode == 1
    assert images("images", "-q").text == ""
    look = "cd /srv/canary; ls; cat file; stat -c %h file; rm -r /srv/canary"
    assert images.shell(look).text == "file\nalive\n1\n"


def test_a_bomb_is_refused_early(images: Mctl) -> None:
    script = (
        "python3 -c 'import tarfile; t = tarfile.TarInfo(\"zeros\"); t.size = 4 << 30; print(end=\"\", flush=True); "
        "import sys; sys.stdout.buffer.write(t.tobuf())' > /srv/head; "
        "{ cat /srv/head; head -c 4G /dev/zero; } | gzip -1 | mctl import - bomb; rm /srv/head"
    )
    refused = images.shell(script, check=False, timeout=300)
    assert b"it looks like a decompression bomb" in refused.stderr
    assert images("images", "-q").text == ""


def test_the_child_that_unpacks_is_confined(images: Mctl) -> None:
    """It waits for the rest of an archive; meanwhile it is looked at."""
    script = r"""
        mkfifo /srv/slow
        mctl import - slow < /srv/slow > /dev/null 2>&1 & importing=$!
        exec 9> /srv/slow
        head -c 100 /dev/zero >&9
        for i in $(seq 100); do
            pid=$(pgrep -f '[m]ctl-unpack') && grep -q '^CapEff:.*8000001b' /proc/$pid/status && break; sleep 0.1
        done
        grep -E '^(Uid|NoNewPrivs|Seccomp|CapEff|CapPrm):' /proc/$pid/status
        echo mounts $(wc -l < /proc/$pid/mounts)
        echo root $(ls -A /proc/$pid/root/ | sort | tr '\n' ' ')
        for ns in mnt net ipc uts cgroup user; do
            [ "$(readlink /proc/$pid/ns/$ns)" != "$(readlink /proc/self/ns/$ns)" ] && echo own $ns
        done
        cat /proc/$pid/oom_score_adj
        exec 9>&-
        wait $importing
        rm /srv/slow
    """
    lines = images.shell(script).text.splitlines()
    words = {line.split()[0]: line.split()[1:] for line in lines if not line.startswith("own")}
    assert words["Uid:"] == ["1878982656"] * 4
    assert (words["NoNewPrivs:"], words["Seccomp:"]) == (["1"], ["2"])
    assert words["CapEff:"] == words["CapPrm:"] == ["000000008000001b"]
    assert words["mounts"] == ["1"]
    assert words["root"] == ["replaced", "skeleton", "tree"]
    assert [line.split()[1] for line in lines if line.startswith("own")] == [
        "mnt", "net", "ipc", "uts", "cgroup", "user",
    ]  # fmt: skip
    assert lines[-1] == "500"


def test_who_leaves_ends_the_import(images: Mctl) -> None:
    script = (
        "mkfifo /srv/slow; mctl import - slow < /srv/slow & exec 9> /srv/slow; head -c 100000 /dev/zero >&9; "
        "for i in $(seq 300); do pgrep -f '[m]ctl-unpack' > /dev/null && break; sleep 0.1; done; kill -9 $!; "
        "for i in $(seq 300); do pgrep -f '[m]ctl-unpack' > /dev/null || break; sleep 0.1; done; "
        "pgrep -f '[m]ctl-unpack'; exec 9>&-; rm /srv/slow; ls /var/lib/mctl/images/layers"
    )
    assert images.shell(script).text == ""


@pytest.mark.allow_journal(r"mctld\.service")
def test_a_service_killed_meanwhile_leaves_nothing(busybox: Mctl) -> None:
    """Ten times, at different moments: whole or not there, and swept."""
    for number in range(10):
        busybox.shell(
            f"mctl import /usr/lib/python3 killed:{number} >/dev/null 2>&1 & sleep 0.{number}; "
            "systemctl kill --kill-whom=main --signal=KILL mctld.service; wait; true"
        )
        names = {name for image in json.loads(busybox("images", "--json").stdout) for name in image["Names"]}
        layers = busybox.shell(f"ls {STORE}/layers").text.split()
        assert len(layers) == (2 if f"killed:{number}" in names else 1)
        if f"killed:{number}" in names:
            busybox("rmi", f"killed:{number}")
    assert settled(busybox) == ""


def test_the_same_archive_many_times_at_once(busybox: Mctl) -> None:
    script = "for i in 1 2 3 4; do mctl import /usr/lib/python3/dist-packages same:$i & done; wait"
    assert len(busybox.shell(script, timeout=120).text.split()) == 4
    assert busybox.shell(f"ls {STORE}/layers | wc -l").text == "2\n"
    assert settled(busybox) == ""


def test_a_full_disk(images: Mctl) -> None:
    """The store on a small file system of its own."""
    script = f"""
        set -e
        systemctl stop mctld.service
        mount -t tmpfs -o size=80M tmpfs {STORE}
        mctl import /usr/lib big; echo status $?
    """
    after = f"systemctl stop mctld.service; umount {STORE}; systemctl reset-failed mctld.service; true"
    try:
        refused = images.shell(script.replace("set -e", ""), check=False, timeout=120)
        assert b"make room" in refused.stderr
        assert refused.text == "status 1\n"
        assert images("images", "-q").text == ""
        assert settled(images) == ""
    finally:
        images.shell(after)


def test_saved_whole_and_checked(busybox: Mctl) -> None:
    busybox("import", "/usr/lib/python3", "py")
    assert sorted(busybox("image", "check").text.splitlines()) == ["busybox:latest: ok", "py:latest: ok"]
    piped, named = "mctl save py | tar -t | grep -c blobs/sha256", "mctl save -o /srv/py.tar py"
    look = f"{piped}; {named} && tar -tf /srv/py.tar manifest.json"
    assert busybox.shell(f"{look}; ls /srv/py.tar.*; rm /srv/py.tar", check=False).text == "3\nmanifest.json\n"
    file = busybox.shell(f"ls {STORE}/layers/*/tree/bin/busybox").text.strip()
    busybox.shell(f"printf X | dd of={file} bs=1 seek=100 conv=notrunc 2> /dev/null")
    damaged = busybox("image", "check", "busybox", check=False)
    assert damaged.returncode == 1
    assert b"is damaged" in damaged.stderr
    refused = busybox("save", "-o", "/srv/busybox.tar", "busybox", check=False)
    assert b"is damaged" in refused.stderr
    assert busybox.shell("ls /srv/busybox.tar*", check=False).text == ""
    busybox("create", "--name", "user", "busybox", "true")
    kept = busybox("image", "check", "--repair", check=False)
    assert (kept.returncode, kept.text, b"is used by user" in kept.stderr) == (1, "py:latest: ok\n", True)
    busybox("rm", "user")
    repaired = busybox("image", "check", "--repair").text
    assert sorted(repaired.splitlines()) == ["busybox:latest: removed; bring it in again", "py:latest: ok"]
    assert busybox("images", "--format", "{{.Repository}}").text == "py\n"
    busybox("import", "--busybox")
    assert busybox("run", "--rm", "busybox", "echo", "whole").text == "whole\n"
