"""Unique Tokens: the next part of a line, from its snapshot."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import InvalidJob
from jobs.record import Failure
from jobs.redis_notes import NOTE_OUTLIVES
from jobs.states import JobState
from providers.errors import NotSent, ProviderError, Refused
from tests.ledgers import expire

from .bench import client, go
from .server import Seen, http, scripted
from .token_lines import CONTINUE, OWN, SEED, House, known_answer, lines_of, paid


@pytest.mark.parametrize("new_id", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("dismantle", [False, True])
@pytest.mark.parametrize("new_session", [False, True])
def test_three_parts_of_one_line_share_no_token(
    house: House, new_id: bool, frozen: bool, dismantle: bool, new_session: bool
) -> None:
    """From stored snapshots alone, in this session or another, whatever became of the line before."""
    house.bench.sim.set_switches("unique_tokens", second_part_new_id=new_id, frozen_parts=frozen)
    own = {"alphabet": "mine", "chars": OWN, "digits": 9}

    async def check() -> None:
        await house.first("first", dismantle=dismantle, **own)
        for former, job_id in (("first", "second"), ("second", "third")):
            if new_session:
                held = house.bench.notes.recall("unique_tokens", "session")
                house.bench.notes.forget("unique_tokens", "session", held or "")
            async with house.next(former, job_id, snapshot=True) as trip:
                receipt = await trip.submit()
                assert (await trip.locate()).receipt == receipt
                job = await house.finish(trip, job_id)
                assert (job.result or {})["former"] == former
                if dismantle:
                    assert await trip.operation.tidy(job) == {"dismantled": True}
        parts = [lines_of(house.content[f"{name}/tokens.txt"]) for name in ("first", "second", "third")]
        assert [len(part) for part in parts] == [2000, 3000, 3000]
        assert len({*parts[0], *parts[1], *parts[2]}) == 8000
        left = [int((house.bench.notes.get(name).result or {})["available"]) for name in ("first", "second", "third")]
        assert left == [len(OWN) ** 9 - 2000, len(OWN) ** 9 - 5000, len(OWN) ** 9 - 8000]

    go(check())


def test_the_next_part_is_sent_as_the_page_shows(house: House) -> None:
    """Two parts of a multipart body, the Session-Key and no JSON media type; the snapshot byte by byte."""

    async def check() -> None:
        former = await house.first()
        seen: list[Seen] = []

        def answer(each: Seen) -> bytes:
            seen.append(each)
            return known_answer(each) or http(201, {"data": {"id": "L-2"}})

        house.bench.notes.forget("unique_tokens", "session", house.bench.notes.recall("unique_tokens", "session") or "")
        async with scripted(answer) as server, client("unique_tokens", server.url, notes=house.bench.notes) as provider:
            provider.files = house.storage.chunks
            operation = provider.operation("continue")
            body = {"former": "first", "size": 3000, "payment": paid("x"), "seed": SEED, "analysis": "metrics"}
            request = operation.request.model_validate(body)
            await operation.submit(request, operation.intent(request, "second"))
        sent = seen[-1]
        assert sent.path == f"/api/tokens/{(former.receipt or {})['remote_id']}?analysis=metrics"
        assert sent.headers["content-type"].startswith("multipart/form-data; boundary=")
        assert sent.headers["content-length"] == str(len(sent.body))
        assert "vnd.api" not in sent.headers["accept"]
        info = json.loads(sent.body.partition(b"\r\n\r\n")[2].partition(b"\r\n--")[0])
        assert info["data"]["attributes"] == {"alphabet": "UPPER_HEX", "digits": "12", "size": "3000"}
        assert info["data"]["relationships"]["payment"]["data"] == {"type": "transaction", **paid("x")}
        assert info["meta"] == {"seed": SEED}
        assert house.content["first/snapshot.blob"] in sent.body
        for name in (b"info.json", b"snapshot.blob"):
            assert b'name="%b"; filename="%b"' % (name, name) in sent.body

    go(check())


def refuses(house: House, former: str, said: str, job_id: str = "second", **changes: Any) -> None:
    """The next part cannot be: it ends before anything is sent, and says why."""

    async def check() -> None:
        with pytest.raises(InvalidJob, match=said):
            async with house.next(former, job_id, **changes):
                raise AssertionError("an intent was made")

    go(check())


def test_what_cannot_be_continued_is_said(house: House) -> None:
    """Each with its reason, before anything is sent or paid."""
    first = go(house.first())
    refuses(house, "no-such-job", "no such job")
    for state in (JobState.POLLING, JobState.FAILED, JobState.CANCELLED):
        due = None if state is not JobState.POLLING else 1e12
        house.record(first, state.value, state=state, due_at=due)
        refuses(house, state.value, f"not succeeded \\({state}\\)")
    house.bench.notes.accept(replace(first, id="certificate", provider="myipr", workflow="myipr.certify"))
    refuses(house, "certificate", "not a job of unique_tokens")
    house.record(first, "without", artifacts=first.artifacts[:1])
    refuses(house, "without", "stored no snapshot")
    refuses(house, "first", "87381 tokens", size=87_382)
    assert house.bench.count(CONTINUE) == {}
    assert house.bench.notes.recall("unique_tokens", "continued:first") is None

    async def anyway() -> None:
        async with house.next("first", size=87_382, settings={"oversize": "send"}) as trip:
            await trip.submit()
            assert (await trip.watch())[-1].result["scaled_down"] is True

    go(anyway())


def test_a_snapshot_is_restored_by_one_job_only(house: House) -> None:
    """Restored twice, it would give the same tokens twice; `again` says that this is wanted."""
    first = go(house.first())
    assert first.result is not None

    async def check() -> None:
        async with house.next("first", "second") as trip:
            assert trip.operation.intent(trip.request, "second") == trip.intent  # asked again after trouble
        house.record(first, "second", state=JobState.SUBMITTING, receipt=None, due_at=1e12)

    go(check())
    refuses(house, "first", "second continues this job already", job_id="third")

    async def again() -> None:
        async with house.next("first", "third", again=True) as trip:
            await trip.submit()

    go(again())


@pytest.mark.parametrize(
    ("state", "failure", "changes", "free"),
    [
        (JobState.FAILED, "refused", {"receipt": None}, True),
        (JobState.FAILED, "invalid", {"receipt": None}, True),
        (JobState.FAILED, "given_up", {"receipt": None}, False),
        (JobState.FAILED, "refused", {}, False),  # its files were
        (JobState.FAILED, "provider_failed", {}, False),
        (JobState.EXPIRED, "expired", {"receipt": None, "intent": None}, True),
        (JobState.EXPIRED, "expired", {"receipt": None}, False),
        (JobState.CANCELLED, "cancelled", {"receipt": None, "intent": None}, True),
        (JobState.CANCELLED, "cancelled", {}, False),
        (JobState.SUCCEEDED, None, {}, False),
    ],
    ids=str,
)
def test_a_job_that_was_never_ordered_leaves_the_snapshot_free(
    house: House, state: JobState, failure: str | None, changes: dict[str, Any], free: bool
) -> None:
    """Only what certainly never arrived does."""
    first = go(house.first())
    house.bench.notes.remember("unique_tokens", "continued:first", "second")
    why = Failure(failure, "…") if failure else None
    house.record(first, "second", **{"state": state, "failure": why, **changes})
    if not free:
        refuses(house, "first", "continues this job already", job_id="third")
        return

    async def check() -> None:
        async with house.next("first", "third") as trip:
            await trip.submit()

    go(check())
    assert house.bench.notes.recall("unique_tokens", "continued:first") == "third"


def test_a_reservation_outlives_the_snapshot_and_is_forgotten(house: House) -> None:
    """While the former job can be read no other job continues it; afterwards none can, and the note goes."""
    first = go(house.first())
    notes, clock = house.bench.notes, house.bench.clock

    async def check() -> None:
        async with house.next("first", "second"):
            pass

    go(check())
    clock.advance(7 * 86400.0 - 1)
    assert notes.get(first.id).finished
    refuses(house, "first", "continues this job already", job_id="third")
    clock.advance(2)
    expire(notes, first)
    refuses(house, "first", "past its retention", job_id="third")
    assert notes.recall("unique_tokens", "continued:first") == "second"
    clock.advance(NOTE_OUTLIVES)
    notes.remember("unique_tokens", "continued:another", "x", of_job="another")
    assert notes.recall("unique_tokens", "continued:first") is None


def test_a_stored_snapshot_that_changed_is_never_sent(house: House) -> None:
    """Nor one that cannot be read: that is waited for."""
    first = go(house.first())
    path = Path((first.artifacts[1].uri or "").removeprefix("file://"))
    whole = path.read_bytes()

    write, remove = path.write_bytes, path.unlink

    async def check() -> None:
        async with house.next("first") as trip:
            write(whole[:-1] + b"x")
            with pytest.raises(NotSent, match="changed"):
                await trip.submit()
            remove()
            with pytest.raises(NotSent, match="No such file"):
                await trip.submit()
            assert trip.operation.intent(trip.request, "second")["blob"] == first.artifacts[1].uri
            write(whole + b"x")
            with pytest.raises(InvalidJob, match="changed"):
                trip.operation.intent(trip.request, "second")
            assert house.bench.count(CONTINUE) == {}
            write(whole)
            await trip.submit()

    go(check())


@pytest.mark.parametrize("kind", ["reset_after", "500", "cut_body", "rubbish"])
def test_a_lost_answer_to_the_next_part_is_found_by_its_payment(house: House, kind: Any) -> None:
    """Under the id of the line before, or one of its own; never by the payment of the part before."""
    go(house.first(dismantle=False))

    async def check() -> None:
        async with house.next("first") as trip:
            assert (await trip.locate()).receipt is None
            house.bench.sim.fault("unique_tokens", kind, operation="post_next_part", times=1)
            with pytest.raises(ProviderError) as caught:
                await trip.submit()
            assert caught.value.may_have_arrived  # type: ignore[attr-defined]
            arrived = house.bench.accepted(CONTINUE) > 1
            assert ((await trip.locate()).receipt is not None) is arrived

    go(check())


@pytest.mark.parametrize("error_http", ["true", "as_success"])
def test_a_snapshot_that_the_service_refuses(house: House, error_http: str) -> None:
    """Permanent, under any HTTP code."""
    house.bench.sim.set_switches("unique_tokens", error_http=error_http)
    first = go(house.first())

    Path((first.artifacts[1].uri or "").removeprefix("file://")).write_bytes(b"no snapshot")

    async def check() -> None:
        digest = hashlib.sha256(b"no snapshot").hexdigest()
        house.record(first, "odd", artifacts=(replace(first.artifacts[1], stored_sha256=digest),))
        async with house.next("odd") as trip:
            with pytest.raises(Refused, match="Snapshot not readable"):
                await trip.submit()

    go(check())
