"""A worker dies around a POST: the provider is asked, never told twice; what cannot be told waits for a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.waiting import until

from .conftest import LEASE, Sent, Ward, alive

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]


def _posts(house: Ward, sent: Sent) -> int:
    """How many submissions of a provider arrived, with or without a reference."""
    operation = {"lettrlabs": "create_conversions", "unique_tokens": "post_tokens", "commonsdb": "declare"}
    return sum(house.sim.account()[sent.provider].requests.get(operation[sent.provider], {}).values())


def _send(house: Ward, kind: str) -> Sent:
    if kind == "convert without orderId":
        return house.convert("doubtful", order=False)
    return getattr(house, kind)("doubtful")  # type: ignore[no-any-return]


def _die(house: Ward, tmp_path: Path, kind: str, point: str) -> Sent:
    """Send one job to two workers of which the first to reach the point dies."""
    token = tmp_path / "token"
    token.touch()
    workers = house.pair("-P", "threads", "-c", "2", SETTLE_FAIL_POINT=f"{point}:{token}")
    sent = _send(house, kind)
    until(lambda: not token.exists() and len(alive(workers)) == 1, f"a death at {point}", 20)
    return sent


def _stays_in_doubt(house: Ward, sent: Sent) -> None:
    def asked_twice() -> bool:
        job = house.job(sent)
        return job is not None and job.attempts >= 2

    until(asked_twice, "the provider asked twice", 30)
    job = house.job(sent)
    assert job is not None
    assert job.state.value == "in_doubt"
    assert job.failure is not None
    assert job.failure.remedy


@pytest.mark.parametrize("kind", ["produce", "declare", "convert", "convert without orderId"])
def test_a_post_that_arrived_is_found_again(house: Ward, tmp_path: Path, kind: str) -> None:
    """The worker dies with the answer in its hand: the job goes on from what the provider says, after one POST."""
    sent = _die(house, tmp_path, kind, "submit.after_post")
    until(lambda: house.finished([sent]), "the end", 30)
    job = house.job(sent)
    assert job is not None
    assert job.state.value == "succeeded", job.failure
    assert _posts(house, sent) == 1
    house.assert_in_time([sent], f"submit.after_post, {kind}")


@pytest.mark.parametrize("kind", ["produce", "declare", "convert without orderId"])
def test_what_cannot_be_told_waits_for_a_person(house: Ward, tmp_path: Path, kind: str) -> None:
    """The worker dies before the POST: the provider's silence proves nothing, so the job waits, and nothing is sent."""
    sent = _die(house, tmp_path, kind, "submit.after_intent")
    _stays_in_doubt(house, sent)
    assert _posts(house, sent) == 0
    house.assert_in_time([sent], f"submit.after_intent, {kind}", LEASE * 2 + 5)


def test_with_an_order_id_it_may_be_sent_again(house: Ward, tmp_path: Path) -> None:
    """LettrLabs keeps records with an `orderId` apart: not in the list, so it is sent, once."""
    sent = _die(house, tmp_path, "convert", "submit.after_intent")
    house.assert_ended_well_once([sent])
    house.assert_in_time([sent], "submit.after_intent, convert")


def _two_lost_posts(house: Ward, **settings: str) -> list[Sent]:
    """One is processed and the other never arrives; both answers are lost, and they fit the same time."""
    house.sim.fault("lettrlabs", "reset", "create_conversions", "never-arrived", times=1)
    house.sim.fault("lettrlabs", "reset_after", "create_conversions", "arrived", times=1)
    jobs = [house.convert("never-arrived", duration=60), house.convert("arrived", duration=60)]
    house.worker("-P", "threads", "-c", "2", **settings)
    return jobs


def test_an_upload_in_the_list_is_nobody_elses(house: Ward) -> None:
    """This provider processes a repeat again, and the setting says so: both wait for a person, nothing is repeated."""
    jobs = _two_lost_posts(house, SETTLE_LETTRLABS__ORDER_ID_PROTECTS="false")

    def asked() -> bool:
        found = [house.job(sent) for sent in jobs]
        return all(job and (job.finished or job.attempts >= 2) for job in found)

    until(asked, "every job over, or in doubt after two questions", 40)
    for sent in jobs:
        accepted = house.submits(sent).accepted
        assert accepted <= 1, f"{sent.id} was processed {accepted} times"
        assert house.state(sent) != "succeeded" or accepted == 1, f"{sent.id} succeeded, but never arrived"
        assert house.submits(sent).submits == 1, f"{sent.id} was sent again"


def test_lost_posts_with_order_ids_are_sent_again_and_found(house: Ward) -> None:
    """This provider knows a repeat by its `orderId`: both end well, processed once, each with its own upload."""
    house.sim.set_switches("lettrlabs", repeated_order_id="dropped")
    jobs = _two_lost_posts(house)
    until(lambda: house.finished(jobs), "the end of both", 60)
    found = [house.job(sent) for sent in jobs]
    assert [job.state.value for job in found if job] == ["succeeded", "succeeded"]
    assert len({(job.receipt or {})["remote_id"] for job in found if job}) == 2
    assert [house.submits(sent).accepted for sent in jobs] == [1, 1]
