"""The double in memory behaves as the real ledger: the same calls at the same time give the same answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from jobs.clock import ManualClock
from jobs.ledger import Bundle, ClaimLimits, Ledger
from jobs.memory_ledger import MemoryLedger
from jobs.pacing import Turn
from jobs.record import Failure, Job
from jobs.redis_ledger import RedisLedger
from jobs.search import Query
from jobs.states import MOVES, TERMINAL, JobState

PROVIDERS = ("alpha", "beta")
IDS = tuple("abcdefgh")

#: Mostly multiples of an eighth of a second, and small steps between two turns to send.
delays = st.sampled_from([0.0, 0.013, 0.125, 0.25, 1.0, 29.875, 30.0, 30.125, 100.0])
limits = st.builds(
    ClaimLimits,
    bundle_size=st.integers(1, 5),
    bundles=st.integers(1, 4),
    lease=st.sampled_from([10.0, 30.0]),
    rate=st.sampled_from([0.0, 0.0, 8.0, 80.0]),
    in_flight=st.sampled_from([0, 0, 1, 3, 6]),
)
news = st.fixed_dictionaries(
    {},
    optional={
        "word": st.sampled_from(["minting", "läuft", None]),
        "progress": st.sampled_from([0, 50, None]),
        "message": st.sampled_from(["", "soon", None]),
        "failure": st.sampled_from([None, Failure("busy", "HTTP 503")]),
        "receipt": st.sampled_from([None, {}, {"remote_id": "r-1"}]),
        "request": st.sampled_from([None, {"name": "x"}]),
        "attempts": st.integers(0, 2),
        "then": st.sampled_from([(), ({"workflow": "beta.make", "kwargs": {"a": 1}},)]),
        "next": st.sampled_from([None, "a"]),
    },
)


class Twins(RuleBasedStateMachine):
    """Two ledgers that are told the same.

    Args:
        make: an empty real ledger for a clock.
    """

    def __init__(self, make: Callable[[ManualClock], RedisLedger]) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.ledgers: tuple[Ledger, Ledger] = (MemoryLedger(clock=self.clock), make(self.clock))
        self.bundles: list[tuple[str, tuple[Bundle, Bundle]]] = []
        self.copies: list[Job] = []
        self.sent: list[Turn] = []

    def both(self, call: Callable[[Ledger], Any]) -> Any:
        """The answer of both ledgers, which must be one."""
        memory, real = (call(ledger) for ledger in self.ledgers)
        assert memory == real
        return real

    @rule(
        job_id=st.sampled_from(IDS),
        provider=st.sampled_from(PROVIDERS),
        digest=st.sampled_from(["1", "1", "2"]),
        state=st.sampled_from([JobState.ACCEPTED, JobState.POLLING, JobState.POLLING, JobState.FAILED]),
        delay=delays,
    )
    def accept(self, job_id: str, provider: str, digest: str, state: JobState, delay: float) -> None:
        now = self.clock.now()
        job = Job(
            id=job_id,
            provider=provider,
            workflow=f"{provider}.make",
            state=state,
            created_at=now,
            updated_at=now,
            deadline_at=now + 3600,
            digest=digest,
            due_at=None if state in TERMINAL else now + delay,
            tags={"shop": digest, "half": str(ord(job_id) % 2)},
        )
        self.both(lambda ledger: ledger.accept(job))

    @rule(delay=delays)
    def advance(self, delay: float) -> None:
        self.clock.advance(delay)

    @rule(provider=st.sampled_from(PROVIDERS), limits=limits)
    def claim(self, provider: str, limits: ClaimLimits) -> None:
        memory, real = (ledger.claim(provider, limits) for ledger in self.ledgers)
        assert (memory.claims, memory.wait) == (real.claims, real.wait)
        assert [claim.due_at for claim in memory.claims] == [claim.due_at for claim in real.claims]
        self.bundles.append((provider, (memory, real)))

    @precondition(lambda self: self.bundles)
    @rule(data=st.data())
    def close_bundle(self, data: st.DataObject) -> None:
        provider, bundles = data.draw(st.sampled_from(self.bundles))
        for ledger, bundle in zip(self.ledgers, bundles, strict=True):
            ledger.close_bundle(provider, bundle.name)

    @precondition(lambda self: self.bundles)
    @rule(data=st.data(), states=st.sets(st.sampled_from(JobState), min_size=6))
    def begin_bundle(self, data: st.DataObject, states: set[JobState]) -> None:
        provider, (bundle, _) = data.draw(st.sampled_from(self.bundles))
        wakes = [(claim.id, claim.seq) for claim in bundle.claims]
        self.copies += self.both(lambda ledger: ledger.begin(provider, wakes, states, 30.0))

    @rule(provider=st.sampled_from(PROVIDERS), ids=st.lists(st.sampled_from(IDS), max_size=4))
    def begin_without_claim(self, provider: str, ids: list[str]) -> None:
        wakes: list[tuple[str, int | None]] = [(job_id, None) for job_id in ids]
        self.copies += self.both(lambda ledger: ledger.begin(provider, wakes, set(JobState), 30.0))

    @precondition(lambda self: any(not job.finished for job in self.copies))
    @rule(data=st.data(), delay=delays, changes=news)
    def write(self, data: st.DataObject, delay: float, changes: dict[str, Any]) -> None:
        """A bundle of moves; some have lost their claim, some name the same job twice."""
        moves = []
        held = [job for job in self.copies if not job.finished]
        for job in data.draw(st.lists(st.sampled_from(held), min_size=1, max_size=4)):
            target = data.draw(st.sampled_from([job.state, *sorted(MOVES[job.state])]))
            now = self.clock.now()
            if target is job.state:
                moves.append(job.stay(now=now, due_at=now + delay, polls=job.polls + 1, **changes))
            else:
                moves.append(job.to(target, now=now, due_at=None if target in TERMINAL else now + delay, **changes))
        self.copies += [job for job in self.both(lambda ledger: ledger.write(moves)) if job is not None]

    @precondition(lambda self: self.copies)
    @rule(data=st.data(), lease=st.sampled_from([1.0, 30.0]))
    def renew(self, data: st.DataObject, lease: float) -> None:
        job = data.draw(st.sampled_from(self.copies))
        self.both(lambda ledger: ledger.renew(job, lease))

    @rule(
        provider=st.sampled_from(PROVIDERS),
        ids=st.lists(st.sampled_from(IDS), max_size=4),
        spacing=st.sampled_from([0.0, 0.5, 5.0]),
    )
    def hasten(self, provider: str, ids: list[str], spacing: float) -> None:
        self.both(lambda ledger: ledger.hasten(provider, ids, spacing))

    @rule(provider=st.sampled_from(PROVIDERS), seconds=st.sampled_from([None, None, 0.125, 5.0]))
    def pause(self, provider: str, seconds: float | None) -> None:
        self.both(lambda ledger: ledger.pause(provider, seconds))

    @rule(provider=st.sampled_from(PROVIDERS))
    def unpause(self, provider: str) -> None:
        self.both(lambda ledger: ledger.unpause(provider))

    @rule(provider=st.sampled_from(PROVIDERS))
    def open_gate(self, provider: str) -> None:
        self.both(lambda ledger: ledger.open_gate(provider))

    @rule(
        provider=st.sampled_from(PROVIDERS),
        rate=st.sampled_from([0.5, 1.0, 3.7, 30.0]),
        holder=st.sampled_from(["h-1", "h-2"]),
        wanted=st.integers(0, 5),
        data=st.data(),
    )
    def turns(self, provider: str, rate: float, holder: str, wanted: int, data: st.DataObject) -> None:
        """Some earlier turns are over: in time, late, or told twice; others never are."""
        chosen = data.draw(st.lists(st.sampled_from(self.sent), max_size=4)) if self.sent else []
        over = [(turn.token, turn.at + late) for turn, late in zip(chosen, (0.004, 0.0, 0.2, 3.0), strict=False)]
        got = self.both(lambda ledger: ledger.turns(provider, rate, holder, wanted, over))
        self.sent += got.turns

    @rule(
        provider=st.sampled_from(PROVIDERS),
        counts=st.lists(
            st.tuples(st.sampled_from(["w", "w.x"]), st.dictionaries(st.integers(0, 97), st.floats(0, 1), max_size=3)),
            max_size=4,
        ),
    )
    def learn(self, provider: str, counts: list[tuple[str, dict[int, float]]]) -> None:
        self.both(lambda ledger: ledger.learn(provider, counts))
        self.both(lambda ledger: ledger.learnt(provider))

    @rule(
        provider=st.sampled_from(PROVIDERS),
        name=st.sampled_from(["session", "words"]),
        value=st.sampled_from(["1", "2"]),
        leave=st.booleans(),
    )
    def note(self, provider: str, name: str, value: str, leave: bool) -> None:
        self.both(lambda ledger: (ledger.remember if leave else ledger.forget)(provider, name, value))
        self.both(lambda ledger: ledger.recall(provider, name))

    @rule(provider=st.sampled_from(PROVIDERS), job_id=st.sampled_from(IDS), value=st.sampled_from(["1", "2"]))
    def note_of_a_job(self, provider: str, job_id: str, value: str) -> None:
        self.both(lambda ledger: ledger.remember(provider, f"of {job_id}", value, of_job=job_id))
        for other in IDS:
            self.both(lambda ledger: ledger.recall(provider, f"of {other}"))  # noqa: B023 (called at once)

    @rule(ids=st.lists(st.sampled_from(IDS), max_size=4))
    def glance(self, ids: list[str]) -> None:
        self.both(lambda ledger: ledger.glance(ids))

    @rule(
        provider=st.sampled_from(PROVIDERS),
        member=st.sampled_from(["a", "b", "c"]),
        at=st.sampled_from([1.0, 2.5, 4.0]),
        keep=st.sampled_from([0.5, 2.0, 9.0]),
        leave=st.booleans(),
    )
    def book(self, provider: str, member: str, at: float, keep: float, leave: bool) -> None:
        if leave:
            self.both(lambda ledger: ledger.leave(provider, "posts", member))
        else:
            self.both(lambda ledger: ledger.enter(provider, "posts", member, at, keep))
        self.both(lambda ledger: list(ledger.entered(provider, "posts", 1.0, 2.5).items()))

    @rule(
        providers=st.sampled_from([PROVIDERS, PROVIDERS[:1]]),
        states=st.frozensets(st.sampled_from(JobState), max_size=3),
        tags=st.fixed_dictionaries({}, optional={"shop": st.sampled_from("12"), "half": st.sampled_from("01")}),
        text=st.sampled_from(["", "", "c"]),
        limit=st.integers(0, 3),
    )
    def search(
        self, providers: tuple[str, ...], states: frozenset[JobState], tags: dict[str, str], text: str, limit: int
    ) -> None:
        """Page by page, to the end."""
        query = Query(providers, states, tags, text, limit=limit)
        while True:
            page = self.both(lambda ledger, query=query: ledger.find(query))
            if page.next is None:
                break
            query = replace(query, after=page.next)

    @invariant()
    def both_hold_the_same(self) -> None:
        self.both(lambda ledger: ledger.overview(PROVIDERS))
        for provider in PROVIDERS:
            self.both(lambda ledger, provider=provider: ledger.jobs(provider))
            self.both(lambda ledger, provider=provider: ledger.counts(provider))
            self.both(lambda ledger, provider=provider: ledger.events(provider))
            self.both(lambda ledger, provider=provider: ledger.paused_until(provider))


def test_both_ledgers_answer_alike(redis_client: redis.Redis) -> None:
    """Claims, waits, records, states, counts, events and gates are the same in memory and on a real server."""
    prefixes = (f"twin{number}:" for number in itertools.count())

    def make(clock: ManualClock) -> RedisLedger:
        return RedisLedger(redis_client, clock=clock, prefix=next(prefixes))

    bounded = settings(settings.get_profile("ledger"), max_examples=80, stateful_step_count=30)
    run_state_machine_as_test(lambda: Twins(make), settings=bounded)


@pytest.mark.parametrize("fraction", [0.0004, 0.0005, 0.0006, 0.00149, 0.3335])
def test_both_round_alike(redis_client: redis.Redis, fraction: float) -> None:
    """Times between two milliseconds fall to the same side."""
    now = 1_790_000_000.0 + fraction
    clocks = ManualClock(now), ManualClock(now)
    ledgers: tuple[Ledger, Ledger] = (MemoryLedger(clock=clocks[0]), RedisLedger(redis_client, clock=clocks[1]))
    answers = []
    for clock, ledger in zip(clocks, ledgers, strict=True):
        job = Job("a", "alpha", "alpha.make", JobState.ACCEPTED, now, now + 60, updated_at=now, due_at=now + 0.25)
        ledger.accept(job)
        waits = [ledger.claim("alpha", ClaimLimits(1, 1, 10.0)).wait]
        clock.advance(0.2503)
        waits.append(ledger.claim("alpha", ClaimLimits(1, 1, 9.9995)).wait)
        (begun,) = ledger.begin("alpha", [("a", 2)], [JobState.ACCEPTED], 29.9995)
        answers.append((waits, begun, ledger.get("a"), ledger.pause("alpha", 1.0005), ledger.events("alpha")))
    assert answers[0] == answers[1]
