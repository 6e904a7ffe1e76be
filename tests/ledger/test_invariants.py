"""The four invariants of the ledger, under any order of calls by any number of holders.

A model keeps what must be true of each job in a few lines. The machine calls the ledger as workers do, and as broken,
slow and doubled workers do: copies of records and claims are kept and used again long after they were lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jobs import codec
from jobs.clock import ManualClock
from jobs.errors import IllegalMove
from jobs.ledger import Acceptance, Claim, ClaimLimits, Ledger
from jobs.record import Failure, Job, Move
from jobs.search import Query
from jobs.states import IN_HAND, MOVES, TERMINAL, UNFINISHED, JobState

PROVIDERS = ("alpha", "beta")
IDS = tuple("abcdefgh")
LEASE = 30_000

#: The ways that jobs go, and times that are worth while: short, about a lease, long.
states = st.sampled_from(sorted(UNFINISHED))
delays = st.sampled_from([0, 1, 500, 5_000, LEASE - 1, LEASE, LEASE + 1, 100_000])
soon = st.sampled_from([0, 0, 0, 500, 5_000])
learnt = st.sampled_from([{}, {}, {"word": "w"}, {"progress": 7}, {"failure": Failure("busy", "HTTP 503")}])
fates = st.sampled_from(["go"] * 4 + ["stay"] * 4 + ["finish", "slow", "slow", "die"])


@dataclass
class Expected:
    """What must be true of one job."""

    provider: str
    digest: str
    state: JobState
    due: int | None
    created: int
    seq: int = 1
    floor: int = 1
    lease: int = 0
    hastened: int | None = None
    again: int | None = None
    history: list[tuple[int, JobState | None, JobState]] = field(default_factory=list)


def tags_of(job_id: str) -> dict[str, str]:
    """The tags of each job: of some the same, of some none."""
    return {"half": job_id} if job_id in "ab" else {"half": "c"} if job_id in "cdef" else {}


def wake_ups(ledger: Ledger, provider: str) -> dict[str, int]:
    """The wake-up times as they are stored: the members and scores of the sorted set itself."""
    members = ledger._redis.zrange(ledger._key(provider, "due"), 0, -1, withscores=True)
    assert all(score == int(score) for _, score in members)
    return {job_id: int(score) for job_id, score in members}


#: Each key with the digest of what it holds and the time at which it goes by itself, in one round trip.
_EVERYTHING = """
local found = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  found[#found + 1] = key .. ' ' .. redis.sha1hex(redis.call('DUMP', key)) .. ' ' .. redis.call('PEXPIRETIME', key)
end
return found
"""


def everything(ledger: Ledger) -> set[str]:
    """All that a ledger holds, down to the last bit."""
    return set(ledger._redis.eval(_EVERYTHING, 0, ledger._prefix))


class Workers(RuleBasedStateMachine):
    """Any number of workers, some of them broken, on one ledger.

    Args:
        make: an empty ledger for a clock.
    """

    def __init__(self, make: Callable[[ManualClock], Ledger]) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.ledger = make(self.clock)
        self.expected: dict[str, Expected] = {}
        self.claims: list[tuple[str, Claim]] = []  # by provider; some long lost
        self.copies: list[Job] = []  # as their holders read them; some long stale

    def now(self) -> int:
        """The time in whole milliseconds, as a ledger keeps it."""
        return codec.millis(self.clock.now())

    def unchanged(self, call: Callable[[], object]) -> object:
        """A call that must not change the least thing."""
        before = everything(self.ledger)
        answer = call()
        assert everything(self.ledger) == before
        return answer

    @initialize(found=st.lists(st.tuples(states, soon), min_size=2, max_size=4))
    def begin_with_some_jobs(self, found: list[tuple[JobState, int]]) -> None:
        for job_id, (state, delay) in zip(IDS, found, strict=False):
            self.accept(job_id, PROVIDERS[len(self.expected) % 2], "1", state, delay)

    @rule(
        job_id=st.sampled_from(IDS),
        provider=st.sampled_from(PROVIDERS),
        digest=st.sampled_from(["1", "2"]),
        state=st.sampled_from([JobState.ACCEPTED] * 5 + [JobState.FAILED]),
        delay=soon,
    )
    def trigger(self, job_id: str, provider: str, digest: str, state: JobState, delay: int) -> None:
        self.accept(job_id, provider, digest, state, delay)

    def accept(self, job_id: str, provider: str, digest: str, state: JobState, delay: int) -> None:
        due = None if state in TERMINAL else self.now() + delay
        job = Job(
            id=job_id,
            provider=provider,
            workflow=f"{provider}.make",
            state=state,
            created_at=self.clock.now(),
            updated_at=self.clock.now(),
            deadline_at=self.clock.now() + 3600,
            digest=digest,
            due_at=due / 1000 if due is not None else None,
            tags=tags_of(job_id),
        )
        known = self.expected.get(job_id)
        if known is None:
            assert self.ledger.accept(job) is Acceptance.CREATED
            self.expected[job_id] = Expected(provider, digest, state, due, self.now(), history=[(1, None, state)])
        else:
            same = (known.provider, known.digest) == (provider, digest)
            answer = self.unchanged(lambda: self.ledger.accept(job))
            assert answer is (Acceptance.SAME if same else Acceptance.CONFLICT)

    @rule(delay=delays)
    def advance(self, delay: int) -> None:
        self.clock.advance(delay / 1000)

    @rule(provider=st.sampled_from(PROVIDERS), size=st.integers(1, 4), close=st.booleans())
    def tick(self, provider: str, size: int, close: bool) -> None:
        """A clock claims; who gets the message is another matter."""
        self.claim(provider, size, close)

    def claim(self, provider: str, size: int, close: bool) -> tuple[Claim, ...]:
        waiting = sorted(
            (known.due, job_id)
            for job_id, known in self.expected.items()
            if known.provider == provider and known.due is not None
        )
        due = [job_id for at, job_id in waiting if at <= self.now()][:size]
        bundle = self.ledger.claim(provider, ClaimLimits(size, 1000, LEASE / 1000))
        for job_id in due:
            known = self.expected[job_id]
            known.seq += 1
            known.due = self.now() + LEASE
        assert bundle.claims == tuple(
            Claim(job_id, self.expected[job_id].seq, self.expected[job_id].state) for job_id in due
        )
        next_ = [known.due for known in self.expected.values() if known.provider == provider and known.due is not None]
        wait = max(0, min(next_) - self.now()) / 1000 if next_ else None
        assert bundle.wait == pytest.approx(wait)
        self.claims += [(provider, claim) for claim in bundle.claims]
        if close:
            self.ledger.close_bundle(provider, bundle.name)
        return bundle.claims

    def work(self, provider: str, ends: list[str], delay: int, data: st.DataObject) -> None:
        """A worker claims a bundle, begins it, and does with each job what it does; some it only holds, or drops."""
        waiting = [
            known.due for known in self.expected.values() if known.provider == provider and known.due is not None
        ]
        if waiting and data.draw(st.sampled_from([True, True, False])):
            self.clock.advance(max(0, min(waiting) - self.now()) / 1000)
        for claim, end in zip(self.claim(provider, 4, close=True), ends, strict=False):
            if end == "die":
                continue
            self.begin(provider, claim.id, claim.seq, {claim.state})
            job = self.copies[-1]
            if end == "go":
                self.go(job, data.draw(st.sampled_from(sorted(MOVES[job.state] - TERMINAL) or [job.state])), delay)
            elif end == "stay":
                due = self.clock.now() + delay / 1000
                self.write(job.stay(now=self.clock.now(), due_at=due, polls=job.polls + 1, **data.draw(learnt)))
            elif end == "finish":
                self.end(job, data.draw(st.sampled_from(sorted(MOVES[job.state] & TERMINAL))))

    @rule(ends=st.lists(fates, min_size=4, max_size=4), delay=soon, data=st.data())
    def work_for_one_provider(self, ends: list[str], delay: int, data: st.DataObject) -> None:
        self.work(PROVIDERS[0], ends, delay, data)

    @rule(ends=st.lists(fates, min_size=4, max_size=4), delay=soon, data=st.data())
    def work_for_the_other(self, ends: list[str], delay: int, data: st.DataObject) -> None:
        self.work(PROVIDERS[1], ends, delay, data)

    def begin(self, provider: str, job_id: str, seq: int | None, wanted: set[JobState]) -> None:
        known = self.expected.get(job_id)
        wakes = [(job_id, seq)]
        may = (
            known is not None
            and known.provider == provider
            and known.due is not None
            and known.state in wanted
            and (known.lease <= self.now() if seq is None else known.floor < seq <= known.seq)
        )
        if not may:
            assert self.unchanged(lambda: self.ledger.begin(provider, wakes, wanted, LEASE / 1000)) == []
            return
        assert known is not None
        (job,) = self.ledger.begin(provider, wakes, wanted, LEASE / 1000)
        known.seq = known.floor = known.seq + 1
        known.due = known.lease = self.now() + LEASE
        assert (job.id, job.seq, job.state) == (job_id, known.seq, known.state)
        self.copies.append(job)
        # The same message once more, and one without a claim: both find the job in other hands.
        doubled = [*wakes, (job_id, None)]
        assert self.unchanged(lambda: self.ledger.begin(provider, doubled, set(JobState), LEASE / 1000)) == []

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), other=states, right=st.sampled_from([True, True, True, False]))
    def begin_with_claim(self, data: st.DataObject, other: JobState, right: bool) -> None:
        provider, claim = data.draw(st.sampled_from(self.claims))
        self.begin(provider, claim.id, claim.seq, {claim.state} if right else {other})

    @precondition(lambda self: self.expected)
    @rule(data=st.data(), elsewhere=st.sampled_from([None, None, None, *PROVIDERS]))
    def begin_without_claim(self, data: st.DataObject, elsewhere: str | None) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.expected)))
        self.begin(elsewhere or self.expected[job_id].provider, job_id, None, set(JobState))

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        """Somebody who needs no claim, a person that cancels for example, reads and will write."""
        self.copies.append(self.ledger.get(data.draw(st.sampled_from(sorted(self.expected)))))

    def write(self, move: Move) -> None:
        before, after = move.before, move.after
        known = self.expected[before.id]
        if (known.state, known.seq) != (before.state, before.seq):
            assert self.unchanged(lambda: self.ledger.write([move])) == [None]
            return
        # The same move twice: the first is written, the second has lost.
        written, doubled = self.ledger.write([move, move])
        assert written is not None
        assert doubled is None
        known.state, known.seq = after.state, before.seq + 1
        known.floor = known.seq
        known.due = codec.millis(after.due_at) if after.due_at is not None else None
        known.lease = (known.due or 0) if after.state in IN_HAND else 0
        if known.again is not None and known.due is not None and before.state is after.state is JobState.POLLING:
            known.due = min(known.due, max(self.now(), known.again))
        known.again = None
        if move.news:
            known.history.append((known.seq, before.state, after.state))
        held = self.ledger.get(before.id)
        assert written.updated_at == pytest.approx(held.updated_at, abs=0.001)  # the ledger keeps whole milliseconds
        assert written == replace(held, due_at=written.due_at, updated_at=written.updated_at)
        self.copies.append(written)

    @precondition(lambda self: self.expected)
    @rule(data=st.data(), provider=st.sampled_from(PROVIDERS), spacing=st.sampled_from([0, 500, 5_000]))
    def news(self, data: st.DataObject, provider: str, spacing: int) -> None:
        """A provider says that there is news, of jobs of its own and of others; true, doubled, or invented."""
        ids = data.draw(st.lists(st.sampled_from(IDS), max_size=3))
        count = 0
        for job_id in ids:
            known = self.expected.get(job_id)
            if known is None or known.provider != provider or known.state is not JobState.POLLING:
                continue
            if known.due is None or known.due <= self.now() or known.seq != known.floor:
                continue
            look = self.now() if known.hastened is None else max(self.now(), known.hastened + spacing)
            if known.lease > self.now():
                if known.again is not None:
                    continue
                known.again = look
            elif look < known.due:
                known.due = look
            else:
                continue
            known.hastened, count = look, count + 1
        assert self.ledger.hasten(provider, ids, spacing / 1000) == count

    def go(self, job: Job, target: JobState, delay: int) -> None:
        due = None if target in TERMINAL else self.clock.now() + delay / 1000
        self.write(job.to(target, now=self.clock.now(), due_at=due))

    def end(self, job: Job, target: JobState) -> None:
        failure = None if target is JobState.SUCCEEDED else Failure("provider_failed", "it says so", "ask there")
        self.write(job.to(target, now=self.clock.now(), failure=failure, result={"n": 1}))

    def some_copy(self, data: st.DataObject) -> Job:
        """Of an unfinished job, as somebody read it; by and by it is stale."""
        return data.draw(st.sampled_from([job for job in self.copies if not job.finished]))

    @precondition(lambda self: any(not job.finished for job in self.copies))
    @rule(data=st.data(), delay=delays)
    def move(self, data: st.DataObject, delay: int) -> None:
        job = self.some_copy(data)
        self.go(job, data.draw(st.sampled_from([job.state, *sorted(MOVES[job.state])])), delay)

    @precondition(lambda self: any(not job.finished for job in self.copies))
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        job = self.some_copy(data)
        self.end(job, data.draw(st.sampled_from(sorted(MOVES[job.state] & TERMINAL))))

    @precondition(lambda self: any(not job.finished for job in self.copies))
    @rule(data=st.data(), delay=delays, news=learnt)
    def stay(self, data: st.DataObject, delay: int, news: dict[str, Any]) -> None:
        job = self.some_copy(data)
        due = self.clock.now() + delay / 1000
        self.write(job.stay(now=self.clock.now(), due_at=due, polls=job.polls + 1, **news))

    @precondition(lambda self: self.copies)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.copies))
        known = self.expected[job.id]
        if known.seq == job.seq and known.due is not None:
            assert self.ledger.renew(job, LEASE / 1000)
            known.due = known.lease = self.now() + LEASE
        else:
            assert self.unchanged(lambda: self.ledger.renew(job, LEASE / 1000)) is False

    @precondition(lambda self: any(job.finished for job in self.copies))
    @rule(data=st.data(), aim=st.sampled_from(JobState))
    def move_a_finished_job(self, data: st.DataObject, aim: JobState) -> None:
        job = data.draw(st.sampled_from([job for job in self.copies if job.finished]))
        due = None if aim in TERMINAL else self.clock.now()
        with pytest.raises(IllegalMove):
            job.to(aim, now=self.clock.now(), due_at=due)
        with pytest.raises(IllegalMove):
            job.stay(now=self.clock.now(), due_at=self.clock.now())
        wakes = [(job.id, job.seq), (job.id, None)]
        assert self.unchanged(lambda: self.ledger.begin(job.provider, wakes, set(JobState), 30.0)) == []

    @rule(
        providers=st.sampled_from([PROVIDERS, PROVIDERS[:1]]),
        wanted=st.frozensets(st.sampled_from(JobState), max_size=3),
        tags=st.sampled_from([{}, {}, {"half": "a"}, {"half": "c"}]),
        text=st.sampled_from(["", "", "c"]),
        limit=st.integers(1, 3),
    )
    def search(
        self, providers: tuple[str, ...], wanted: frozenset[JobState], tags: dict[str, str], text: str, limit: int
    ) -> None:
        """Page by page, to the end: just the jobs that fit, the newest first."""
        fitting = sorted(
            (
                (known.created, job_id)
                for job_id, known in self.expected.items()
                if known.provider in providers
                and (not wanted or known.state in wanted)
                and tags.items() <= tags_of(job_id).items()
                and text in job_id
            ),
            reverse=True,
        )
        found, query = [], Query(providers, wanted, tags, text, limit=limit)
        while True:
            page = self.ledger.find(query)
            found += [job.id for job in page.jobs]
            if page.next is None:
                break
            assert len(page.jobs) == limit
            query = replace(query, after=page.next)
        assert found == [job_id for _, job_id in fitting]

    @precondition(lambda self: self.claims or self.copies)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """A worker dies: what it held in its hands is gone."""
        if self.claims:
            self.claims.remove(data.draw(st.sampled_from(self.claims)))
        if self.copies:
            self.copies.remove(data.draw(st.sampled_from(self.copies)))
        del self.claims[:-6], self.copies[:-6]

    @invariant()
    def every_unfinished_job_has_exactly_one_wake_up_time(self) -> None:
        for provider in PROVIDERS:
            due = {
                job_id: known.due
                for job_id, known in self.expected.items()
                if known.provider == provider and known.state not in TERMINAL
            }
            assert wake_ups(self.ledger, provider) == due

    @invariant()
    def records_and_events_say_what_the_winners_did(self) -> None:
        """Each job is where it was put, counted there, and its history can be rebuilt from the events alone."""
        for provider in PROVIDERS:
            mine = {job_id: known for job_id, known in self.expected.items() if known.provider == provider}
            jobs = self.ledger.jobs(provider)
            assert {job.id: (job.state, job.seq) for job in jobs} == {
                job_id: (known.state, known.seq) for job_id, known in mine.items()
            }
            assert all((job.due_at is None) == job.finished for job in jobs)
            (overview,) = self.ledger.overview([provider])
            assert overview.counts == Counter(known.state for known in mine.values())
            due = [known.due for known in mine.values() if known.due is not None]
            assert overview.due == sum(at <= self.now() for at in due)
            assert overview.lateness == max(0, self.now() - min(due, default=self.now())) / 1000
            created = [known.created for known in mine.values() if known.state not in TERMINAL]
            assert overview.oldest == (min(created) / 1000 if created else None)
            rebuilt: dict[str, list[tuple[int, JobState | None, JobState]]] = {}
            latest = {}
            for event in self.ledger.events(provider):
                rebuilt.setdefault(event.job_id, []).append((event.seq, event.source, event.target))
                latest[event.job_id] = event
            assert rebuilt == {job_id: known.history for job_id, known in mine.items()}
            for job in jobs:
                state, seq = None, 0
                for event_seq, source, target in rebuilt[job.id]:
                    assert source == state
                    assert event_seq > seq
                    state, seq = target, event_seq
                assert state is job.state
                data = latest[job.id].data
                assert (data.get("word"), data.get("progress")) == (job.word, job.progress)
                assert data.get("error") == (asdict(job.failure) if job.failure else None)
                assert data.get("outcome") == (job.outcome() if job.finished else None)

    def teardown(self) -> None:
        """However it ended: once all leases are over, every unfinished job can be claimed and brought to its end."""
        self.clock.advance(1000)
        for provider in PROVIDERS:
            unfinished = {
                job_id
                for job_id, known in self.expected.items()
                if known.provider == provider and known.state not in TERMINAL
            }
            claims = self.ledger.claim(provider, ClaimLimits(100, 1000, 30.0)).claims
            assert {claim.id for claim in claims} == unfinished
            held = self.ledger.begin(provider, [(claim.id, claim.seq) for claim in claims], UNFINISHED, 30.0)
            moves = [job.to(JobState.FAILED, now=self.clock.now()) for job in held]
            assert len([job for job in self.ledger.write(moves) if job is not None]) == len(unfinished)
            assert wake_ups(self.ledger, provider) == {}
        self.ledger._redis.flushdb()


def test_invariants_hold_in_any_order(make_ledger: Callable[..., Ledger]) -> None:
    """One wake-up time per unfinished job, losers change nothing, one event per move, and an end that is final."""
    bounded = settings(settings.get_profile("ledger"), max_examples=50, stateful_step_count=35)
    run_state_machine_as_test(lambda: Workers(make_ledger), settings=bounded)
