"""LettrLabs: DELETE is a request, not a fact."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import Verdict
from providers.errors import (
    BadAnswer,
    NotFound,
    ProviderError,
    Refused,
    Unauthorized,
)

from .bench import DELETE, Bench, client, finished, go
from .lettrlabs import envelope, observed, uploaded
from .server import Seen, http, scripted


@pytest.mark.parametrize("end", ["word", "not_found"])
@pytest.mark.parametrize("empty", ["empty", "null", "absent"])
def test_a_deletion_is_polled_until_it_is_done(bench: Bench, end: str, empty: str) -> None:
    """A word of deletion and a not-found answer both mean done; before that it runs."""
    bench.sim.set_switches("lettrlabs", deletion_end=end, deletion_seconds=60, empty_as=empty, list_total=True)

    async def check() -> None:
        async with bench.trip(DELETE) as trip:
            assert trip.intent == {"id": trip.request.id}
            await trip.submit()
            seen = await trip.observe()
            assert (seen.verdict, seen.word, seen.known) == (Verdict.RUNNING, "MarkedForDeletion", True)
            bench.clock.advance(60)
            last = finished(DELETE, [await trip.observe()])
            assert last.word == ("Deleted" if end == "word" else "not found")
            assert last.result == {"id": trip.request.id, "deleted": True}

    go(check())


def test_a_deletion_that_is_not_allowed_is_refused(bench: Bench) -> None:
    """Depending on the status; later it is."""
    bench.sim.set_switches("lettrlabs", deletion_allowed="finished")

    async def check() -> None:
        async with bench.trip(DELETE) as trip:
            with pytest.raises(Refused):
                await trip.submit()
            bench.clock.advance(60)
            await trip.submit()

    go(check())


@pytest.mark.parametrize("code", [200, 400, 404])
@pytest.mark.parametrize("later", [0, 60])
def test_a_repeated_deletion_is_on_its_way(bench: Bench, code: int, later: float) -> None:
    """The transport may repeat a DELETE by itself: a refusal of the second one is no failure of the first."""
    bench.sim.set_switches("lettrlabs", repeated_delete_code=code)

    async def check() -> None:
        async with bench.trip(DELETE) as trip:
            await trip.operation.provider.http.call("GET", "/v1/me")  # a connection that is used again
            bench.sim.fault("lettrlabs", "reset_after", operation="delete_conversion", times=1)
            assert await trip.submit() == {"remote_id": str(trip.request.id)}
            bench.clock.advance(later)
            assert await trip.submit() == {"remote_id": str(trip.request.id)}
            finished(DELETE, await trip.watch())

    go(check())


def test_deleting_what_does_not_exist_is_refused(bench: Bench) -> None:
    """The id was wrong: better said than done."""

    async def check() -> None:
        async with bench.trip(DELETE, {"id": 99}) as trip:
            with pytest.raises(NotFound):
                await trip.submit()

    go(check())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (http(204), None),
        (http(200), None),
        (http(202, envelope()), None),
        (http(200, envelope(hasErrors=True, errors=["Ines"])), Refused),
        (http(200, "Deleted"), BadAnswer),
        (http(200, b"OK"), BadAnswer),
        (http(409, envelope(errors=["Ines"])), Refused),
        (http(403), Unauthorized),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else repr(value)[:24],
)
def test_the_answer_to_a_deletion_may_have_any_body(answer: bytes, error: type[ProviderError] | None) -> None:
    """None is needed; errors in it count under HTTP 200, too."""

    async def check() -> dict[str, Any]:
        def reply(seen: Seen) -> bytes:
            return answer if seen.method == "DELETE" else http(200, uploaded("Completed"))

        async with scripted(reply) as server, client("lettrlabs", server.url) as provider:
            operation = provider.operation("delete")
            return await operation.submit(operation.request(id=7), {"id": 7})

    if error is None:
        assert go(check()) == {"remote_id": "7"}
    else:
        with pytest.raises(error) as caught:
            go(check())
        assert "Ines" not in str(caught.value)


@pytest.mark.parametrize("word", ["Completed", "Processing", "Failed"])
def test_a_word_of_the_upload_is_no_news_for_its_deletion(word: str) -> None:
    """Known, and not yet deleted."""
    found = go(observed(uploaded(word), operation="delete"))
    assert (found.verdict, found.known) == (Verdict.RUNNING, True)
