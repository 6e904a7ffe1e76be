"""Moves: compare-and-set on (state, seq), one event each, and the end of a job."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from threading import Barrier, Thread
from typing import Any

import pytest
import redis

from config.embedded import EmbeddedRedis
from jobs.clock import ManualClock
from jobs.errors import IllegalMove, JobNotFound
from jobs.ledger import Claim, ClaimLimits, Ledger
from jobs.record import Announcement, Failure, Job, Move
from jobs.states import TERMINAL, JobState

Begun = Callable[..., Job]
Take = Callable[..., list[Claim]]


def _everything(ledger: Ledger, provider: str = "alpha") -> tuple[object, ...]:
    return ledger.jobs(provider), ledger.counts(provider), ledger.events(provider)


def test_nothing_to_write(ledger: Ledger) -> None:
    """No move is no work."""
    assert ledger.write([]) == []


def test_a_move_is_written(ledger: Ledger, begun: Begun, clock: ManualClock) -> None:
    """Record, wake-up time, token, counts and event change together."""
    job = begun()
    clock.advance(2)
    move = job.to(JobState.SUBMITTING, now=clock.now(), due_at=clock.now() + 30, intent={"name": "x"})
    (after,) = ledger.write([move])
    assert after is not None
    assert after == ledger.get(job.id)
    assert (after.state, after.seq, after.due_at) == (JobState.SUBMITTING, job.seq + 1, clock.now() + 30)
    assert (after.intent, after.request, after.updated_at) == ({"name": "x"}, {"name": "master"}, clock.now())
    assert ledger.counts("alpha") == {JobState.SUBMITTING: 1}
    event = ledger.events("alpha")[-1]
    assert (event.source, event.target, event.seq, event.at) == (
        JobState.ACCEPTED,
        JobState.SUBMITTING,
        after.seq,
        clock.now(),
    )


def test_a_move_drops_what_it_sets_to_nothing(ledger: Ledger, begun: Begun, clock: ManualClock) -> None:
    """A body that the provider has does not stay in the ledger."""
    job = begun(state=JobState.SUBMITTING, failure=Failure("busy", "HTTP 503"), attempts=3, message="soon")
    (after,) = ledger.write(
        [
            job.to(
                JobState.POLLING,
                now=clock.now(),
                due_at=clock.now() + 2,
                request=None,
                attempts=0,
                message=None,
                receipt={"remote_id": "r-1"},
            )
        ]
    )
    assert after is not None
    held = ledger.get(job.id)
    assert held == after
    assert (held.request, held.failure, held.attempts, held.message) == (None, None, 0, None)


def test_a_lost_claim_writes_nothing(
    ledger: Ledger, begun: Begun, clock: ManualClock, take: Take, told: Callable[[str], str | None]
) -> None:
    """Whoever was overtaken changes no record, no wake-up time, no count, no event, and tells nobody."""
    job = begun()
    clock.advance(30)
    take()
    before = _everything(ledger)
    moves = [
        job.to(JobState.FAILED, now=clock.now()).announced(Announcement("who-waits", "failed", 60)),
        job.to(JobState.SUBMITTING, now=clock.now(), due_at=clock.now()),
        job.stay(now=clock.now(), due_at=clock.now(), message="still there"),
    ]
    assert ledger.write(moves) == [None, None, None]
    assert _everything(ledger) == before
    assert told("who-waits") is None


def test_of_two_holders_one_wins(ledger: Ledger, begun: Begun, clock: ManualClock) -> None:
    """Two moves from one record: the first is written, the second finds another token."""
    job = begun()
    first = job.to(JobState.SUBMITTING, now=clock.now(), due_at=clock.now() + 30)
    second = job.to(JobState.CANCELLED, now=clock.now())
    written = ledger.write([first, second])
    assert [after and after.state for after in written] == [JobState.SUBMITTING, None]
    assert ledger.get(job.id).state is JobState.SUBMITTING


def test_the_state_is_compared_as_well(ledger: Ledger, begun: Begun, clock: ManualClock) -> None:
    """The right token with another state is another history, and does not write."""
    job = begun()
    before = _everything(ledger)
    stranger = replace(job, state=JobState.POLLING)
    assert ledger.write([stranger.to(JobState.SUCCEEDED, now=clock.now())]) == [None]
    assert _everything(ledger) == before


def test_an_unknown_job_is_not_written(ledger: Ledger, new_job: Callable[..., Job], clock: ManualClock) -> None:
    """A move of a job that the ledger does not hold creates nothing."""
    assert ledger.write([new_job("ghost").to(JobState.FAILED, now=clock.now())]) == [None]
    with pytest.raises(JobNotFound):
        ledger.get("ghost")
    assert _everything(ledger) == ([], {}, [])


def test_moves_of_one_write_are_independent(ledger: Ledger, begun: Begun, clock: ManualClock) -> None:
    """One lost claim in a bundle takes nothing from the others; the answers keep the order."""
    jobs = [begun(f"job-{number}") for number in range(4)]
    ledger.write([jobs[1].to(JobState.CANCELLED, now=clock.now())])
    written = ledger.write([job.to(JobState.FAILED, now=clock.now()) for job in jobs])
    assert [after.id if after else None for after in written] == ["job-0", None, "job-2", "job-3"]
    assert ledger.counts("alpha") == {JobState.CANCELLED: 1, JobState.FAILED: 3}


def test_one_write_may_serve_two_providers(ledger: Ledger, begun: Begun, clock: ManualClock) -> None:
    """Each move goes to its own provider's record."""
    jobs = [begun("a"), begun("b", provider="beta", workflow="beta.make")]
    written = ledger.write([job.to(JobState.FAILED, now=clock.now()) for job in jobs])
    assert all(written)
    assert ledger.counts("alpha") == ledger.counts("beta") == {JobState.FAILED: 1}


def test_staying_sets_a_new_countdown(ledger: Ledger, begun: Begun, clock: ManualClock, take: Take) -> None:
    """`Not yet` is an answer: the job waits where it is, and no event tells of it."""
    job = begun(state=JobState.POLLING)
    (after,) = ledger.write([job.stay(now=clock.now(), due_at=clock.now() + 5, polls=1)])
    assert after == ledger.get(job.id)
    assert after is not None
    assert (after.polls, after.seq, after.due_at) == (1, job.seq + 1, clock.now() + 5)
    assert len(ledger.events("alpha")) == 1
    assert ledger.counts("alpha") == {JobState.POLLING: 1}
    assert take() == []
    clock.advance(5)
    assert take() == [Claim(job.id, job.seq + 2, JobState.POLLING)]


@pytest.mark.parametrize(
    "news",
    [
        {"word": "minting"},
        {"progress": 40},
        {"message": "in the queue"},
        {"failure": Failure("busy", "HTTP 503")},
    ],
    ids=lambda news: next(iter(news)),
)
def test_news_is_an_event(ledger: Ledger, begun: Begun, clock: ManualClock, news: dict[str, Any]) -> None:
    """What is learnt of the remote job is told once, and not again while it stays the same."""
    job = begun(state=JobState.POLLING)
    (after,) = ledger.write([job.stay(now=clock.now(), due_at=clock.now() + 5, **news)])
    assert after is not None
    event = ledger.events("alpha")[-1]
    assert (event.source, event.target, event.seq) == (JobState.POLLING, JobState.POLLING, after.seq)
    for name, value in news.items():
        told = event.data["error"]["kind"] if name == "failure" else event.data[name]
        assert told == (value.kind if name == "failure" else value)
    assert len(ledger.events("alpha")) == 2
    ledger.write([after.stay(now=clock.now(), due_at=clock.now() + 5, **news)])
    assert len(ledger.events("alpha")) == 2


def test_a_finished_job_has_no_wake_up_time(ledger: Ledger, begun: Begun, clock: ManualClock, take: Take) -> None:
    """The end removes the job from those that wait, and the last event has the outcome."""
    job = begun(state=JobState.POLLING)
    (done,) = ledger.write([job.to(JobState.SUCCEEDED, now=clock.now(), result={"token": "t-1"})])
    assert done == ledger.get(job.id)
    assert done is not None
    assert done.due_at is None
    assert ledger.events("alpha")[-1].data["outcome"] == done.outcome()
    clock.advance(86400)
    assert take() == []
    assert ledger.claim("alpha", ClaimLimits(1, 1, 30.0)).wait is None


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_a_finished_job_never_moves_again(ledger: Ledger, begun: Begun, clock: ManualClock, state: JobState) -> None:
    """Neither a new move nor an old copy can change it."""
    job = begun(state=JobState.POLLING)
    (done,) = ledger.write([job.to(state, now=clock.now())])
    assert done is not None
    before = _everything(ledger)
    for target in JobState:
        with pytest.raises(IllegalMove):
            done.to(target, now=clock.now(), due_at=None if target in TERMINAL else clock.now())
    with pytest.raises(IllegalMove):
        done.stay(now=clock.now(), due_at=clock.now())
    late = [job.to(other, now=clock.now()) for other in sorted(TERMINAL)]
    assert ledger.write([*late, job.stay(now=clock.now(), due_at=clock.now())]) == [None] * 5
    assert _everything(ledger) == before


def test_history_survives_in_events_alone(ledger: Ledger, begun: Begun, clock: ManualClock) -> None:
    """Following the events of one job leads from its acceptance to its end, step by step."""
    begun("other")
    job = begun()
    way = [
        JobState.SUBMITTING,
        JobState.IN_DOUBT,
        JobState.POLLING,
        JobState.FETCHING,
        JobState.VERIFYING,
        JobState.EMITTING,
        JobState.SUCCEEDED,
    ]
    for state in way:
        clock.advance(1)
        due = None if state in TERMINAL else clock.now() + 30
        (after,) = ledger.write([job.to(state, now=clock.now(), due_at=due)])
        assert after is not None
        job = after
    events = ledger.events("alpha", "job-1")
    assert [event.target for event in events] == [JobState.ACCEPTED, *way]
    assert [event.source for event in events] == [None, JobState.ACCEPTED, *way[:-1]]
    assert [event.seq for event in events] == sorted({event.seq for event in events})
    assert [event.at for event in events] == sorted({event.at for event in events})
    assert len(ledger.events("alpha")) == len(events) + 1


def test_a_move_is_announced(
    ledger: Ledger, begun: Begun, clock: ManualClock, told: Callable[[str], str | None]
) -> None:
    """Whoever waits finds the latest announcement under its key."""
    job = begun()
    move = job.to(JobState.SUBMITTING, now=clock.now(), due_at=clock.now())
    (after,) = ledger.write([move.announced(Announcement("who-waits", "submitting", 60))])
    assert told("who-waits") == "submitting"
    assert after is not None
    ledger.write([after.to(JobState.FAILED, now=clock.now()).announced(Announcement("who-waits", "failed", 60))])
    assert told("who-waits") == "failed"


def test_an_announcement_is_stored_published_and_expires(
    redis_client: redis.Redis, clock: ManualClock, new_job: Callable[..., Job]
) -> None:
    """On a real server: the value, its time to live, and one message on the channel of the same name, per write."""
    ledger = Ledger(redis_client, clock=clock)
    listener = redis_client.pubsub(ignore_subscribe_messages=True)
    try:
        listener.subscribe("who-waits")
        ledger.accept(new_job(), Announcement("who-waits", "accepted", 60))
        (job,) = ledger.begin("alpha", [("job-1", None)], [JobState.ACCEPTED], 30.0)
        move = job.to(JobState.FAILED, now=clock.now()).announced(Announcement("who-waits", "failed", 120))
        ledger.write([move])
        ledger.write([move])  # doubled: nobody is told twice
        heard: list[str] = []
        end = time.monotonic() + 10
        while len(heard) < 2 and time.monotonic() < end:
            if message := listener.get_message(timeout=1):
                heard.append(message["data"])
        redis_client.publish("who-waits", "the end")
        while (not heard or heard[-1] != "the end") and time.monotonic() < end:
            if message := listener.get_message(timeout=1):
                heard.append(message["data"])
    finally:
        listener.close()
    assert heard == ["accepted", "failed", "the end"]
    assert redis_client.get("who-waits") == "failed"
    assert 60 < redis_client.ttl("who-waits") <= 120


def test_a_finished_record_expires_and_an_unfinished_one_does_not(
    redis_client: redis.Redis, clock: ManualClock, new_job: Callable[..., Job]
) -> None:
    """On a real server: no key of a job that still runs may vanish; those of a finished one have a time to live."""
    ledger = Ledger(redis_client, clock=clock, retention=100.0)
    ledger.accept(new_job(deadline_at=clock.now() + 1))
    (job,) = ledger.begin("alpha", [("job-1", None)], [JobState.ACCEPTED], 30.0)
    (job_,) = ledger.write([job.to(JobState.SUBMITTING, now=clock.now(), due_at=clock.now())])
    assert job_ is not None
    lost = replace(job_, seq=job_.seq - 1).to(JobState.FAILED, now=clock.now())
    assert ledger.write([lost]) == [None]
    assert {key: redis_client.ttl(key) for key in redis_client.keys("*job-1*")} == {
        "settle:owner:job-1": -1,
        "settle:{alpha}:job:job-1": -1,
    }
    ledger.write([job_.to(JobState.FAILED, now=clock.now())])
    ttls = {key: redis_client.ttl(key) for key in redis_client.keys("*job-1*")}
    assert set(ttls) == {"settle:owner:job-1", "settle:{alpha}:job:job-1"}
    assert all(90 < ttl <= 100 for ttl in ttls.values())


def test_an_id_that_is_used_again_does_not_expire_with_its_former_job(
    redis_client: redis.Redis, clock: ManualClock, new_job: Callable[..., Job], failed_job: Callable[..., Job]
) -> None:
    """On a real server: the new job's owner outlives what was left of the old one's time."""
    ledger = Ledger(redis_client, clock=clock, retention=100.0)
    ledger.accept(failed_job())
    redis_client.delete("settle:{alpha}:job:job-1")  # the record went first
    assert redis_client.ttl("settle:owner:job-1") > 0
    ledger.accept(new_job())
    assert redis_client.ttl("settle:owner:job-1") == -1
    assert redis_client.ttl("settle:{alpha}:job:job-1") == -1


def test_all_keys_of_a_provider_share_one_slot(
    redis_client: redis.Redis, clock: ManualClock, new_job: Callable[..., Job]
) -> None:
    """On a real server: prefix and hash tag on every key, so that providers can be sharded."""
    ledger = Ledger(redis_client, clock=clock, prefix="mine:")
    ledger.accept(new_job())
    ledger.claim("alpha", ClaimLimits(1, 1, 30.0, rate=10.0))
    ledger.turns("alpha", 10.0, "one", 100)
    ledger.learn("alpha", [("alpha.make", {3: 1.0})])
    ledger.pause("alpha")
    ledger.remember("alpha", "session", "s-1")
    (job,) = ledger.begin("alpha", [("job-1", 2)], [JobState.ACCEPTED], 30.0)
    ledger.write([job.to(JobState.FAILED, now=clock.now())])
    keys = set(redis_client.keys("*"))
    assert keys - {"mine:owner:job-1"} == {key for key in keys if key.startswith("mine:{alpha}:")}
    assert len(keys) > 6


def test_about_so_many_events_are_kept(
    redis_client: redis.Redis, clock: ManualClock, new_job: Callable[..., Job]
) -> None:
    """On a real server: the stream does not grow without end."""
    ledger = Ledger(redis_client, clock=clock, events_kept=100)
    for number in range(400):
        ledger.accept(new_job(f"job-{number}"))
    kept = ledger.events("alpha")
    assert 100 <= len(kept) < 300
    assert kept[-1].job_id == "job-399"


def test_finished_jobs_leave_the_index(
    redis_client: redis.Redis, clock: ManualClock, failed_job: Callable[..., Job]
) -> None:
    """On a real server: as many as one claim may take are forgotten with each claim, so the index cannot grow."""
    ledger = Ledger(redis_client, clock=clock, retention=10.0)
    for number in range(150):
        ledger.accept(failed_job(f"job-{number}"))
    clock.advance(10)
    ledger.claim("alpha", ClaimLimits(100, 1, 30.0))
    assert redis_client.zcard("settle:{alpha}:index") == 50
    ledger.claim("alpha", ClaimLimits(100, 1, 30.0))
    assert redis_client.exists("settle:{alpha}:index", "settle:{alpha}:done") == 0


def _in_threads(server: EmbeddedRedis, clock: ManualClock, work: Callable[[Ledger], object]) -> list[Any]:
    """Run the same work on four ledgers of one server at the same moment."""
    start, results = Barrier(4), []

    def run() -> None:
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            ledger = Ledger(client, clock=clock)
            start.wait(10)
            results.append(work(ledger))

    threads = [Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(results) == 4
    return results


def test_many_workers_take_each_job_once(
    redis_server: EmbeddedRedis, redis_client: redis.Redis, clock: ManualClock, new_job: Callable[..., Job]
) -> None:
    """On a real server: four workers that claim at the same time share the jobs among them."""
    ledger = Ledger(redis_client, clock=clock)
    for number in range(200):
        ledger.accept(new_job(f"job-{number:03}"))

    def claim_all(own: Ledger) -> list[str]:
        taken: list[str] = []
        while claims := own.claim("alpha", ClaimLimits(7, 1000, 30.0)).claims:
            taken += [claim.id for claim in claims]
        return taken

    shares = _in_threads(redis_server, clock, claim_all)
    assert sorted(job_id for share in shares for job_id in share) == sorted(f"job-{number:03}" for number in range(200))


def test_many_writers_one_winner(
    redis_server: EmbeddedRedis, redis_client: redis.Redis, clock: ManualClock, new_job: Callable[..., Job]
) -> None:
    """On a real server: of four holders of the same records each record is moved by exactly one."""
    ledger = Ledger(redis_client, clock=clock)
    jobs = [new_job(f"job-{number}") for number in range(50)]
    for job in jobs:
        ledger.accept(job)
    held = ledger.begin("alpha", [(job.id, None) for job in jobs], [JobState.ACCEPTED], 30.0)
    moves: list[Move] = [job.to(JobState.FAILED, now=clock.now()) for job in held]
    written = _in_threads(redis_server, clock, lambda own: [after is not None for after in own.write(moves)])
    assert [sum(column) for column in zip(*written, strict=True)] == [1] * 50
    assert ledger.counts("alpha") == {JobState.FAILED: 50}
    assert len(ledger.events("alpha")) == 100


def test_an_event_is_plain_json(redis_client: redis.Redis, clock: ManualClock, new_job: Callable[..., Job]) -> None:
    """On a real server: a consumer group in any language can read the stream."""
    ledger = Ledger(redis_client, clock=clock)
    ledger.accept(new_job())
    ((_, fields),) = redis_client.xrange("settle:{alpha}:events")
    assert set(fields) == {"job", "seq", "from", "to", "at", "data"}
    assert (fields["job"], fields["from"], fields["to"]) == ("job-1", "", "accepted")
    assert int(fields["at"]) == clock.now() * 1000
    assert json.loads(fields["data"])["v"] == 1
