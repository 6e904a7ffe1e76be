"""Finding jobs among very many: by provider, state, tag, age and id, page by page; and where all of them stand."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import redis

from jobs.clock import ManualClock
from jobs.errors import InvalidJob
from jobs.ledger import Acceptance, ClaimLimits, Ledger
from jobs.record import Job
from jobs.search import Gate, Overview, Place, Query
from jobs.states import JobState

NewJob = Callable[..., Job]
BOTH = ("alpha", "beta")
S = JobState


def _ids(ledger: Ledger, query: Query) -> list[str]:
    """The ids of all pages."""
    found = []
    while True:
        page = ledger.find(query)
        assert len(page.jobs) <= query.limit
        found += [job.id for job in page.jobs]
        if page.next is None:
            return found
        query = replace(query, after=Place.read(str(page.next)))


@pytest.fixture
def shop(ledger: Ledger, new_job: NewJob, failed_job: NewJob, clock: ManualClock) -> Ledger:
    """Ten jobs, one a second, of two providers in turn; every third has failed."""
    for number in range(10):
        provider = BOTH[number % 2]
        make = failed_job if number % 3 == 0 else new_job
        tags = {"shop": str(number // 5), "kind": "odd" if number % 2 else "even"}
        ledger.accept(make(f"job-{number}", provider=provider, workflow=f"{provider}.make", tags=tags))
        clock.advance(1)
    return ledger


def test_all_filters_by_themselves(shop: Ledger, clock: ManualClock) -> None:
    """Each takes out what it says, newest first over all providers."""
    begin = clock.now() - 10
    assert _ids(shop, Query(BOTH)) == [f"job-{number}" for number in reversed(range(10))]
    assert _ids(shop, Query(("beta",))) == ["job-9", "job-7", "job-5", "job-3", "job-1"]
    assert _ids(shop, Query(BOTH, frozenset({S.FAILED}))) == ["job-9", "job-6", "job-3", "job-0"]
    assert _ids(shop, Query(BOTH, frozenset({S.FAILED, S.ACCEPTED}), limit=3)) == _ids(shop, Query(BOTH))
    assert _ids(shop, Query(BOTH, tags={"shop": "1"})) == ["job-9", "job-8", "job-7", "job-6", "job-5"]
    assert _ids(shop, Query(BOTH, text="-7")) == ["job-7"]
    assert _ids(shop, Query(BOTH, since=begin + 8)) == ["job-9", "job-8"]
    assert _ids(shop, Query(BOTH, until=begin + 2)) == ["job-1", "job-0"]
    assert _ids(shop, Query(())) == _ids(shop, Query(("gamma",))) == _ids(shop, Query(BOTH, limit=0)) == []


def test_filters_together(shop: Ledger, clock: ManualClock) -> None:
    """All must hold."""
    begin = clock.now() - 10
    tags = {"shop": "1", "kind": "odd"}
    assert _ids(shop, Query(BOTH, tags=tags, limit=2)) == ["job-9", "job-7", "job-5"]
    assert _ids(shop, Query(BOTH, frozenset({S.FAILED}), tags)) == ["job-9"]
    assert _ids(shop, Query(BOTH, frozenset({S.ACCEPTED}), tags, since=begin + 5, until=begin + 7)) == ["job-5"]
    assert _ids(shop, Query(("alpha",), tags=tags)) == []
    assert _ids(shop, Query(BOTH, tags={"shop": "1", "kind": "neither"})) == []


@pytest.mark.parametrize("limit", [1, 3, 700])
def test_pages_lose_and_double_nothing(ledger: Ledger, new_job: NewJob, limit: int) -> None:
    """Many jobs of one millisecond, of two providers, and a page that ends anywhere."""
    jobs = 60 if limit == 1 else 1500
    for number in range(jobs):
        provider = BOTH[number % 3 == 0]
        ledger.accept(new_job(f"job-{number:04}", provider=provider, workflow=f"{provider}.make"))
    assert _ids(ledger, Query(BOTH, limit=limit)) == [f"job-{number:04}" for number in reversed(range(jobs))]


def test_a_page_goes_on_though_its_last_job_moved_away(
    ledger: Ledger, begun: Callable[..., Job], clock: ManualClock
) -> None:
    """The place tells, not the job: it may be in another state by then, or gone."""
    jobs = [begun(f"job-{number}") for number in range(4)]
    query = Query(("alpha",), frozenset({S.ACCEPTED}), limit=2)
    first = ledger.find(query)
    assert [job.id for job in first.jobs] == ["job-3", "job-2"]
    ledger.write([jobs[2].to(S.CANCELLED, now=clock.now())])
    assert _ids(ledger, replace(query, after=first.next)) == ["job-1", "job-0"]


def test_a_moved_job_is_found_where_it_is(ledger: Ledger, begun: Callable[..., Job], clock: ManualClock) -> None:
    """In its new state and not in the old one; a job that stays, stays."""
    job = begun("a", tags={"order": "1"})
    (sent,) = ledger.write([job.to(S.SUBMITTING, now=clock.now(), due_at=clock.now())])
    assert sent is not None
    assert _ids(ledger, Query(("alpha",), frozenset({S.ACCEPTED}))) == []
    assert ledger.find(Query(("alpha",), frozenset({S.SUBMITTING}))).jobs == (sent,)
    ledger.write([sent.stay(now=clock.now(), due_at=clock.now(), message="still there")])
    assert _ids(ledger, Query(("alpha",), frozenset({S.SUBMITTING}), {"order": "1"})) == ["a"]


@pytest.mark.parametrize("value", ["", "a=b", "<script>", "ünï", "\ud800", "x" * 5000, "{}", "a b\n"])
def test_any_tag_can_be_searched_for(ledger: Ledger, new_job: NewJob, value: str) -> None:
    """Whatever a caller writes into it, also what cannot stand in a key as it is."""
    ledger.accept(new_job("a", tags={"name": value}))
    ledger.accept(new_job("b", tags={"name": "other"}))
    assert _ids(ledger, Query(("alpha",), tags={"name": value})) == ["a"]


def test_tags_that_read_alike_are_told_apart(ledger: Ledger, new_job: NewJob) -> None:
    """An equals sign may be in the name or in the value."""
    ledger.accept(new_job("a", tags={"x": "y=z"}))
    ledger.accept(new_job("b", tags={"x=y": "z"}))
    assert _ids(ledger, Query(("alpha",), tags={"x": "y=z"})) == ["a"]


def test_a_forgotten_job_leaves_nothing_to_be_found(
    make_ledger: Callable[..., Ledger], clock: ManualClock, failed_job: NewJob, new_job: NewJob
) -> None:
    """Also when its id comes again before it was swept, with other tags and in another state."""
    ledger = make_ledger(clock, retention=0.05)
    ledger.accept(failed_job("a", tags={"shop": "1"}))
    clock.advance(1)
    _gone(ledger, "a")
    assert ledger.accept(new_job("a", tags={"shop": "2"})) is Acceptance.CREATED
    assert _ids(ledger, Query(("alpha",), tags={"shop": "1"})) == []
    assert _ids(ledger, Query(("alpha",), frozenset({S.FAILED}))) == []
    assert _ids(ledger, Query(("alpha",), frozenset({S.ACCEPTED}), {"shop": "2"})) == ["a"]


def _gone(ledger: Ledger, job_id: str) -> None:
    """Wait until Redis has let a record go: its own clock does not stand still."""
    end = time.monotonic() + 10
    while ledger.glance([job_id]) != [None]:
        assert time.monotonic() < end, "the record is still there"


def test_where_everything_stands(ledger: Ledger, new_job: NewJob, failed_job: NewJob, clock: ManualClock) -> None:
    """Counts, the oldest that is under way, the newest of all, how late, and the gate."""
    begin = clock.now()
    ledger.accept(failed_job("refused"))
    clock.advance(1)
    ledger.accept(new_job("old", due_at=begin + 3))
    clock.advance(1)
    ledger.accept(new_job("new", state=S.POLLING, due_at=begin + 100))
    clock.advance(8)
    ledger.pause("beta", 60.0)
    alpha, beta, gamma = ledger.overview(["alpha", "beta", "gamma"])
    counts = {S.FAILED: 1, S.ACCEPTED: 1, S.POLLING: 1}
    assert alpha == Overview("alpha", counts, oldest=begin + 1, latest=begin + 2, due=1, lateness=7.0)
    assert (alpha.unfinished, beta.unfinished) == (2, 0)
    assert beta == Overview("beta", gate=Gate.CLOSED, paused_until=begin + 70, failures=1)
    assert gamma == Overview("gamma")
    clock.advance(60)
    assert ledger.overview(["beta"]) == [Overview("beta", gate=Gate.HALF_OPEN, failures=1)]


def _oldest(ledger: Ledger) -> float | None:
    return ledger.overview(["alpha"])[0].oldest


def test_the_oldest_job_is_told_in_whatever_order_they_end(ledger: Ledger, new_job: NewJob, clock: ManualClock) -> None:
    """Also when a person brings one back."""
    begin = clock.now()
    for number in range(4):
        ledger.accept(new_job(f"j-{number}"))
        clock.advance(10)
    for ended, oldest in (("j-1", 0), ("j-0", 20), ("j-3", 20), ("j-2", None)):
        (job,) = ledger.begin("alpha", [(ended, None)], list(S), 30.0)
        assert ledger.write([job.to(S.EXPIRED, now=clock.now())])[0]
        assert _oldest(ledger) == (None if oldest is None else begin + oldest), ended
    ledger.write([ledger.get("j-1").reopen(S.ACCEPTED, due_at=clock.now(), now=clock.now())])
    assert _oldest(ledger) == begin + 10


def test_what_is_due_and_what_is_in_hand(ledger: Ledger, new_job: NewJob, clock: ManualClock) -> None:
    """A job in the future is not due; what was claimed is in a bundle, for as long as its lease lasts."""
    for job_id, later in (("a", 0), ("b", 2), ("c", 100)):
        ledger.accept(new_job(job_id, due_at=clock.now() + later))
    clock.advance(5)
    (alpha,) = ledger.overview(["alpha"])
    assert (alpha.due, alpha.lateness, alpha.bundles) == (2, 5.0, 0)
    ledger.claim("alpha", ClaimLimits(bundle_size=100, bundles=100, lease=30.0))
    (alpha,) = ledger.overview(["alpha"])
    assert (alpha.due, alpha.lateness, alpha.bundles) == (0, 0.0, 1)
    clock.advance(31)
    assert ledger.overview(["alpha"])[0].bundles == 0  # whoever had it is dead


@pytest.mark.parametrize("text", ["", "1", "1:", ":a", "x:a", "1:a b", "99999999999999999:a", "١:a"])
def test_a_place_that_nobody_wrote_is_refused(text: str) -> None:
    """It comes from a caller."""
    with pytest.raises(InvalidJob, match="after"):
        Place.read(text)


class TestInRedis:
    """What the sets hold."""

    def test_an_id_that_comes_again_takes_the_old_entries_away(
        self, real: Ledger, redis_client: redis.Redis, clock: ManualClock, failed_job: NewJob, new_job: NewJob
    ) -> None:
        """No set of a tag is left behind for ever, though the sweep has not seen the forgotten job."""
        real.accept(failed_job("a", tags={"order": "1"}))
        clock.advance(1)
        _gone(real, "a")
        real.accept(new_job("a", tags={"order": "2"}))
        sets = {key.removeprefix("i:{alpha}:index:") for key in redis_client.keys("i:{alpha}:index:*")}
        assert sets == {"state:accepted", "tag:order=2", "tagged"}
        assert [event.target for event in real.events("alpha", "a")] == [S.ACCEPTED]

    @pytest.fixture
    def real(self, redis_client: redis.Redis, clock: ManualClock) -> Ledger:
        return Ledger(redis_client, clock=clock, prefix="i:", retention=0.05)

    def test_the_sweep_leaves_no_key(
        self, real: Ledger, redis_client: redis.Redis, clock: ManualClock, failed_job: NewJob
    ) -> None:
        """Sets of states and tags are as empty as the ledger."""
        for number in range(5):
            real.accept(failed_job(f"job-{number}", tags={"order": str(number), "shop": "1"}))
        assert len(redis_client.keys("i:{alpha}:index:tag:*")) == 6
        clock.advance(1)
        _gone(real, "job-4")
        real.claim("alpha", ClaimLimits(100, 8, 30.0))
        assert redis_client.keys("i:{alpha}:index*") == []

    def test_jobs_of_an_older_version_are_found(
        self, real: Ledger, redis_client: redis.Redis, new_job: NewJob, clock: ManualClock
    ) -> None:
        """They are in no set of a state; whoever searches first puts them there."""
        for number in range(1200):
            real.accept(new_job(f"job-{number}", tags={"shop": str(number % 2)}))
        for key in redis_client.keys("i:{alpha}:index:*"):
            redis_client.delete(key)
        assert len(_ids(real, Query(("alpha",), frozenset({S.ACCEPTED}), limit=500))) == 1200
        assert len(_ids(real, Query(("alpha",), tags={"shop": "1"}, limit=500))) == 600
        assert json.loads(redis_client.hget("i:{alpha}:index:tagged", "job-3") or "") == ["shop=1"]

    def test_a_job_that_an_older_worker_moved_is_put_right(
        self, real: Ledger, redis_client: redis.Redis, new_job: NewJob
    ) -> None:
        """It did not know of the sets: read where it is no more, the job goes where it is."""
        real.accept(new_job("a"))
        redis_client.hset("i:{alpha}:job:a", "state", "polling")
        assert _ids(real, Query(("alpha",), frozenset({S.ACCEPTED}))) == []
        assert _ids(real, Query(("alpha",), frozenset({S.POLLING}))) == ["a"]
        redis_client.hset("i:{alpha}:job:a", "state", "fetching")
        assert real.reindex("alpha") == 1
        assert _ids(real, Query(("alpha",), frozenset({S.FETCHING}))) == ["a"]

    def test_a_search_reads_only_what_it_finds(self, real: Ledger, redis_client: redis.Redis, new_job: NewJob) -> None:
        """Whatever the number of jobs: a page of ten costs ten records, and an overview none."""
        for first in range(0, 3000, 500):
            real.accept_all([(new_job(f"job-{first + number}"), None) for number in range(500)])
        for number in range(20):
            real.accept(new_job(f"failed-{number}", state=S.FETCHING, tags={"shop": "1"}))

        def read(query: Query | None) -> int:
            """Records that are read."""
            redis_client.config_resetstat()
            found = real.find(query).jobs if query else real.overview(["alpha"])
            assert len(found) == (10 if query else 1)
            stats = redis_client.info("commandstats")
            return int(stats.get("cmdstat_hgetall", {}).get("calls", 0))

        fetching = frozenset({S.FETCHING})
        assert read(None) <= 1  # the counts
        for query in (
            Query(("alpha",), limit=10),
            Query(("alpha",), fetching, limit=10),
            Query(("alpha",), tags={"shop": "1"}, limit=10),
            Query(("alpha",), fetching, {"shop": "1"}, "failed-1", limit=10),
            Query(("alpha",), text="job-1", limit=10),
        ):
            assert read(query) <= 11, query

    def test_a_full_server_still_tells_where_everything_stands(
        self, real: Ledger, redis_client: redis.Redis, new_job: NewJob, clock: ManualClock
    ) -> None:
        """Just then somebody looks."""
        real.accept(new_job("a"))
        clock.advance(3)
        redis_client.config_set("maxmemory", "1mb")
        try:
            (alpha,) = real.overview(["alpha"])
        finally:
            redis_client.config_set("maxmemory", "0")
        assert (alpha.oldest, alpha.due) == (clock.now() - 3, 1)

    def test_a_move_without_a_new_state_touches_no_set(
        self, real: Ledger, redis_client: redis.Redis, new_job: NewJob, clock: ManualClock
    ) -> None:
        """A poll that learned nothing costs what it cost before."""
        real.accept(new_job("a", state=S.POLLING))
        (job,) = real.begin("alpha", [("a", None)], [S.POLLING], 30.0)
        with redis_client.monitor() as monitor:
            real.write([job.stay(now=clock.now(), due_at=clock.now() + 5)])
            redis_client.echo("over")
            seen = []
            for command in monitor.listen():
                if "ECHO" in command["command"].upper():
                    break
                seen.append(command["command"])
        assert any("ZADD" in line and ":due" in line for line in seen)
        done = [line for line in seen if not line.upper().startswith("EVALSHA")]  # which names all keys that it may use
        assert not any("{alpha}:index" in line for line in done)


def test_the_newest_of_all_providers(shop: Ledger) -> None:
    """Ids only, newest first; of providers that have none, nothing."""
    assert shop.newest(BOTH, 3) == ["job-9", "job-8", "job-7"]
    assert shop.newest(("beta", "gamma"), 2) == ["job-9", "job-7"]
    assert shop.newest(BOTH, 100) == [f"job-{number}" for number in reversed(range(10))]
    assert shop.newest(BOTH, 0) == shop.newest((), 5) == shop.newest(("gamma",), 5) == []


def test_many_jobs_are_read_at_once(shop: Ledger) -> None:
    """In the order that is asked for, as `get` reads each; none for an id that nobody recorded."""
    wanted = ["job-3", "nobody", "job-8", "job-3"]
    assert shop.read(wanted) == [shop.get("job-3"), None, shop.get("job-8"), shop.get("job-3")]
    assert shop.read([]) == []
    assert shop.read(["nobody"]) == [None]


def test_putting_the_index_in_order_tells_how_far_it_is(shop: Ledger) -> None:
    """All jobs in the end."""
    told: list[int] = []
    assert shop.reindex("alpha", told.append) == sum(told) == 5
    assert shop.reindex("gamma", told.append) == 0
