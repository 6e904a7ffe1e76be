"""CommonsDB from plain metadata: the time-stamp authority."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from providers.errors import NotReady, TransientError
from simulator import samples, tsa

from .bench import JOB_ID, client, go, request_of
from .desk import ACCEPTED, FULL, Desk
from .server import Seen, http, nobody, scripted

#: Where the real TSA's ASN.1 begins: rubbish of every kind an authority may answer with.
RUBBISH = [b"", b"<html>", b"\x30\x03\x02\x01", tsa.make_rejection()]


async def stamped_by(answer: Any, desk: Desk, **more: Any) -> tuple[TransientError, list[Seen]]:
    """The error of a submission whose authority answers so, and what CommonsDB was sent in spite of it."""
    async with (
        scripted(answer) as authority,
        scripted(lambda _: ACCEPTED[0]) as server,
        client("commonsdb", server.url, notes=desk.notes, **desk.settings(tsa_url=authority.url, **more)) as provider,
    ):
        operation = provider.operation("declare")
        request = request_of(operation, FULL)
        with pytest.raises(TransientError) as caught:
            await operation.submit(request, operation.intent(request, JOB_ID))
        for seen in authority.seen:
            assert seen.headers["content-type"] == "application/timestamp-query"
            assert "authorization" not in seen.headers
        return caught.value, server.seen


def _for_another(seen: Seen) -> bytes:
    """The right nonce, the right algorithm, another digest."""
    digest = tsa.read_query(seen.body).digest
    return http(200, tsa.make_reply(seen.body.replace(digest, digest[::-1]), 1.8e9, 1))


def _by_another_hash(seen: Seen) -> bytes:
    """The digest of the same data, but of another algorithm, and the right nonce."""
    made = tsa.make_reply(seen.body, 1.8e9, 1)
    sha512, sha256 = bytes.fromhex("0609608648016503040203"), bytes.fromhex("0609608648016503040201")
    return http(200, made.replace(sha512, sha256))


def _without_nonce(seen: Seen) -> bytes:
    imprint = tsa.read_query(seen.body)
    query = tsa.make_query(b"x", imprint.algorithm)
    replaced = query.replace(tsa.read_query(query).digest, imprint.digest)
    return http(200, tsa.make_reply(replaced, 1.8e9, 1))


#: Everything that an authority may answer instead of a stamp for our query.
NO_STAMPS: dict[str, Any] = {
    **{
        str(status): lambda _, status=status: http(status, b"no") for status in (400, 401, 403, 404, 429, 500, 503, 302)
    },
    **{f"rubbish-{number}": lambda _, body=body: http(200, body) for number, body in enumerate(RUBBISH)},
    "other-data": _for_another,
    "other-hash": _by_another_hash,
    "no-nonce": _without_nonce,
    "closed": lambda _: None,
    "half": lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhalf",
}


@pytest.mark.parametrize("answer", NO_STAMPS.values(), ids=NO_STAMPS)
def test_trouble_of_the_authority_never_puts_a_job_in_doubt(desk: Desk, answer: Any) -> None:
    """Nothing was left for CommonsDB yet, so the job waits, and CommonsDB's own gate stays open."""
    error, seen = go(stamped_by(answer, desk))
    assert isinstance(error, NotReady)
    assert error.may_have_arrived is False
    assert "authority" in str(error)
    assert seen == []


def test_an_authority_that_is_away_or_silent_is_waited_for(desk: Desk) -> None:
    """Refused connections and silence, within the time that was set."""

    async def silent(_: Seen) -> bytes | None:
        await asyncio.Event().wait()
        return None

    async def away() -> None:
        async with nobody() as url, desk.trip(tsa_url=url) as trip:
            with pytest.raises(NotReady, match="authority"):
                await trip.submit()

    error, seen = go(stamped_by(silent, desk, stamp_within=0.2))
    assert isinstance(error, NotReady)
    assert "no time stamp within 0.2 s" in str(error)
    assert seen == []
    go(away())


def test_the_authoritys_wish_to_be_left_alone_is_the_jobs_own(desk: Desk) -> None:
    """Its Retry-After is kept, but it is not CommonsDB that is busy."""
    error, _ = go(stamped_by(lambda _: http(429, b"", {"Retry-After": "17"}), desk))
    assert error.retry_after == 17


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_than_a_few_are_stamped_at_a_time_by_all_workers(desk: Desk, limit: int) -> None:
    """Two workers that share nothing but the notes, ten declarations with two stamps each."""
    now, most, total = 0, 0, 0

    async def slowly(seen: Seen) -> bytes:
        nonlocal now, most, total
        now, total = now + 1, total + 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        return http(200, tsa.make_reply(seen.body, 1.8e9, total))

    async def check() -> None:
        async with scripted(slowly) as authority, scripted(lambda _: ACCEPTED[0]) as server:
            own = desk.settings(tsa_url=authority.url, tsa_in_flight=limit)
            async with (
                client("commonsdb", server.url, notes=desk.notes, **own) as one,
                client("commonsdb", server.url, notes=desk.notes, **own) as two,
            ):

                async def declare(provider: Any, number: int) -> None:
                    operation = provider.operation("declare")
                    body = {**FULL, "metadata": samples.plain_metadata(f"work {number}")}
                    request = request_of(operation, body)
                    await operation.submit(request, operation.intent(request, str(number)))

                await asyncio.gather(*(declare((one, two)[number % 2], number) for number in range(10)))
            assert len(server.seen) == 10

    go(check())
    assert (most, total) == (limit, 20)
    assert all(desk.notes.recall("commonsdb", f"stamping-{number}") is None for number in range(limit))


def test_the_place_of_a_dead_worker_is_free_when_its_time_is_over(desk: Desk) -> None:
    """It held the only place, and never gives it back."""
    desk.notes.remember("commonsdb", "stamping-0", f"{desk.clock.now() + 10:.3f} dead")

    async def check() -> None:
        async with desk.trip(tsa_in_flight=1, stamp_within=0.3) as trip:
            with pytest.raises(NotReady, match="no time stamp within"):
                await trip.submit()
            desk.pass_by(11)
            await trip.submit()

    go(check())
