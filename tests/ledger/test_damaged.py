"""A key of the wrong type costs what it holds: one job, one provider; what others have goes on, and Redis says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import redis

from jobs.clock import ManualClock
from jobs.ledger import Acceptance, ClaimLimits, Ledger
from jobs.record import Job
from jobs.refusals import Causes, PartlyAccepted, executed
from jobs.search import Query
from jobs.states import JobState

LIMITS = ClaimLimits(bundle_size=10, bundles=8, lease=30.0, rate=0.0, in_flight=0)
BOTH = ("alpha", "beta")


@pytest.fixture
def ledger(redis_client: redis.Redis, clock: ManualClock) -> Ledger:
    """A ledger with its keys where doctor looks for them."""
    return Ledger(redis_client, clock=clock)


def _two(new_job: Callable[..., Job]) -> list[tuple[Job, None]]:
    return [(new_job("a", tags={"shop": "7"}), None), (new_job("b", provider="beta", workflow="beta.make"), None)]


def _damage(client: redis.Redis, key: str) -> None:
    client.delete(key)
    client.lpush(key, "a message")


@pytest.mark.parametrize(
    "part",
    [
        "due",
        "gate",
        "bundles",
        "done",
        "index",
        "index:state:accepted",
        "index:tag:shop=7",
        "index:tagged",
        "events",
        "counts",
        "job:a",
    ],
)
def test_the_jobs_of_other_providers_are_recorded(
    ledger: Ledger, redis_client: redis.Redis, new_job: Callable[..., Job], part: str
) -> None:
    """With one call for both; the answer says which."""
    _damage(redis_client, f"settle:{{alpha}}:{part}")
    if part in ("gate", "bundles"):  # recording needs neither
        assert ledger.accept_all(_two(new_job)) == [Acceptance.CREATED] * 2
        return
    with pytest.raises(PartlyAccepted, match="WRONGTYPE") as refused:
        ledger.accept_all(_two(new_job))
    assert refused.value.answers == [None, Acceptance.CREATED]
    assert ledger.get("b").provider == "beta"
    redis_client.delete(f"settle:{{alpha}}:{part}")
    assert ledger.accept_all(_two(new_job)) == [Acceptance.CREATED, Acceptance.SAME]
    assert [claim.id for claim in ledger.claim("alpha", LIMITS).claims] == ["a"]
    assert len(ledger.events("alpha", "a")) == 1
    assert ledger.counts("alpha")[JobState.ACCEPTED] == 1


def test_an_owner_of_another_type_costs_its_job(
    ledger: Ledger, redis_client: redis.Redis, new_job: Callable[..., Job]
) -> None:
    """That of a future job, say."""
    _damage(redis_client, "settle:owner:a")
    with pytest.raises(PartlyAccepted, match="WRONGTYPE") as refused:
        ledger.accept_all(_two(new_job))
    assert refused.value.answers == [None, Acceptance.CREATED]


@pytest.mark.parametrize("part", ["due", "gate", "bundles", "done", "queue"])
def test_other_providers_are_claimed(
    ledger: Ledger, redis_client: redis.Redis, new_job: Callable[..., Job], part: str
) -> None:
    """With one round trip; the reason stands in the place of the claims."""
    ledger.accept_all(_two(new_job))
    _damage(redis_client, f"settle:{{alpha}}:{part}")
    bundles = ledger.claim_all(dict.fromkeys(BOTH, replace(LIMITS, rate=5.0)))
    assert "WRONGTYPE" in str(bundles["alpha"].error)
    assert bundles["alpha"].claims == ()
    assert [claim.id for claim in bundles["beta"].claims] == ["b"]
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        ledger.claim("alpha", replace(LIMITS, rate=5.0))


def test_a_record_of_another_type_costs_its_job(
    ledger: Ledger, redis_client: redis.Redis, new_job: Callable[..., Job], clock: ManualClock
) -> None:
    """The other jobs of its provider are claimed, found and read; it is looked at again after a lease."""
    ledger.accept_all([(new_job(name), None) for name in ("a", "b", "c")])
    _damage(redis_client, "settle:{alpha}:job:b")
    bundle = ledger.claim("alpha", LIMITS)
    assert ([claim.id for claim in bundle.claims], bundle.damaged) == (["a", "c"], ("b",))
    assert redis_client.zscore("settle:{alpha}:due", "b") == (clock.now() + 30) * 1000
    assert {job.id for job in ledger.find(Query(("alpha",), limit=10)).jobs} == {"a", "c"}
    read = ledger.read(["a", "b", "c"])
    assert [getattr(job, "id", None) for job in read] == ["a", None, "c"]
    assert [glance is not None for glance in ledger.glance(["a", "b", "c"])] == [True, False, True]
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        ledger.get("b")
    clock.advance(31)
    assert ledger.claim("alpha", LIMITS).damaged == ("b",)
    redis_client.delete("settle:{alpha}:job:b")
    clock.advance(31)
    assert ledger.claim("alpha", LIMITS).damaged == ()
    assert redis_client.zscore("settle:{alpha}:due", "b") is None


@pytest.mark.parametrize("part", ["index", "due", "counts", "index:state:accepted", "gate"])
def test_other_providers_are_found(
    ledger: Ledger, redis_client: redis.Redis, new_job: Callable[..., Job], part: str
) -> None:
    """On the pages, and in the metrics."""
    ledger.accept_all(_two(new_job))
    _damage(redis_client, f"settle:{{alpha}}:{part}")
    assert "b" in {job.id for job in ledger.find(Query(BOTH, limit=10)).jobs}
    assert [own.due for own in ledger.overview(BOTH)] == [0 if part == "due" else 1, 1]
    assert "b" in ledger.newest(BOTH, 10)
    assert ledger.newest_tags(BOTH, 10) == ([] if part == "index" else ["shop=7"])


@pytest.mark.parametrize("part", ["due", "events", "counts", "done", "index", "index:state:submitting"])
def test_a_move_is_made_as_a_whole_or_not_at_all(
    ledger: Ledger, redis_client: redis.Redis, new_job: Callable[..., Job], clock: ManualClock, part: str
) -> None:
    """A job is where it was until the key is mended; then it goes on, with its event."""
    ledger.accept(new_job("a"))
    ledger.claim("alpha", LIMITS)
    (job,) = ledger.begin("alpha", [("a", None)], [JobState.ACCEPTED], 30.0) or [ledger.get("a")]
    held = redis_client.hgetall("settle:{alpha}:job:a")
    _damage(redis_client, f"settle:{{alpha}}:{part}")
    move = job.to(JobState.SUBMITTING, now=clock.now(), due_at=clock.now() + 1)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        ledger.write([move])
    assert redis_client.hgetall("settle:{alpha}:job:a") == held
    redis_client.delete(f"settle:{{alpha}}:{part}")
    assert ledger.write([move]) != [None]
    assert [event.target for event in ledger.events("alpha", "a")][-1] is JobState.SUBMITTING


class _Pipe:
    def __init__(self, *answers: Any) -> None:
        self._answers = answers

    def execute(self, *, raise_on_error: bool) -> list[Any]:
        assert not raise_on_error
        return list(self._answers)


def test_an_outage_is_an_error_of_all() -> None:
    """Whatever the other answers are."""
    wrong = redis.ResponseError("WRONGTYPE Operation against a key")
    assert executed(_Pipe(1, wrong)) == [1, wrong]
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        executed(_Pipe(wrong, redis.exceptions.OutOfMemoryError("command not allowed")))


def test_a_cause_is_news_once() -> None:
    """And again when it has changed, or was over; without memory for more than a thousand."""
    causes = Causes()
    told = [causes.news("a", "x"), causes.news("a", "x"), causes.news("b", "x"), causes.news("a", "y")]
    assert told == [True, False, True, True]
    causes.over("a")
    causes.over("never")
    assert causes.news("a", "y")
    for number in range(5000):
        causes.news(str(number), "x")
    assert len(causes._known) <= 1000
