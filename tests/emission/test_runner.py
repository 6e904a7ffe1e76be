"""Webhooks from the ledger to an endpoint: each event once it is taken, in order per job, retried for a day."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from redis.exceptions import OutOfMemoryError
from standardwebhooks import Webhook, WebhookVerificationError

from jobs.clock import ManualClock
from jobs.events import JobEvent
from jobs.outbox import Outbox
from tests.waiting import until
from workflows.deliveries import outbox
from workflows.deliveries.forward import forward
from workflows.deliveries.schedule import waits
from workflows.events import follow, streams

from .conftest import OTHER, SECRET, WAY, House, closed, drained, together, webhook
from .receiver import Endpoint, listening

Deliver = Callable[..., None]


class RealClock(ManualClock):
    """The machine's own, for what is compared with the places of a stream."""

    def now(self) -> float:
        return time.time()


EVERY = ["accepted", *WAY]


def box(house: House, name: str = "shop") -> Outbox:
    return outbox(house.run, name)


def test_the_end_of_each_job_is_posted_and_signed(house: House, endpoint: Endpoint, deliver: Deliver) -> None:
    """As the receiver's own library checks it; before the endpoint was set up nothing counts."""
    house.targets(webhooks={"shop": webhook(endpoint)})
    house.job("before", *WAY)
    deliver()
    house.job("a.1", *WAY, message="done")
    house.job("b", "failed", provider="lettrlabs")
    deliver()
    first, second = sorted(endpoint.got, key=lambda each: each.id)  # jobs do not wait for one another
    assert [first.id, second.id] == ["a%2E1:4", "b:2"]
    assert first.headers["webhook-timestamp"] == str(int(house.clock.now()))
    told = Webhook(SECRET)
    told._Webhook__verify_timestamp = lambda text: house_time(text)  # type: ignore[attr-defined]
    body = told.verify(first.body, dict(first.headers))
    assert (body["type"], body["data"]["job_id"], body["data"]["data"]["outcome"]["state"]) == (
        "job.succeeded", "a.1", "succeeded"
    )  # fmt: skip
    with pytest.raises(WebhookVerificationError):
        told.verify(first.body.replace("a.1", "a.2"), dict(first.headers))
    assert box(house).standing().delivered == 2
    assert box(house).standing().waiting == 0


def house_time(text: str) -> object:
    """The clock of these tests stands in another year."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(float(text), tz=UTC)


def test_while_a_secret_is_replaced_both_sign(house: House, endpoint: Endpoint, deliver: Deliver) -> None:
    """Whoever knows one of the two accepts it."""
    house.targets(webhooks={"shop": webhook(endpoint, secrets=f"{OTHER} {SECRET}")})
    deliver()
    house.job("a", *WAY)
    deliver()
    (got,) = endpoint.got
    assert len(got.headers["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, OTHER):
        told = Webhook(secret)
        told._Webhook__verify_timestamp = lambda text: house_time(text)  # type: ignore[attr-defined]
        assert told.verify(got.body, dict(got.headers))


def test_a_target_is_told_what_it_asked_for(house: House, deliver: Deliver) -> None:
    """By provider and by state; news without a change of state are for nobody."""
    with listening() as one, listening() as two:
        house.targets(
            webhooks={
                "shop": webhook(one, states=("polling", "failed")),
                "bills": webhook(two, providers=("lettrlabs",)),
            }
        )
        deliver("shop")
        deliver("bills")
        house.job("a", "submitting", "polling")
        job = house.run.ledger.get("a")
        house.run.ledger.write([job.stay(due_at=house.clock.now() + 9, now=house.clock.now(), progress=50)])
        house.moved("a", "failed")
        house.job("b", *WAY, provider="lettrlabs")
        deliver("shop")
        deliver("bills")
        told = [(each.data["job_id"], each.data["target"]) for each in one.got]
        assert sorted(told) == [("a", "failed"), ("a", "polling"), ("b", "polling")]
        assert one.story()["a"] == [3, 5]
        assert [each.data["job_id"] for each in two.got] == ["b"]


def test_a_failing_job_holds_back_its_own_events_only(house: House, endpoint: Endpoint, deliver: Deliver) -> None:
    """The others go on; what waited comes in order, and each only after the one before was taken."""
    house.targets(webhooks={"shop": webhook(endpoint, states=EVERY)})
    endpoint.answer = lambda got: (500 if got.data["job_id"] == "bad" else 200, {}, 0.0)
    deliver()
    house.job("bad", *WAY)
    house.job("good", *WAY)
    deliver()
    assert endpoint.story() == {"bad": [1], "good": [1, 2, 3, 4]}
    endpoint.says(200)
    deliver()
    assert endpoint.story()["bad"] == [1], "it is tried again before its time"
    house.clock.advance(6)
    deliver()
    assert endpoint.story()["bad"] == [1, 2, 3, 4]
    assert len([each for each in endpoint.got if each.id == "bad:1"]) == 2
    assert len({each.body for each in endpoint.got if each.id == "bad:1"}) == 1


def test_it_is_tried_for_a_day_then_given_up_and_replayed(house: House, endpoint: Endpoint, deliver: Deliver) -> None:
    """With growing waits; the next event of the job goes on; a person brings the first one back."""
    house.targets(webhooks={"shop": webhook(endpoint, states=EVERY)})
    endpoint.answer = lambda got: (500 if got.data["seq"] == 1 else 200, {}, 0.0)
    deliver()
    house.job("a", "submitting")
    deliver()
    began, tried = house.clock.now(), [0.0]
    while found := house.run.redis.zrange("settle:{to:shop}:due", 0, 0, withscores=True):
        house.clock.advance(found[0][1] / 1000 - house.clock.now() - 0.5)  # type: ignore[index]
        deliver()
        assert len(endpoint.got) == len(tried), "it came before its time"
        house.clock.advance(0.5)
        deliver()
        tried.append(house.clock.now() - began)
        assert len(tried) < 20
    gaps = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert len(gaps) == len(waits(5.0, 4 * 3600.0, 86400.0)) == 13
    assert 86400 <= tried[-1] < 1.1 * 86400
    assert 5 <= gaps[0] < 6
    assert all(later > earlier * 0.9 for earlier, later in itertools.pairwise(gaps[:-1]))
    assert endpoint.story() == {"a": [1, 2]}
    (letter,) = box(house).letters()
    assert (letter.event.id, letter.tries, letter.reason) == ("a:1", 14, "HTTP 500")
    endpoint.says(200)
    assert box(house).replay([letter]) == 1
    assert box(house).replay([letter]) == 0
    deliver()
    assert [each.data["seq"] for each in endpoint.got[-2:]] == [2, 1]
    assert (box(house).standing().dead, box(house).standing().waiting, box(house).letters()) == (0, 0, [])


def test_dead_letters_are_forgotten_with_the_jobs(house: House, endpoint: Endpoint, deliver: Deliver) -> None:
    """After the retention; nothing of them stays."""
    house.targets(webhooks={"shop": webhook(endpoint, retry_for=0)}, retention=1000)
    endpoint.says(404)
    deliver()
    house.job("a", "failed")
    deliver()
    house.clock.advance(2000)
    house.job("b", "failed")
    deliver()
    assert [letter.event.job_id for letter in box(house).letters()] == ["b"]
    assert house.run.redis.hlen("settle:{to:shop}:letters") == house.run.redis.hlen("settle:{to:shop}:reasons") == 1


def test_gone_means_that_nothing_is_sent_until_somebody_says_so(
    house: House, endpoint: Endpoint, deliver: Deliver
) -> None:
    """HTTP 410; nothing is lost meanwhile."""
    house.targets(webhooks={"shop": webhook(endpoint)})
    endpoint.says(410)
    deliver()
    house.job("a", "failed")
    deliver()
    house.job("b", "failed")
    house.clock.advance(100_000)
    deliver()
    assert len(endpoint.got) == 1
    assert box(house).standing().disabled_at > 0
    endpoint.says(200)
    assert box(house).enable()
    assert not box(house).enable()
    deliver()
    assert endpoint.story() == {"a": [2], "b": [2]}


@pytest.mark.parametrize("status", [429, 503])
def test_who_is_busy_is_left_alone(house: House, endpoint: Endpoint, deliver: Deliver, status: int) -> None:
    """For as long as it asks, with all jobs."""
    house.targets(webhooks={"shop": webhook(endpoint)})
    endpoint.says(status, {"Retry-After": "300"})
    deliver()
    house.job("a", "failed")
    deliver()
    house.job("b", "failed")
    house.clock.advance(290)
    deliver()
    assert endpoint.story() == {"a": [2]}
    endpoint.says(200)
    house.clock.advance(20)
    deliver()
    assert endpoint.story() == {"a": [2], "b": [2]}


def test_retry_after_of_another_answer_pauses_nobody(house: House, endpoint: Endpoint, deliver: Deliver) -> None:
    """Only 429 and 503 ask for it."""
    house.targets(webhooks={"shop": webhook(endpoint)})
    endpoint.says(500, {"Retry-After": "300"})
    deliver()
    house.job("a", "failed")
    deliver()
    house.job("b", "failed")
    deliver()
    assert endpoint.story() == {"a": [2], "b": [2]}


def test_a_slow_endpoint_does_not_slow_another(house: House) -> None:
    """Each has its own work; the slow one fails by its time-out, and is tried later."""
    with listening() as slow, listening() as quick:
        house.targets(webhooks={"slow": webhook(slow, timeout=0.5), "quick": webhook(quick)})
        slow.says(200, seconds=2)

        async def both() -> float:
            one, two = house.serving("slow"), house.serving("quick")
            await drained(one)
            await drained(two)
            house.job("a", *WAY)
            await one.look()
            await one.look()
            began = time.monotonic()
            await drained(two)
            took = time.monotonic() - began
            await one.landed()
            await closed(one, two)
            return took

        assert together(both()) < 0.4
        assert quick.story() == {"a": [4]}
        assert box(house, "slow").standing().failed == 1


def test_two_processes_deliver_each_event_once(house: House, endpoint: Endpoint) -> None:
    """They share streams and outbox; in order per job, whoever sends."""
    house.targets(webhooks={"shop": webhook(endpoint, states=EVERY, in_flight=3)})
    settings = {"webhooks": {"shop": webhook(endpoint, states=EVERY, in_flight=3)}}

    async def race() -> None:
        servings = [house.serving("shop", house.made(**settings)) for _ in range(2)]
        await asyncio.gather(*map(drained, servings))
        for number in range(20):
            house.job(f"j-{number}", *WAY)
        for _ in range(60):
            await asyncio.gather(*(serving.look() for serving in servings))
        await asyncio.gather(*(serving.landed() for serving in servings))
        await asyncio.gather(*map(drained, servings))
        await closed(*servings)
        for serving in servings:
            serving._run.redis.close()

    together(race())
    assert endpoint.story() == {f"j-{number}": [1, 2, 3, 4] for number in range(20)}
    assert len(endpoint.got) == 80


def test_what_a_dead_process_had_in_hand_is_sent_again(house: House, endpoint: Endpoint, deliver: Deliver) -> None:
    """After its lease; the answer that comes late counts for nothing."""
    house.targets(webhooks={"shop": webhook(endpoint, states=EVERY)})
    deliver()
    house.job("a", *WAY)
    forward(house.run, house.run.settings.webhooks["shop"], box(house))
    (taken,) = box(house).take(10, 20.0)
    deliver()
    assert endpoint.got == []
    house.clock.advance(21)
    (again,) = box(house).take(10, 20.0)
    assert again.event == taken.event
    assert not box(house).sent(taken)
    assert not box(house).later(taken, 5)
    assert not box(house).dead(taken, "too late")
    house.clock.advance(21)
    deliver()
    assert endpoint.story() == {"a": [1, 2, 3, 4]}


def test_a_full_redis_is_relieved_by_what_is_delivered(house: House, endpoint: Endpoint) -> None:
    """It takes nothing more, but what is in the outbox goes, once; a group goes on reading."""
    house.targets(webhooks={"shop": webhook(endpoint, states=EVERY)})

    async def full() -> None:
        serving = house.serving("shop")
        await drained(serving)
        house.job("a", *WAY)
        forward(house.run, house.run.settings.webhooks["shop"], box(house))
        house.job("b", *WAY)
        house.run.redis.config_set("maxmemory", "1mb")
        try:
            with pytest.raises(OutOfMemoryError):
                house.run.redis.set("a", "b")
            for _ in range(8):
                with suppress(OutOfMemoryError):
                    await serving.look()
                await serving.landed()
            assert endpoint.story() == {"a": [1, 2, 3, 4]}
            follow(lambda _: None, group="billing", once=True, run=house.run)
        finally:
            house.run.redis.config_set("maxmemory", "0")
        await drained(serving)
        await closed(serving)

    together(full())
    assert endpoint.story() == {"a": [1, 2, 3, 4], "b": [1, 2, 3, 4]}
    assert len(endpoint.got) == 8


def test_events_are_brought_once_however_often_they_are_read(house: House, endpoint: Endpoint) -> None:
    """What another process has brought in between is not brought again, and the place never goes back."""
    house.targets(webhooks={"shop": webhook(endpoint, states=EVERY)})
    mine = box(house)
    mine.begin(streams(house.run))

    def kept() -> list[tuple[str, JobEvent]]:
        entries = house.run.redis.xrange("settle:{myipr}:events")
        assert isinstance(entries, list)
        return [(place, JobEvent.of_entry("myipr", fields)) for place, fields in entries]  # type: ignore[arg-type]

    house.job("a", *WAY)
    assert forward(house.run, house.run.settings.webhooks["shop"], mine) == 4
    read = kept()
    for again in (read, read[:2]):
        assert mine.add("myipr", again[-1][0], again) == 0
        assert mine.places()["myipr"] == read[-1][0]
    house.job("b", "failed")
    assert mine.add("myipr", kept()[-1][0], kept()) == 2
    assert mine.standing().waiting == 6
    assert [delivery.event.job_id for delivery in mine.take(10, 30.0)] == ["a", "b"]


def test_ends_that_the_stream_no_longer_keeps_are_told_from_the_records(
    house: House, endpoint: Endpoint, deliver: Deliver, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody delivered for long: what is trimmed away is found by when the jobs ended."""
    house.clock = RealClock()
    house.targets(webhooks={"shop": webhook(endpoint)})
    house.job("first", *WAY)
    deliver()
    house.job("told", *WAY)
    deliver()
    for number in range(5):
        house.job(f"lost-{number}", *WAY, result={"n": number})
    house.job("kept", *WAY)
    house.run.redis.xtrim("settle:{myipr}:events", maxlen=1, approximate=False)
    with caplog.at_level("WARNING"):
        deliver()
    got = {each.id: each for each in endpoint.got}
    assert len(endpoint.got) <= len(got) + 2  # at the edge of what was read somebody may be told twice
    assert set(got) - {"first:4"} == {"told:4", *[f"lost-{number}:4" for number in range(5)], "kept:4"}
    assert got["lost-3:4"].data["data"]["outcome"]["result"] == {"n": 3}
    assert ("source" in got["kept:4"].data, "source" in got["lost-3:4"].data) == (True, False)
    assert any(record.message == "events_not_kept" for record in caplog.records)


def test_a_full_outbox_leaves_events_in_the_stream(house: House, endpoint: Endpoint) -> None:
    """An endpoint that is away for long does not fill Redis."""
    house.targets(webhooks={"shop": webhook(endpoint)})
    target, mine = house.run.settings.webhooks["shop"], box(house)
    together(drained(house.serving("shop")))
    for number in range(3):
        house.job(f"j-{number}", "failed")
        forward(house.run, target, mine, most=2)
    assert mine.standing().waiting == 2
    mine.sent(mine.take(1, 30.0)[0])
    forward(house.run, target, mine, most=2)
    assert mine.standing().waiting == 2


def test_an_event_of_a_newer_version_waits_for_it(
    house: House, endpoint: Endpoint, deliver: Deliver, caplog: pytest.LogCaptureFixture
) -> None:
    """With all that follows of its provider; other providers go on."""
    house.targets(webhooks={"shop": webhook(endpoint)})
    deliver()
    strange = {"job": "x", "seq": "1", "from": "", "to": "failed", "at": "1", "data": '{"v": 2, "workflow": "w"}'}
    house.run.redis.xadd("settle:{myipr}:events", strange)  # type: ignore[arg-type]
    house.job("after", "failed")
    house.job("other", "failed", provider="lettrlabs")
    with caplog.at_level("ERROR"):
        deliver()
        deliver()
    assert endpoint.story() == {"other": [2]}
    assert [record.message for record in caplog.records] == ["event_not_understood"]


def test_a_redis_that_comes_back_empty_is_begun_anew(house: House, endpoint: Endpoint) -> None:
    """The process goes on by itself, with what happens from then on."""
    house.targets(webhooks={"shop": webhook(endpoint)})

    def begun() -> bool:  # at every stream: one alone is what a look wrote that was under way when Redis was emptied
        return set(box(house).places()) >= set(house.run.settings.providers())

    async def outage() -> None:
        serving, stop = house.serving("shop"), asyncio.Event()
        work = asyncio.create_task(serving.serve(stop))
        await _true(begun)
        house.run.redis.flushall()
        await _true(begun)
        house.job("a", "failed")
        await _true(lambda: endpoint.story() == {"a": [2]})
        stop.set()
        await work
        await closed(serving)

    together(outage())


async def _true(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(until, condition, "it to be so")


def test_no_log_line_and_no_letter_quotes_the_address_or_a_secret(
    house: House, endpoint: Endpoint, deliver: Deliver, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor the request of the job, which no event has."""
    away = Endpoint("http://127.0.0.1:9/in?token=of-the-address")
    house.targets(webhooks={"shop": webhook(endpoint, retry_for=0), "away": webhook(away, retry_for=0)})
    endpoint.says(500)
    with caplog.at_level("DEBUG"):
        for name in ("shop", "away"):
            deliver(name)
        house.job("a", "failed", request=None)
        for name in ("shop", "away"):
            deliver(name)
    told = [record.getMessage() + str(getattr(record, "fields", "")) for record in caplog.records]
    letters = [str(letter) for name in ("shop", "away") for letter in box(house, name).letters()]
    assert len(letters) == 2
    assert any("delivery_given_up" in line for line in told)
    for text in (*told, *letters, repr(house.run.settings)):
        assert "of-the-address" not in text
        assert SECRET not in text
