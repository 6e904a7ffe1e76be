"""A record or a state that a newer version wrote: it is told as such, and keeps nobody else from being told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import redis

from jobs.clock import ManualClock
from jobs.errors import RecordTooNew
from jobs.ledger import ClaimLimits, Ledger
from jobs.record import RECORD_VERSION, Job, Unreadable
from jobs.search import Query
from jobs.states import JobState
from tests.newer import make_newer, make_state_newer

LIMITS = ClaimLimits(bundle_size=10, bundles=4, lease=30)


@pytest.fixture
def held(redis_client: redis.Redis, clock: ManualClock, new_job: Callable[..., Job]) -> Ledger:
    """Three jobs, created one after the other; the record of the second is of a newer version."""
    ledger = Ledger(redis_client, clock=clock)
    for job_id in ("a", "b", "c"):
        ledger.accept(new_job(job_id, tags={"shop": "7"}))
        clock.advance(1)
    make_newer(redis_client, "alpha", "b")
    return ledger


def test_a_listing_names_it_and_has_the_others(held: Ledger) -> None:
    """By every way in which it may be searched for; its place is one of the page."""
    accepted = frozenset({JobState.ACCEPTED})
    for query in (Query(("alpha",)), Query(("alpha",), tags={"shop": "7"}), Query(("alpha",), accepted)):
        page = held.find(query)
        assert [job.id for job in page.jobs] == ["c", "a"]
        assert [(job.id, job.provider, job.state, job.version) for job in page.unreadable] == [
            ("b", "alpha", "accepted", RECORD_VERSION + 1)
        ]
        assert [row.id for row in page.rows] == ["c", "a", "b"]
    page = held.find(Query(("alpha",), limit=2))
    assert [row.id for row in page.rows] == ["c", "b"]
    assert page.next is not None
    assert page.next.id == "b"
    assert [row.id for row in held.find(Query(("alpha",), after=page.next)).rows] == ["a"]
    assert held.find(Query(("alpha",), frozenset({JobState.POLLING}))).rows == ()


def test_reading_tells_it_from_one_that_is_not_there(held: Ledger) -> None:
    """Whoever reads many is told of it in its place; whoever cannot go on without it gets an error with the remedy."""
    a, b, missing = held.read(["a", "b", "nobody"])
    assert isinstance(a, Job)
    assert isinstance(b, Unreadable)
    assert missing is None
    assert not b.finished
    assert replace(b, state="succeeded").finished
    for strict in (lambda: held.get("b"), lambda: held.jobs("alpha")):
        with pytest.raises(RecordTooNew, match=r"job b: .*written by a newer version: update this process"):
            strict()
    assert [job.id for job in held.jobs("alpha", limit=1)] == ["c"]


def test_a_state_that_is_not_known_is_counted(held: Ledger, redis_client: redis.Redis) -> None:
    """Figures and glances go on; the clock takes the others, and leaves this one to its lease."""
    make_state_newer(redis_client, "alpha", "b")
    (overview,) = held.overview(["alpha"])
    assert (overview.counts, overview.unreadable, overview.unfinished) == ({JobState.ACCEPTED: 2}, 1, 2)
    assert held.counts("alpha") == {JobState.ACCEPTED: 2}
    a, b = held.glance(["a", "b"])
    assert a is not None
    assert b is not None
    assert (a.state, b.state, b.finished) == (JobState.ACCEPTED, None, False)
    bundle = held.claim("alpha", LIMITS)
    assert {claim.id for claim in bundle.claims} == {"a", "c"}
    held.close_bundle("alpha", bundle.name)
    assert held.overview(["alpha"])[0].bundles == 0
