"""A consumer group: each event at least once, those of one job in order, whoever dies."""

from __future__ import annotations

import threading

import pytest

from jobs.errors import InvalidJob, SettleError
from jobs.event_group import EventGroup
from jobs.events import JobEvent
from tests.waiting import until
from workflows.events import follow, history

from .conftest import WAY, House

STREAM = "settle:{myipr}:events"


def group(house: House, *, lease: float = 60.0, from_now: bool = False) -> EventGroup:
    """One more reader of the same group."""
    return EventGroup(house.run.redis, STREAM, "billing", lease=lease, from_now=from_now)


def seqs(entries: object) -> list[int]:
    assert isinstance(entries, list)
    return [int(entry.fields["seq"]) for entry in entries]


def test_a_group_reads_what_is_kept_and_then_what_happens(house: House) -> None:
    """Each event once, if nobody dies; a second group has its own place."""
    house.job("a", *WAY)
    got: list[JobEvent] = []
    follow(got.append, group="billing", once=True, run=house.run)
    house.job("b", "failed", provider="lettrlabs")
    follow(got.append, group="billing", once=True, run=house.run)
    assert [(event.job_id, event.seq) for event in got] == [*[("a", n) for n in (1, 2, 3, 4)], ("b", 1), ("b", 2)]
    again: list[JobEvent] = []
    follow(again.append, group="other", providers=["lettrlabs"], once=True, run=house.run)
    assert [event.job_id for event in again] == ["b", "b"]


def test_a_group_may_begin_now(house: House) -> None:
    """What is kept is not for it; what it has not read later is."""
    house.job("a", *WAY)
    got: list[JobEvent] = []
    follow(got.append, group="billing", from_now=True, once=True, run=house.run)
    house.job("b", "failed")
    follow(got.append, group="billing", from_now=True, once=True, run=house.run)
    assert [event.job_id for event in got] == ["b", "b"]


def test_an_event_counts_when_its_handler_has_returned(house: House) -> None:
    """One that raises gets it again, and nothing that follows before."""
    house.job("a", *WAY)
    got: list[int] = []

    def handle(event: JobEvent) -> None:
        got.append(event.seq)
        if got == [1, 2]:
            raise RuntimeError("the billing's own")

    with pytest.raises(RuntimeError):
        follow(handle, group="billing", once=True, run=house.run)
    follow(handle, group="billing", once=True, run=house.run)
    assert got == [1, 2, 2, 3, 4]


def test_one_reads_and_the_others_stand_by(house: House) -> None:
    """Until it gives the lease back; then they begin with what it had not finished."""
    house.job("a", *WAY)
    one, two = group(house), group(house)
    first = one.read(2)
    assert seqs(first) == [1, 2]
    assert two.read(10) is None
    assert first is not None
    assert one.done(first[0].place)
    assert not two.done()
    one.leave()
    rest = two.read(10)
    assert seqs(rest) == [2]
    assert rest is not None
    assert two.done(rest[0].place)
    assert seqs(two.read(10)) == [3, 4]


def test_who_was_held_up_for_longer_than_its_lease_is_given_nothing(house: House) -> None:
    """The script that reads looks at the lease; so no event goes past the one that another has in hand."""
    house.job("a", *WAY)
    slow, quick = group(house, lease=0.05), group(house)
    held = slow.read(1)
    assert held is not None
    taken = until(lambda: quick.read(1), "the lease to be over")
    assert seqs(taken) == [1]
    assert slow.read(10) is None
    assert not slow.done(held[0].place), "it must not go on"
    assert seqs(quick.read(10)) == [2, 3, 4], "the first was done by the other one"


def test_what_a_consumer_of_another_kind_has_left_is_taken_over(house: House) -> None:
    """Somebody who read the group by hand and died; XAUTOCLAIM."""
    house.job("a", *WAY)
    redis = house.run.redis
    redis.xgroup_create(STREAM, "billing", "0")
    redis.xreadgroup("billing", "somebody", {STREAM: ">"}, count=3)
    got: list[int] = []
    follow(lambda event: got.append(event.seq), group="billing", once=True, run=house.run)
    assert got == [1, 2, 3, 4]


def test_an_event_that_was_read_and_is_no_longer_kept_is_said(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The reader was away for longer than the stream keeps; it goes on."""
    house.job("a", *WAY)
    reader = group(house)
    reader.read(2)
    reader.leave()
    house.run.redis.xtrim(STREAM, maxlen=2, approximate=False)
    got: list[int] = []
    with caplog.at_level("ERROR"):
        follow(lambda event: got.append(event.seq), group="billing", once=True, run=house.run)
    assert got == [3, 4]
    said = [record for record in caplog.records if record.message == "event_not_kept"]
    pending = house.run.redis.xpending(STREAM, "billing")
    assert isinstance(pending, dict)
    assert pending["pending"] == 0
    assert len(said) == 2


def test_two_readers_at_once_keep_the_order_of_each_job(house: House) -> None:
    """While jobs move and one reader after the other gives up in the middle."""
    told: list[tuple[str, int]] = []
    guard, stop = threading.Lock(), threading.Event()

    def handle(event: JobEvent) -> None:
        with guard:
            told.append((event.job_id, event.seq))
            if len(told) % 7 == 0:
                raise RuntimeError("gives up")

    def read() -> None:
        run = house.made()
        while not stop.is_set():
            try:
                follow(handle, group="billing", once=True, run=run, lease=1.0)
            except RuntimeError:
                continue
        run.redis.close()

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    wanted = {(f"j-{number}", seq) for number in range(15) for seq in (1, 2, 3, 4)}
    for number in range(15):
        house.job(f"j-{number}", *WAY, provider="myipr" if number % 2 else "lettrlabs")
    try:
        until(lambda: set(told) == wanted, "every event")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    for number in range(15):
        own = [seq for job_id, seq in told if job_id == f"j-{number}"]
        assert own == sorted(own), own


def test_an_event_of_a_newer_version_is_left_for_it(house: House) -> None:
    """Not passed over, not acknowledged."""
    strange = {"job": "x", "seq": "1", "from": "", "to": "failed", "at": "1", "data": '{"v": 2, "workflow": "w"}'}
    house.run.redis.xadd(STREAM, strange)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(SettleError, match="version 2"):
            follow(print, group="billing", once=True, run=house.run)


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 65, "a:b"])
def test_the_name_of_a_group_is_looked_at(house: House, name: str) -> None:
    with pytest.raises(InvalidJob, match="group"):
        follow(print, group=name, once=True, run=house.run)
    with pytest.raises(InvalidJob, match="'nobody' is not one of"):
        follow(print, group="a", providers=["nobody"], once=True, run=house.run)


def test_history_is_one_row_of_all_providers(house: House) -> None:
    """By time, more than one round trip of each."""
    for number in range(60):
        house.job(f"j-{number}", "failed", provider=("myipr", "lettrlabs", "commonsdb")[number % 3])
    events = list(history(house.run))
    assert len(events) == 120
    assert [event.at for event in events] == sorted(event.at for event in events)
