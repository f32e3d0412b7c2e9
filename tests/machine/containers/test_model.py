# SPDX-License-Identifier: GPL-3.0-or-later
"""Several callers at once: what each is answered, and what is there afterwards, comes of some order of their calls.

The calls of an example are always the same; how they come to overlap is the machine's affair.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from machine import callers, model
from machine.model import GONE, OK, PENDING, Call, World
from machine.nspawn import Nspawn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Mctl

PLAYER = Path(callers.__file__).read_text()
NAMES = ("a", "a", "a", "b", "b", "c", "d")
POLICIES = ("no", "always", "on-failure:3", "unless-stopped")
# What most often meets what somebody else does is drawn most often.
VERBS = (
    "run", "create", "run", "start", "start", "stop", "stop-gently", "kill", "restart", "restart", "pause", "pause",
    "unpause", "unpause", "rename", "remove", "remove-force", "exec", "update", "wait",
)  # fmt: skip
LATER = (0, 0, 0, 1, 3, 10, 30)  # milliseconds after the one before

calls = st.builds(
    lambda verb, name, other, policy, leaves: Call(
        verb, name, {"rename": other, "update": policy}.get(verb, ""), leaves and verb in ("create", "run")
    ),
    st.sampled_from(VERBS), st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from(POLICIES),
    st.sampled_from((False, False, True)),
)  # fmt: skip
lateness = st.sampled_from(LATER)


class Callers:
    """In the machine, for the length of a test."""

    def __init__(self, machine: Nspawn) -> None:
        argv = machine.outer(["python3", "-c", PLAYER])
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={})
        self.mark = secrets.token_hex(2)  # what is remembered of removed ones shall be of this test
        self.told: Counter[str] = Counter()
        self.faults: list[str] = []
        self.examples = self.made = self.overlaps = 0

    def play(self, turn: list[list[Any]]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(turn), file=self._process.stdin, flush=True)
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


def short(verb: str) -> str:
    return verb.replace("-gently", "")


class Several(RuleBasedStateMachine):
    callers: Callers

    def __init__(self) -> None:
        super().__init__()
        self.callers.examples += 1
        self.world = World()

    def named(self, name: str) -> str:
        """Of this example's own."""
        return f"{name}{self.callers.mark}x{self.callers.examples}"

    @rule(call=calls)
    def one(self, call: Call) -> None:
        self.make([(call, 0)])

    @rule(first=calls, second=calls, later=lateness)
    def two(self, first: Call, second: Call, later: int) -> None:
        self.make([(first, 0), (second, later)])

    @rule(first=calls, second=calls, third=calls, later=st.tuples(lateness, lateness))
    def three(self, first: Call, second: Call, third: Call, later: tuple[int, int]) -> None:
        self.make([(first, 0), (second, later[0]), (third, later[1])])

    def make(self, wanted: list[tuple[Call, int]]) -> None:
        made = self.together([call for call, _ in wanted])
        numbers = tuple(self.callers.made + n for n in range(len(made)))
        self.callers.made += len(made)
        turn = [
            [c.verb, c.name, c.argument, c.leaves, n, later]
            for c, n, (_, later) in zip(made, numbers, wanted, strict=True)
        ]
        played = self.callers.play(turn)
        answers = tuple(self.plain(answer) for answer, _, _, _ in played["told"])
        seen = {name: tuple(values) for name, values in sorted(played["found"].items())}
        times = [(asked, answered or float("inf")) for _, _, asked, answered in played["told"]]
        earlier = frozenset((a, b) for a, x in enumerate(times) for b, y in enumerate(times) if x[1] < y[0])
        self.count(made, answers, earlier)
        plain = tuple(Call(short(c.verb), c.name, c.argument, c.leaves) for c in made)
        possible = model.outcomes(self.world, plain, numbers, earlier)
        fitting = {world for told, world in possible if told == answers and world.seen() == seen}
        if len(fitting) != 1:  # of several the unseen parts differ, which is a fault of the model
            self.callers.faults.append(self.describe(turn, played, possible))
        assert len(fitting) == 1, self.callers.faults[-1]
        (self.world,) = fitting

    def together(self, calls: list[Call]) -> list[Call]:
        """All of the same container, or of the one that has the name that the first call gives to it."""
        first = self.whole(calls[0], self.aimed(calls[0]))
        names = (first.name, first.argument if first.verb == "rename" else first.name)
        return [first, *(self.whole(call, names[call.name > "a"]) for call in calls[1:])]

    def whole(self, call: Call, name: str) -> Call:
        argument = self.named(call.argument) if call.verb == "rename" else call.argument
        return Call(call.verb, name, argument, call.leaves)

    def aimed(self, call: Call) -> str:
        """At one that is there, mostly: of what is not there is little to be said."""
        name = self.named(call.name)
        there = sorted(one for one, _ in self.world.there)
        if not there or name in there or call.name == "d" or call.verb in ("create", "run"):
            return name
        return there[-1]

    @staticmethod
    def plain(answer: str) -> str:
        """Whether it was there when the call began nobody needs to know."""
        return GONE if answer in ("UnknownObject", "NoSuchContainer") else answer or PENDING

    def count(self, made: list[Call], answers: tuple[str, ...], earlier: frozenset[tuple[int, int]]) -> None:
        for call, answer in zip(made, answers, strict=True):
            self.callers.told[f"{call.verb} {answer}"] += 1
        self.callers.overlaps += len(made) > 1 and len(earlier) < len(made) - 1

    def describe(self, turn: list[list[Any]], played: dict[str, Any], possible: set[model.Outcome]) -> str:
        lines = [f"before: {self.world.seen()}"]
        for words, (answer, sentence, asked, answered) in zip(turn, played["told"], strict=True):
            lines.append(f"{words}: {answer or PENDING} {sentence} ({asked:.4f} to {answered:.4f})")
        lines += [f"after: {played['found']}", "possible:"]
        lines += sorted(f"    {answers} -> {world.seen()}" for answers, world in possible)
        return "\n".join(lines)

    def teardown(self) -> None:
        """As `rm -f` of all that is there."""
        left = [name for name, _ in sorted(self.world.there)]
        for name in left:
            self.callers.play([["remove-force", name, "", False, 0, 0]])


def bounds(examples: int, *, steady: bool) -> settings:
    """A failure is not made smaller: calls would overlap otherwise."""
    return settings(
        max_examples=examples, stateful_step_count=15, deadline=None, database=None, derandomize=steady,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck), verbosity=Verbosity.quiet,
    )  # fmt: skip


@pytest.fixture
def several(mctl: Mctl) -> Iterator[Callers]:
    assert isinstance(mctl.machine, Nspawn)
    Several.callers = Callers(mctl.machine)
    yield Several.callers
    Several.callers.close()


@pytest.mark.nspawn
@pytest.mark.parametrize("examples", [25, pytest.param(300, marks=pytest.mark.siege)])
def test_calls_at_once_come_of_an_order(several: Callers, examples: int) -> None:
    try:
        run_state_machine_as_test(Several, settings=bounds(examples, steady=examples < 100))
    except Exception as error:  # hypothesis plays it once more, when all may go well, and is puzzled
        pytest.fail("\n".join(several.faults) or repr(error))
    print(several.examples, several.made, several.overlaps, dict(sorted(several.told.items())))
    assert several.overlaps > examples
    done = Counter(told.split()[0] for told in several.told.elements() if OK in told.split())
    assert done["run"] > examples, done
    assert done["restart"] + done["stop"] + done["remove-force"] > examples, done
