# SPDX-License-Identifier: GPL-3.0-or-later
"""Journals of owners: what mctld.conf(5) says of them, what systemd is told, and where lines go otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mctld import journal_settings, quotas
from mctld.credential import Credentials
from mctld.errors import InvalidArgs, SetupFailed
from mctld.journal_settings import JournalSettings, Wish
from mctld.lifecycle import journals
from mctld.lifecycle.journals import Journals
from mctld.lifecycle.registry import Registry
from mctld.lifecycle.tasks import Tasks
from mctld.systemd import journal, namespace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from mctld.spec import Spec

ALICE, BOB = 1000, 1001
DAY = 86_400
ON = JournalSettings({"namespaced": True, "max_use": 16 << 20})


def read(tmp_path: Path, text: str) -> JournalSettings:
    file = tmp_path / "mctld.conf"
    file.write_text(text)
    assert quotas.read(str(file), "") == quotas.DEFAULTS  # whose sections these are not
    return journal_settings.read(str(file), "")


def test_everybody_and_one_user(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = read(
        tmp_path,
        f"[Journal {ALICE}]\nMaxUse=1G\nMaxRetentionSec=2week\n[Journal]\nNamespacePerOwner=yes\nMaxUse=200M\n"
        "[Journal root]\nNamespacePerOwner=no\nMaxUse=\nMaxRetentionSec=infinity\n",
    )
    assert found.of(ALICE) == Wish(namespaced=True, max_use=1 << 30, retention=14 * DAY)
    assert found.of(BOB) == Wish(namespaced=True, max_use=200 << 20)
    assert not found.of(0).namespaced
    assert len(caplog.messages) == 1  # the empty size
    assert JournalSettings().of(ALICE) == Wish()
    assert found.wanted
    assert not read(tmp_path, "[Journal]\nMaxUse=1G\n[Journal root]\nNamespacePerOwner=no\n").wanted
    assert read(tmp_path, "[Journal root]\nNamespacePerOwner=yes\n").wanted


@pytest.mark.parametrize(
    ("text", "seconds"), [("3600", 3600), ("2week", 14 * DAY), ("1day 2h", DAY + 7200), ("1M", 2_629_800)]
)
def test_spans_are_read_as_systemd_reads_them(text: str, seconds: int) -> None:
    assert journal_settings.span(text) == seconds


@pytest.mark.parametrize(
    "line",
    [
        "MaxUse=15M", "MaxUse=-1", "MaxUse=1g", "MaxUse=99999T", "MaxRetentionSec=59min", "MaxRetentionSec=",
        "MaxRetentionSec=2 fortnights", "MaxRetentionSec=1d;2d", "MaxRetentionSec=101y",
        "NamespacePerOwner=maybe", "Other=1",
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str) -> None:
    assert read(tmp_path, f"[Journal]\n{line}\n").of(ALICE) == Wish()
    assert f"mctld.conf:2: {line!r} is ignored: [Journal] and [Journal USER] have" in caplog.text


@pytest.mark.parametrize("user", ["no-such-user-here", "4294967295", "10000000000000"])
def test_a_user_whom_nobody_knows_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture, user: str) -> None:
    read(tmp_path, f"[Journal {user}]\nMaxUse=1G\n")
    assert f"is ignored: [Journal {user}] is about a user whom this host does not know" in caplog.text


def test_what_journald_is_told() -> None:
    text = namespace.configuration(Wish(namespaced=True, max_use=1 << 30, retention=14 * DAY), persistent=True)
    lines = text.splitlines()[1:]
    assert lines == [
        "[Journal]", "SplitMode=none", "ForwardToSyslog=no", "SystemMaxUse=1073741824", "RuntimeMaxUse=1073741824",
        f"MaxRetentionSec={14 * DAY}s", f"MaxFileSec={DAY}s",
    ]  # fmt: skip
    unbounded = namespace.configuration(Wish(namespaced=True), persistent=False)
    assert "Storage=volatile\n" in unbounded
    assert "MaxUse" not in unbounded
    assert f"MaxRetentionSec={namespace.NO_END}s\n" in unbounded  # with none at all it would end when it is idle


def test_what_its_unit_is_told() -> None:
    text = namespace.service(ALICE, 257, persistent=True)
    assert {"Restart=always", "Before=mctld.service mctl-u1000.slice", "FileDescriptorStorePreserve=yes"} <= {
        *text.splitlines()
    }
    assert "LogsDirectory" not in text
    older = namespace.service(ALICE, 252, persistent=False)
    assert "Preserve" not in older  # it would complain of that
    assert "LogsDirectory=\n" in older


class Host:
    """Below a directory of the test's: PID 1 with one unit, whose start makes a journald that takes streams."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.asked: list[str] = []
        self.found: dict[str, Any] = {"LoadState": "loaded", "NeedDaemonReload": False, "Restart": "always"}
        self.active = False
        self.failure: Exception | None = None
        self.owned = {ALICE}
        self.common = self._listen(directory / "journal" / "stdout")
        self.own: socket.socket | None = None

    def _listen(self, path: Path) -> socket.socket:
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(str(path))
        listening.listen()
        listening.settimeout(10)
        return listening

    async def version(self) -> int:
        return 257

    async def service(self, unit: str) -> dict[str, Any]:
        assert unit == "systemd-journald@mctl-1000.service"
        return {**self.found, "ActiveState": "active" if self.active else "inactive"}

    async def reload(self) -> None:
        self.asked.append("reload")

    async def start(self, unit: str) -> None:
        self.asked.append(f"start {unit}")
        if self.failure:
            raise self.failure
        if not self.active:
            self.own = self._listen(self.directory / "journal.mctl-1000" / "stdout")
        self.active = True

    async def restart(self, unit: str) -> None:
        self.asked.append(f"restart {unit}")

    async def stop_rest(self, unit: str) -> None:
        self.asked.append(f"stop {unit}")
        self.end()

    async def reset_failed(self, unit: str) -> None:
        del unit

    def end(self) -> None:
        if self.own:
            self.own.close()
        self.own, self.active = None, False

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.rglob("10-mctl.conf"))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setattr(namespace, "RUN", str(tmp_path))
    monkeypatch.setattr(namespace, "PERSISTENT", str(tmp_path / "log"))
    monkeypatch.setattr(namespace, "VOLATILE", str(tmp_path / "volatile"))
    monkeypatch.setattr(journal, "STREAM_SOCKET", str(tmp_path / "journal" / "stdout"))
    monkeypatch.setattr(journals, "LINGER", 0.0)
    (tmp_path / "log").mkdir()
    made = Host(tmp_path)
    yield made
    made.common.close()
    made.end()


def play(host: Host, work: Callable[[Journals, Tasks], Awaitable[None]], settings: JournalSettings = ON) -> None:
    async def playing() -> None:
        tasks = Tasks()
        retirement: Any = SimpleNamespace(drained=lambda _: asyncio.sleep(0))
        system: Any = host
        await work(Journals(settings, system, retirement, tasks, lambda uid: uid in host.owned), tasks)
        await tasks.finish(10)

    asyncio.run(playing())


def goes_to(made: Journals, listening: socket.socket) -> str:
    """The header of a stream that comes there."""
    with contextlib.closing(made.open(ALICE, "web", "mctl-web.scope", 6)):
        while True:  # who only asks whether it listens comes with nothing
            connection, _ = listening.accept()
            with connection:
                if header := connection.recv(100).decode():
                    return header


def test_off_nothing_is_asked_and_nothing_made(host: Host) -> None:
    async def work(made: Journals, _: Tasks) -> None:
        await made.restore([ALICE, 0])
        assert await made.prepare(ALICE) == ()
        assert made.read_by(ALICE) == []
        assert goes_to(made, host.common).startswith("web\nmctl-web.scope\n6\n")

    play(host, work, JournalSettings())
    assert (host.asked, host.files()) == ([], [])


def test_lines_go_to_the_owners_journal_and_are_read_from_both(host: Host) -> None:
    async def work(made: Journals, _: Tasks) -> None:
        assert await made.prepare(ALICE) == ()
        assert await made.prepare(ALICE) == ()
        assert host.own
        assert goes_to(made, host.own).startswith("web\nmctl-web.scope\n6\n")
        assert made.read_by(ALICE) == ["--namespace=+mctl-1000"]

    play(host, work)
    assert host.asked == ["start systemd-journald@mctl-1000.service"]  # once
    assert len(host.files()) == 3  # journald's, and those of its unit and its socket


def test_what_was_printed_before_it_was_switched_off_is_still_read(host: Host) -> None:
    async def work(made: Journals, _: Tasks) -> None:
        (host.directory / "log" / "0123.mctl-1000").mkdir()
        assert made.read_by(ALICE) == ["--namespace=+mctl-1000"]
        assert made.read_by(BOB) == []

    play(host, work, JournalSettings())


def test_new_bounds_reach_one_that_runs(host: Host) -> None:
    async def work(made: Journals, _: Tasks) -> None:
        await made.prepare(ALICE)

    play(host, work)
    play(host, work)
    assert "restart" not in " ".join(host.asked)  # nothing has changed
    play(host, work, JournalSettings({"namespaced": True, "max_use": 32 << 20}))
    assert host.asked[-1] == "restart systemd-journald@mctl-1000.service"
    written = (host.directory / "journald@mctl-1000.conf.d" / "10-mctl.conf").read_text()
    assert f"SystemMaxUse={32 << 20}\n" in written


def test_one_that_was_stopped_is_started_again(host: Host) -> None:
    async def work(made: Journals, _: Tasks) -> None:
        await made.prepare(ALICE)
        host.end()
        assert goes_to(made, host.common)  # until then nothing is lost
        await made.prepare(ALICE)
        assert host.own

    play(host, work)
    assert len(host.asked) == 2


@pytest.mark.parametrize("state", ["not-found", "masked"])
def test_without_the_unit_lines_go_to_the_hosts_journal_and_that_is_said(host: Host, state: str) -> None:
    host.found["LoadState"] = state

    async def work(made: Journals, _: Tasks) -> None:
        (warning,) = await made.prepare(ALICE)
        assert warning.startswith("Its output goes to the host's journal: the namespace mctl-1000 cannot be had: ")
        assert state in warning
        assert goes_to(made, host.common)

    play(host, work)
    assert host.files() == []


def test_one_that_cannot_start_is_not_tried_for_ever(host: Host) -> None:
    host.failure = SetupFailed("start it", "failed")

    async def work(made: Journals, _: Tasks) -> None:
        assert await made.prepare(ALICE)

    play(host, work)
    assert host.asked[-1] == "stop systemd-journald@mctl-1000.service"
    assert host.files() == []


def test_one_that_others_print_into_is_never_stopped_for_a_failure(host: Host) -> None:
    async def work(made: Journals, _: Tasks) -> None:
        await made.prepare(ALICE)
        host.failure = SetupFailed("start it", "failed")
        made._up.clear()  # as after a start of the service
        assert await made.prepare(ALICE)

    play(host, work)
    assert not [each for each in host.asked if each.startswith("stop")]


def test_pid_1_reads_files_again_where_it_has_not_seen_ours(host: Host) -> None:
    host.found["Restart"] = "no"

    async def work(made: Journals, _: Tasks) -> None:
        await made.prepare(ALICE)

    play(host, work)
    assert host.asked[0] == "reload"


def test_it_goes_with_the_last_container(host: Host) -> None:
    async def work(made: Journals, tasks: Tasks) -> None:
        await made.prepare(ALICE)
        made.left(ALICE, "mctl-web.scope")  # there is another one
        await tasks.finish(10)
        assert host.active
        host.owned.clear()
        made.left(ALICE, "mctl-web.scope")

    play(host, work)
    assert [each.partition(" ")[2] for each in host.asked if each.startswith("stop")] == [
        "systemd-journald@mctl-1000.socket", "systemd-journald-varlink@mctl-1000.socket",
        "systemd-journald@mctl-1000.service",
    ]  # fmt: skip
    assert sorted(path.name for path in host.directory.iterdir()) == ["journal", "log", "system"]
    assert not list((host.directory / "system").iterdir())


def test_who_is_refused_a_container_gets_none(host: Host, make_spec: Callable[..., Spec]) -> None:
    """It goes with the last container, so without any nothing would take it away."""
    host.owned.clear()

    async def refuse(_: Spec) -> Spec:
        raise InvalidArgs("no port is free")

    async def work(made: Journals, _: Tasks) -> None:
        registry = Registry.__new__(Registry)
        registry._by_name = {}
        registry._machinery = SimpleNamespace(  # type: ignore[assignment]
            settings=SimpleNamespace(quotas=quotas.DEFAULTS), journals=made, controllers=frozenset({"memory", "pids"}),
            filters=SimpleNamespace(open=lambda *_: asyncio.sleep(0)), networks=SimpleNamespace(settle=refuse),
        )  # fmt: skip
        with pytest.raises(InvalidArgs, match="no port is free"):
            await registry.create(make_spec(name="web"), ALICE, Credentials())

    play(host, work)
    assert (host.asked, host.files()) == ([], [])


def test_one_that_nobody_owns_any_more_goes_at_the_next_start(host: Host) -> None:
    async def before(made: Journals, _: Tasks) -> None:
        await made.prepare(ALICE)

    async def after(made: Journals, _: Tasks) -> None:
        await made.restore([BOB])

    play(host, before)
    host.owned.clear()
    play(host, after, JournalSettings())
    assert not host.active
    assert host.files() == []


def test_all_journals_that_a_unit_may_have_written_to_take_in(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fields of a unit go when that is done: until then its lines are known by them."""
    units = host.directory / "units"
    units.mkdir()
    monkeypatch.setattr(journal, "UNITS", str(units))
    for name, uid in (("a", ALICE), ("b", BOB)):
        journal.publish(f"mctl-{name}.scope", {"CONTAINER_OWNER_UID": str(uid)})
    heard: list[str] = []

    async def work() -> None:
        servers = [await _varlink(host.directory, each, heard) for each in ("journal", "journal.mctl-1000")]
        (host.directory / "journal.mctl-1001").mkdir()  # stopped
        monkeypatch.setattr(journal, "VARLINK_SOCKET", str(host.directory / "journal" / "io.systemd.journal"))
        await journal.take_in(["mctl-b.scope"])
        assert heard == ["journal"]
        await journal.take_in(["mctl-a.scope", "mctl-b.scope", "mctl-unknown.scope"])
        assert heard == ["journal", "journal", "journal.mctl-1000"]
        for server in servers:
            server.close()

    asyncio.run(asyncio.wait_for(work(), 20))


async def _varlink(directory: Path, name: str, heard: list[str]) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = json.loads((await reader.readuntil(b"\0"))[:-1])
        assert asked["method"] == "io.systemd.Journal.Synchronize"
        heard.append(name)
        writer.write(b"{}\0")
        writer.close()

    (directory / name).mkdir(exist_ok=True)
    return await asyncio.start_unix_server(answer, str(directory / name / "io.systemd.journal"))
