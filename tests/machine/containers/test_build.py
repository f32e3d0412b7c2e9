# SPDX-License-Identifier: GPL-3.0-or-later
"""mctl build, as people use it: stages, files, the cache, what goes wrong, and what a killed one leaves."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

CONTAINERFILE = """
ARG BASE=linked
FROM --platform=linux/$TARGETARCH $BASE AS builder
ARG WHO=world
ENV GREETING="hello $WHO"
RUN mkdir -p /out/deep && echo "$GREETING" > /out/deep/greeting \\
    # a comment in between
    && chmod 4755 /out/deep/greeting && ln /out/deep/greeting /out/same
RUN --mount=type=cache,target=/cache echo more >> /cache/all
RUN <<EOS
set -e
echo "script of $(id -u)" > /out/script
EOS
RUN <<EOS
#!/bin/cat
no word of this is for a shell
EOS
FROM nowhere AS never
RUN false
FROM linked
LABEL team=web
COPY --from=builder /out /opt/
COPY --from=builder /out/d*p/greeting /opt/alone
COPY --chown=worker:8 --chmod=750 src /data
COPY src/a link to/
COPY src/a /bin/tool
ADD pack.tar.gz /unpacked
COPY <<E /etc/conf
of $HOME$none
E
COPY <<-'END' /etc/literal
	$HOME
	END
WORKDIR /data
WORKDIR sub
USER 7
EXPOSE 80 53/udp
HEALTHCHECK --interval=5s CMD true
STOPSIGNAL INT
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["pwd; id -u; cat /opt/deep/greeting /opt/script /etc/conf /etc/literal"]
"""
LOOK = "cd /; stat -c '%n %u:%g %a' tmp opt/deep/greeting opt/alone data/a data/sub to/a to/b usr/bin/tool unpacked/in"
SEEN = [
    "tmp 0:0 1777", "opt/deep/greeting 0:0 4755", "opt/alone 0:0 4755", "data/a 7:8 750", "data/sub 7:8 750",
    "to/a 0:0 644", "to/b 0:0 600", "usr/bin/tool 0:0 644", "unpacked/in 0:0 644",
]  # fmt: skip
PREPARE = r"""
set -e; rm -rf /srv/linked /srv/context
cp -a /srv/root /srv/linked; cd /srv/linked; mkdir -p usr etc tmp; mv bin usr/bin; ln -s usr/bin bin; chmod 1777 tmp
echo worker:x:7:8::/: > etc/passwd; mctl import -c 'ENV PATH=/bin' /srv/linked linked
mkdir -p /srv/context/src/sub; cd /srv/context; echo a > src/a; echo x > src/sub/x; echo no > src/skip; echo b > b
chmod 644 src/a; chmod 600 b; ln -s b link; echo in > in; tar -czf pack.tar.gz in; rm in; echo src/skip > .dockerignore
"""


@pytest.fixture
def context(images: Mctl) -> Iterator[Mctl]:
    images.shell(PREPARE)
    images.shell(f"cat > /srv/context/Containerfile <<'XXX'\n{CONTAINERFILE}XXX\n")
    yield images
    images.shell("rm -r /srv/linked /srv/context; mctl volume prune -a")
    assert images("ps", "-a", "-q").text == ""


def test_all_that_a_containerfile_says(context: Mctl) -> None:
    built = context("build", "-t", "made:1", "-t", "made", "--build-arg", "WHO=you", "/srv/context")
    assert context("run", "--rm", "made:1").text.splitlines() == [
        "/data/sub", "7", "hello you", "script of 0", "of ", "$HOME",
    ]  # fmt: skip
    assert context("run", "--rm", "made", LOOK).text.splitlines() == SEEN
    assert context("run", "--rm", "made", "ls /data; ls -l /bin").text.split()[:2] == ["a", "sub"]
    image = json.loads(context("image", "inspect", "made").stdout)
    assert (image["Labels"], image["ExposedPorts"], image["StopSignal"]) == (
        {"team": "web"}, ["53/udp", "80/tcp"], "INT",
    )  # fmt: skip
    assert b"STEP 1/" in built.stderr
    assert b"#!/bin/cat\nno word of this is for a shell\n" in built.stderr
    shown = [line.split()[0] for line in context("images").text.splitlines()[1:]]
    assert sorted(shown) == ["<none>", "linked", "made", "made"]  # the stage that was only copied from, and no step
    again = context("build", "-t", "made:2", "--build-arg", "WHO=you", "/srv/context")
    assert (again.text, again.stderr.count(b"Using cache")) == (built.text, 13)
    (cache,) = (v["Name"] for v in json.loads(context("volume", "ls", "--json").stdout))
    assert context("run", "--rm", "-v", f"{cache}:/c", "linked", "cat", "/c/all").text == "more\n"
    context.shell("echo changed >> /srv/context/src/sub/x")
    changed = context("build", "-q", "--build-arg", "WHO=you", "/srv/context")
    assert (changed.text != built.text, changed.stderr) == (True, b"")
    listed = context("build", "--target", "builder", "/srv/context")
    assert listed.stderr.count(b"--> ") - listed.stderr.count(b"Using cache") == 4  # another WHO
    assert context("image", "check").text.count(": ok") == len(context("images", "-aq").text.split())


def test_contexts_on_standard_input(context: Mctl) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in (("Dockerfile", "FROM scratch\nCOPY x* /y/\n"), ("x1", "1"), ("x2", "2")):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    context("build", "-t", "bare", "-", stdin=out.getvalue())
    with tarfile.open(fileobj=io.BytesIO(context("save", "bare").stdout)) as saved:
        layer = max((m for m in saved if "blobs" in m.name), key=lambda m: m.size)
        with tarfile.open(fileobj=saved.extractfile(layer)) as files:
            assert files.getnames() == ["y/x1", "y/x2"]
    assert context("build", "-q", "-", stdin=b"FROM linked\nRUN true\n").text.startswith("sha256:")


def test_what_a_base_wants_of_those_who_build_on_it(context: Mctl) -> None:
    base = (
        b'FROM linked\nSHELL ["/bin/sh", "-ec"]\nUSER 0\n'
        b"ONBUILD RUN echo $- > /flags\nONBUILD COPY src/a /was/\n"
    )
    context("build", "-q", "-t", "base", "-f", "-", "/srv/context", stdin=base)
    context.shell("printf 'FROM base\\nRUN echo $-\\n' > /srv/context/Containerfile")
    built = context("build", "-t", "child", "--iidfile", "/srv/context/id", "--build-arg", "NONE=1", "/srv/context")
    assert b"ONBUILD COPY src/a /was/" in built.stderr
    assert b"no ARG is called NONE: --build-arg NONE changes nothing\n" in built.stderr
    assert context("run", "--rm", "child", "cat", "/was/a").text == "a\n"
    assert "e" in context("run", "--rm", "child", "cat", "/flags").text
    config = json.loads(json.loads(context("image", "inspect", "child").stdout)["Configuration"])["config"]
    assert ("OnBuild" in config, config["Shell"]) == (False, ["/bin/sh", "-ec"])
    assert context.shell("cat /srv/context/id").text + "\n" == built.text


def test_what_docker_reads_in_the_same_words(context: Mctl) -> None:
    """A command said before a layer outlives an entrypoint; what begins with zeros is no archive; tabs are blanks."""
    context.shell("cd /srv/context; (head -c 2k /dev/zero; echo a disk) > disk; mkdir own; echo ./own > .dockerignore")
    said = b'FROM\tlinked\nCMD ["tail", "-c7", "/disk"]\nADD\tdisk\t/disk\nCOPY . /all\nENTRYPOINT ["busybox"]\n'
    context("build", "-q", "-t", "child", "-f", "-", "/srv/context", stdin=said)
    assert context("run", "--rm", "child").text == "a disk\n"
    assert "own" not in context("run", "--rm", "child", "ls", "/all").text.split()


SERVE = """
systemd-run -q --unit=test-files -p WorkingDirectory=/srv/context/src python3 -m http.server --bind 127.0.0.1 8099
for i in $(seq 600); do (: < /dev/tcp/127.0.0.1/8099) 2> /dev/null && exit; sleep 0.1; done; exit 1
"""


def test_files_that_the_network_has(context: Mctl) -> None:
    context.machine.run(["bash", "-c", SERVE], timeout=90)
    digest = context.shell("sha256sum < /srv/context/src/a").text.split()[0]
    url = "http://127.0.0.1:8099"
    file = f"""FROM linked
        ADD --checksum=sha256:{digest} {url}/a /got/
        ADD --chown=worker:8 --chmod=644 {url}/a {url}/sub/x src/a /data/
        ADD {url}/sub/x /bin/tool
    """.encode()
    build = ["build", "-t", "made", "-f", "-", "/srv/context"]
    context(*build, stdin=file)
    look = "stat -c '%n %u:%g %a' got/a data/a data/x usr/bin/tool; cat got/a usr/bin/tool"
    assert context("run", "--rm", "made", "sh", "-c", f"cd /; {look}").text.splitlines() == [
        "got/a 0:0 600", "data/a 7:8 644", "data/x 7:8 644", "usr/bin/tool 0:0 600", "a", "x",
    ]  # fmt: skip
    assert context(*build, stdin=file).stderr.count(b"Using cache") == 3
    context.shell("echo changed > /srv/context/src/sub/x")
    assert context(*build, stdin=file).stderr.count(b"Using cache") == 1
    context.shell("echo changed > /srv/context/src/a")
    refused = context(*build, stdin=file, check=False)
    assert (refused.returncode, b"line 2: 'http://127.0.0.1:8099/a' cannot be fetched: it is not what --checksum says"
            in refused.stderr) == (125, True), refused.stderr  # fmt: skip
    context.shell("systemctl stop test-files")


WRONG = (
    ("RUN echo shown; exit 7", "line 2: 'RUN echo shown; exit 7' ended with exit status 7"),
    ("RUN kill -9 $$", "ended with exit status 137"),
    ("RUNN x", "line 2: 'RUNN' is not an instruction"),
    ("COPY none /x", "line 2: 'none' is not in the context"),
    ("COPY ../../etc/shadow /x", "is not in the context"),
    ("COPY --from=linked /none /x", "is not in the image"),
    ("COPY --chown=nobody b /x", "'nobody' is not in the image's /etc/passwd"),
    ("ADD http://127.0.0.1:1/x /x", "'http://127.0.0.1:1/x' cannot be fetched: "),
    ("ADD https://example.org/x.git /x", "let a RUN clone it"),
    ("ADD --checksum=sha256:0 b /x", "--checksum is of what is fetched"),
    ("COPY https://example.org/x /x", "is not fetched by COPY: ADD does it"),
    ("RUN --mount=type=ssh,required true", "line 2: the agent 'default' is required: give --ssh default, or"),
    ("RUN --mount=type=npipe true", "RUN --mount=type=npipe is not offered: known are bind, cache, secret, ssh, tmpfs"),
    ("RUN --mount=type=bind,source=../../etc/shadow,target=/x true", "is not in the context"),
    ("RUN --mount=type=secret,id=key,required true", "line 2: the secret 'key' is required: give --secret id=key,src="),
    ("RUN --mount=type=cache true", "RUN --mount=type=cache names no target"),
    ("RUN --mount=type=cache,target=/x,mode=0 true", "RUN --mount=type=cache knows no 'mode': known are id, sharing"),
    ("ONBUILD FROM x", "line 2: ONBUILD FROM is not possible"),
    ("USER 70000\nRUN true", "id 70000 is beyond what a container has"),
)


def test_what_goes_wrong_is_named_and_leaves_nothing(context: Mctl) -> None:
    for text, complaint in WRONG:
        context.shell(f"printf '%s' '{f'FROM linked{chr(10)}{text}'}' > /srv/context/Containerfile")
        refused = context("build", "-t", "wrong", "/srv/context", check=False)
        assert (refused.returncode, complaint in refused.stderr.decode()) in ((1, True), (125, True)), refused.stderr
        assert "wrong" not in context("images").text
    context.shell("printf 'FROM linked\\nRUN true\\n' > /srv/context/Containerfile")
    before = context("images", "-aq").text
    refused = context("build", "-t", "Wrong", "/srv/context", check=False)
    assert b"'Wrong' is not a name of an image" in refused.stderr
    assert context("images", "-aq").text == before  # it has not begun


SHOWN = """
FROM linked AS one
RUN mkdir /out; echo made > /out/file; chown 7:8 /out/file
FROM linked
WORKDIR /work
RUN --mount=type=secret,id=key --mount=type=secret,id=none cat /run/secrets/key; ls -ln /run/secrets | tail -n +2
RUN --mount=source=src,target=here --mount=type=bind,from=one,source=/out,target=/one,rw \\
    set -e; ls here; cat here/sub/x /one/file; echo more > /one/more; if touch here/sub/x; then false; fi
RUN --mount=type=bind,source=src/a,target=/a cat /a > kept
RUN --mount=type=ssh --mount=type=ssh,id=log,target=/dev/log --mount=type=ssh,id=none \\
    ls -ln $SSH_AUTH_SOCK; logger said to an agent
"""
# In place of an agent, and syslog(3) in place of ssh: it connects, and says what it is told.
AGENT = """
import os, socket
listening = socket.socket(socket.AF_UNIX)
listening.bind("/srv/agent/socket")
os.chmod("/srv/agent/socket", 0o777)
listening.listen()
while True:
    asking = listening.accept()[0]
    with open("/srv/agent/heard", "ab", 0) as heard:
        heard.write(asking.recv(4096))
    asking.close()
"""
START_AGENT = """
mkdir /srv/agent; cat > /srv/agent/program; systemd-run -q --unit=test-agent python3 /srv/agent/program
for i in $(seq 600); do [ -S /srv/agent/socket ] && exit; sleep 0.1; done; exit 1
"""
HEARD = "for i in $(seq 600); do grep -a 'said to an agent' /srv/agent/heard && exit; sleep 0.1; done; exit 1"


@pytest.mark.usefixtures("alice_may_create")
@pytest.mark.parametrize("user", [None, "alice"])
def test_what_a_step_is_shown_is_in_no_image(alice_may_import: Mctl, context: Mctl, user: str | None) -> None:
    assert context is alice_may_import
    context.shell(f"cat > /srv/context/Containerfile <<'XXX'\n{SHOWN}XXX\necho secret > /srv/context/key")
    context.shell("chown -R alice: /srv/context")
    context.machine.run(["sh", "-c", START_AGENT], timeout=90, input=AGENT.encode())
    agents = ["--ssh", "default=/srv/agent/socket", "--ssh", "log=/srv/agent/socket"]
    build = ["build", "-t", "shown", "--secret", "id=key,src=/srv/context/key", *agents, "/srv/context"]
    said = context(*build, user=user).stderr.decode()
    lines = [line for line in said.splitlines() if not line.startswith(("STEP", "-->"))]
    assert lines[:2] == ["secret", lines[1]], said
    assert lines[1].split()[:5] == ["-r--------", "1", "0", "0", "7"], said
    assert lines[2:6] == ["a", "sub", "x", "made"], said
    assert (lines[7].split()[0], lines[7].split()[2:4]) == ("srw-------", ["0", "0"]), said
    assert lines[7].endswith(" /run/buildkit/ssh_agent.default"), said
    assert "said to an agent" in context.shell(HEARD, timeout=90).text
    context.shell("systemctl stop test-agent; rm -r /srv/agent/*; touch /srv/agent/socket")
    refused = context("build", "--ssh", "default=/srv/agent/socket", "/srv/context", user=user, check=False)
    assert b"/srv/agent/socket is no socket: ssh-add(1) gives an agent the key" in refused.stderr
    build = [word for word in build if word not in agents]
    context.shell("rm -r /srv/agent")
    found = context("run", "--rm", "shown", "find", "/work", "/run", "/one", "/a", user=user, check=False).text
    empty = ["/run", "/run/buildkit", "/run/secrets", "/work"]  # what something was mounted in
    assert sorted(found.split()) == ["/one", *empty, "/work/here", "/work/kept"]
    assert b"secret\n" not in context("save", "shown", user=user).stdout
    assert context(*build, user=user).stderr.count(b"Using cache") == 5
    context.shell("echo changed >> /srv/context/src/sub/x")
    assert context(*build, user=user).stderr.count(b"Using cache") == 2
    left = context.shell("ls -d /tmp/mctl-build-* /dev/shm/mctl-build-* /run/user/*/mctl-build-*", check=False)
    assert left.text == ""
    context("rmi", "-f", *context("images", "-aq").text.split())


def test_a_build_without_a_network_and_within_limits(context: Mctl) -> None:
    file = b"FROM linked\nRUN ip -o link | wc -l; cat /sys/fs/cgroup/pids.max; ulimit -a > /dev/null\n"
    built = context("build", "--network", "none", "--no-cache", "-", stdin=file)
    assert built.stderr.splitlines()[2] == b"1"


def test_a_build_that_is_killed_leaves_no_container(context: Mctl) -> None:
    script = """
        printf 'FROM linked\\nRUN echo begun; sleep 1000\\n' > /srv/context/Containerfile
        mctl build /srv/context > /dev/null 2> /srv/context/log & building=$!
        for i in $(seq 300); do grep -q begun /srv/context/log && break; sleep 0.1; done
        mctl ps --format '{{.Name}}' | grep -c ^build-
        kill -9 $building; wait $building
        for i in $(seq 300); do [ -z "$(mctl ps -a -q)" ] && break; sleep 0.1; done; mctl ps -a -q | wc -l
    """
    found = context.machine.run(["bash", "-c", script], timeout=60)
    assert found.text.split() == ["1", "0"]


@pytest.mark.usefixtures("alice_may_create")
def test_an_ordinary_user_builds_with_an_ordinary_users_rights(alice_may_import: Mctl, context: Mctl) -> None:
    assert context is alice_may_import
    context.shell("chmod 600 /srv/context/src/a")
    lines = {"RUN": "RUN id -u > /who", "COPY": "COPY src/a /a"}
    found = {}
    for word, line in lines.items():
        context.shell(f"printf 'FROM linked\\n{line}\\n' > /srv/context/Containerfile")
        found[word] = context("build", "/srv/context", user="alice", check=False)
    assert found["RUN"].returncode == 0  # nothing of the context is wanted
    nothing = context("build", "-", user="alice", stdin=b"FROM nothing", check=False).stderr
    assert b"there is no image 'nothing' that you may use; " in nothing
    assert b"name its registry too, as in docker.io/library/nothing;" in nothing
    assert (found["COPY"].returncode, b"Permission denied" in found["COPY"].stderr) == (1, True)
    context("rmi", "-f", *context("images", "-aq").text.split())
