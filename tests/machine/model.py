# SPDX-License-Identifier: GPL-3.0-or-later
"""What containers are to their callers, and nothing else: what several calls that are made at once may answer, and what
is there afterwards.

A call is one step, or two where others may see what lies between: a run that is starting, one that is stopping. The
order of the steps is nobody's promise, but for this: what was answered before another call was made comes before it.
Whatever comes of calls at once has to come of some such order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

CREATED, STARTING, RUNNING, PAUSED, EXITED = "created", "starting", "running", "paused", "exited"
KILLED, STOPPING = "killed", "stopping"  # it ends by itself: nobody is waited for
OK, GONE, PENDING = "ok", "gone", "pending"
TAKEN, NOT_RUNNING, ALREADY, IS_PAUSED, NOT_PAUSED, INVALID = (
    "NameTaken", "NotRunning", "AlreadyRunning", "Paused", "NotPaused", "InvalidArgs"
)  # fmt: skip
NEVER, BY_KILL = "ok never-started 0", "ok killed 9"  # answers of wait; the payload ends by nothing else
ENDING, AT_REST, LIVE = (KILLED, STOPPING), (CREATED, EXITED), (RUNNING, PAUSED)
NOBODY = -1


@dataclass(frozen=True, order=True)
class Call:
    verb: str
    name: str
    argument: str = ""  # of rename the new name, of update the restart policy
    leaves: bool = False  # of create and run: --rm


@dataclass(frozen=True, order=True)
class One:
    """number: how many were made before it. run: how often it was started. held: by which call, until that is done."""

    number: int
    state: str
    policy: str = "no"
    leaves: bool = False
    run: int = 0
    paused: bool = False  # when its end began
    held: int = NOBODY
    doomed: bool = False  # held to be removed

    @property
    def is_active(self) -> bool:
        return self.state not in AT_REST


@dataclass(frozen=True)
class World:
    """ends: what is remembered of names that are free."""

    there: frozenset[tuple[str, One]] = frozenset()
    ends: frozenset[tuple[str, str]] = frozenset()

    def get(self, name: str) -> One | None:
        return dict(self.there).get(name)

    def end_of(self, name: str) -> str:
        return dict(self.ends).get(name, GONE)

    def having(self, name: str, one: One) -> World:
        return replace(self, there=frozenset({**dict(self.there), name: one}.items()))

    def without(self, name: str) -> World:
        left = dict(self.there)
        how = NEVER if left.pop(name).run == 0 else BY_KILL
        return World(frozenset(left.items()), frozenset({**dict(self.ends), name: how}.items()))

    def seen(self) -> dict[str, tuple[int, str, str]]:
        """As a list of containers shows it: number, state, restart policy."""
        return {name: (one.number, one.state, one.policy) for name, one in sorted(self.there)}


Phase = tuple[int, int] | str | None  # number and run of what is waited for; the answer; not begun
Next = list[tuple[World, Phase]]


@dataclass(frozen=True)
class Step:
    """One call at one moment. `number`: of a container that it makes; `me`: which of the calls it is."""

    world: World
    call: Call
    me: int
    number: int

    def begin(self) -> Next:
        """Nothing where it has to wait."""
        one = self.world.get(self.call.name)
        if self.call.verb in ("create", "run"):
            return self._make(one)
        if one is None:
            return self._told(self.world.end_of(self.call.name) if self.call.verb == "wait" else GONE)
        waits = self.call.verb not in ("kill", "exec", "wait", *(["remove-force"] if one.doomed else []))
        if one.held != NOBODY and one.state == EXITED and waits:
            return []
        found: Next = getattr(self, "_" + self.call.verb.replace("-", "_"))(one)
        return found

    def go_on(self, number: int, run: int) -> Next:
        one = self.world.get(self.call.name)
        same = one is not None and one.number == number
        if one and same and one.held == self.me:
            return self._finish(one)
        if one and same and one.run == run and one.is_active:
            return []
        return self._told(BY_KILL if self.call.verb == "wait" else OK)

    def _finish(self, one: One) -> Next:
        """What it holds has come to the state that was waited for. Its end is seen before what follows."""
        if one.state in ENDING and not (one.doomed and one.leaves):
            stands = replace(one, state=EXITED, paused=False)
            return [(self.world.having(self.call.name, stands), (one.number, one.run))]
        if self.call.verb == "remove-force":
            return [(self.world.without(self.call.name), OK)]
        return self._becomes(one, state=RUNNING, run=one.run + 1, paused=False, held=NOBODY)

    def _make(self, one: One | None) -> Next:
        if one:
            return self._told(TAKEN)
        if self.call.verb == "create":
            return [(self.world.having(self.call.name, One(self.number, CREATED, leaves=self.call.leaves)), OK)]
        made = One(self.number, STARTING, leaves=self.call.leaves, held=self.me)
        return [(self.world.having(self.call.name, made), (made.number, made.run))]

    def _start(self, one: One) -> Next:
        if one.is_active:
            return self._told(ALREADY)
        return self._becomes(one, state=RUNNING, run=one.run + 1)

    def _stop(self, one: One) -> Next:
        if one.state == STARTING:
            return []
        if not one.is_active:
            return self._told(NOT_RUNNING)
        return self._ends(one)

    def _restart(self, one: One) -> Next:
        if one.held != NOBODY:
            return []
        return self._ends(one, held=self.me) if one.is_active else self._start(one)

    def _remove(self, one: One) -> Next:
        return self._told(ALREADY) if one.is_active else [(self.world.without(self.call.name), OK)]

    def _remove_force(self, one: One) -> Next:
        if one.held != NOBODY:  # two who want it gone have what they want
            return [(self.world, (one.number, one.run))] if one.doomed else []
        if not one.is_active:
            return [(self.world.without(self.call.name), OK)]
        return self._ends(replace(one, doomed=True), held=self.me)

    def _kill(self, one: One) -> Next:
        if one.state in (*AT_REST, STARTING):
            return self._told(NOT_RUNNING)
        state = one.state if one.state in ENDING else KILLED
        return self._becomes(one, state=state, paused=one.paused or one.state == PAUSED)

    def _pause(self, one: One) -> Next:
        match one.state:
            case "running":
                return self._becomes(one, state=PAUSED)
            case "paused":
                return self._told(IS_PAUSED)
            case "starting":
                return []
            case "killed":  # as long as nobody knows it is like one that runs
                return self._told(OK, NOT_RUNNING, *([IS_PAUSED] if one.paused else []))
        return self._told(NOT_RUNNING)

    def _unpause(self, one: One) -> Next:
        if one.state == PAUSED:
            return self._becomes(one, state=RUNNING)
        return self._told(NOT_PAUSED, *([OK] if one.state == KILLED and one.paused else []))

    def _exec(self, one: One) -> Next:
        if one.state in ENDING:
            return self._told(NOT_RUNNING, *([IS_PAUSED] if one.paused else [OK]))
        return self._told({RUNNING: OK, PAUSED: IS_PAUSED}.get(one.state, NOT_RUNNING))

    def _rename(self, one: One) -> Next:
        if one.is_active:
            return self._told(ALREADY)
        if self.world.get(self.call.argument):
            return self._told(TAKEN)
        there = dict(self.world.there)
        there[self.call.argument] = there.pop(self.call.name)
        return [(replace(self.world, there=frozenset(there.items())), OK)]

    def _update(self, one: One) -> Next:
        if one.leaves and self.call.argument != "no":  # what is removed cannot be started again
            return self._told(INVALID)
        return self._becomes(one, policy=self.call.argument)

    def _wait(self, one: One) -> Next:
        if one.state in (*AT_REST, STARTING):
            return self._told(BY_KILL if one.run else NEVER)
        return [(self.world, (one.number, one.run))]

    def _ends(self, one: One, *, held: int = NOBODY) -> Next:
        """Its run, which is waited for."""
        held = one.held if held == NOBODY else held
        after = replace(one, state=STOPPING, paused=one.paused or one.state == PAUSED, held=held)
        return [(self.world.having(self.call.name, after), (one.number, one.run))]

    def _becomes(self, one: One, **changed: object) -> Next:
        return [(self.world.having(self.call.name, replace(one, **changed)), OK)]  # type: ignore[arg-type]

    def _told(self, *answers: str) -> Next:
        return [(self.world, answer) for answer in answers]


def ended(world: World) -> list[World]:
    """After the end of one of the runs that are about to end."""
    return [
        world.without(name) if one.leaves else world.having(name, replace(one, state=EXITED, paused=False))
        for name, one in world.there
        if one.state in ENDING and one.held == NOBODY
    ]


Outcome = tuple[tuple[str, ...], World]


def outcomes(
    before: World, calls: tuple[Call, ...], numbers: tuple[int, ...], earlier: frozenset[tuple[int, int]]
) -> set[Outcome]:
    """All that may come of the calls, each with what is there at rest. earlier: (a, b) where a was answered before b
    was made. Whoever waits for an end that nobody brings about has no answer."""
    begin: tuple[World, tuple[Phase, ...]] = (before, (None,) * len(calls))
    reached, todo, found = {begin}, [begin], set()
    while todo:
        world, phases = todo.pop()
        following = [(after, phases) for after in ended(world)]
        for me, call in enumerate(calls):
            phase = phases[me]
            if isinstance(phase, str) or any(not isinstance(phases[a], str) for a, b in earlier if b == me):
                continue
            step = Step(world, call, me, numbers[me])
            nexts = step.begin() if phase is None else step.go_on(*phase)
            following += [(after, (*phases[:me], then, *phases[me + 1 :])) for after, then in nexts]
        if not following and all(p or c.verb == "wait" for p, c in zip(phases, calls, strict=True)):
            found.add((tuple(p if isinstance(p, str) else PENDING for p in phases), world))
        new = [state for state in following if state not in reached]
        reached.update(new)
        todo += new
    return found

