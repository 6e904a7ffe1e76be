"""Unique Tokens: an `errors` member means failure, whatever the HTTP code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from providers.errors import (
    Busy,
    NotFound,
    ProviderError,
    Refused,
    Unauthorized,
    Unavailable,
)

from .bench import PRODUCE, Bench, go
from .unique_tokens import FINGERPRINT, LINE, observed, ordered, record


@pytest.mark.parametrize("http_code", [200, 201, 402, 500])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (402, Refused),
        (406, Refused),
        ("406", Refused),
        (404, NotFound),
        (410, NotFound),
        (429, Busy),
        (500, Unavailable),
        (503, Busy),
    ],
)
def test_errors_decide_whatever_the_http_code(http_code: int, status: object, error: type[ProviderError]) -> None:
    """`errors[].status` may be the only true code; the parameter is named."""
    body = {"errors": [{"status": status, "title": "No", "detail": "Out.", "source": {"parameter": "size"}}]}
    with pytest.raises(error) as caught:
        go(ordered(body, code=http_code))
    assert type(caught.value) is error
    assert "(parameter: size)" in str(caught.value)
    with pytest.raises(ProviderError):
        go(ordered({**record("requested"), **body}, code=http_code))


@pytest.mark.parametrize(
    "errors",
    [
        [{}],
        [None],
        ["broken"],
        "broken",
        {"status": 402},
        7,
        True,
        [{"status": None}],
        [{"status": 200}],
        [{"status": 0}],
        [{"status": "many"}],
        [{"status": [402], "title": 7, "detail": {}, "source": "size"}],
        [{"status": 402, "source": {"parameter": ["size"]}}],
    ],
    ids=str,
)
@pytest.mark.parametrize("code", [201, 402, 500])
def test_errors_of_any_shape_are_a_failure(errors: object, code: int) -> None:
    """Never an acceptance; an unusable status leaves the HTTP code in force."""
    named = isinstance(errors, list) and isinstance(errors[0], dict) and errors[0].get("status") == 402
    with pytest.raises(Unavailable if code == 500 and not named else Refused):
        go(ordered({**record("requested"), "errors": errors}, code=code))


def test_a_number_beyond_all_numbers_is_no_status() -> None:
    """JSON can write what Python reads as infinity."""
    with pytest.raises(Unavailable):
        go(ordered(b'{"errors": [{"status": 1e999}]}', code=500))
    body = json.dumps(record(size=1, filesizes={"data": 2}, progress=3)).replace('"size": 1', '"size": 1e999')
    found = go(observed(body.replace('"data": 2', '"data": -1e999').encode()))
    assert (found.artifacts[0].lines, found.artifacts[0].size) == (None, None)


@pytest.mark.parametrize("errors", [None, [], {}, ""], ids=str)
def test_an_empty_errors_member_is_none(errors: object) -> None:
    """Nothing went wrong."""
    assert go(ordered({**record("requested"), "errors": errors})) == {"remote_id": LINE, "session": FINGERPRINT}


@pytest.mark.parametrize("error_http", ["true", "as_success"])
@pytest.mark.parametrize(
    ("change", "code"),
    [({"alphabet": "NO_SUCH"}, 422), ({"alphabet": "DICE", "digits": 20, "size": 17477}, 402)],
)
def test_a_refused_order_is_permanent(bench: Bench, error_http: str, change: dict[str, Any], code: int) -> None:
    """Under its own code and under 201."""
    bench.sim.set_switches("unique_tokens", error_http=error_http, oversize="refused")

    async def check() -> None:
        unasked = {"check_capacity": False, "oversize": "send"}
        async with bench.trip(PRODUCE, {**bench.body(PRODUCE), **change}, **unasked) as trip:
            with pytest.raises(Refused) as caught:
                await trip.submit()
            assert caught.value.status == code

    go(check())
    assert bench.accepted(PRODUCE) == 0


@pytest.mark.parametrize("error_http", ["true", "as_success"])
@pytest.mark.parametrize("switches", [{"reused_payment": "refused"}, {"max_lines": 1}], ids=str)
def test_a_second_order_may_be_refused(bench: Bench, error_http: str, switches: dict[str, Any]) -> None:
    """A used payment, or too many lines: the provider says no, and why."""
    bench.sim.set_switches("unique_tokens", error_http=error_http, **switches)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            await trip.submit()
            with pytest.raises(Refused, match="402"):
                await trip.submit()

    go(check())


@pytest.mark.parametrize("error_http", ["true", "as_success"])
def test_a_forbidden_payment_is_not_about_the_key(bench: Bench, error_http: str) -> None:
    """The session is accepted, so its key is: this order alone is refused, and others go on in the same session."""
    unpaid = (PRODUCE.reference,)
    bench.sim.set_switches("unique_tokens", unpaid=unpaid, payment_code=403, error_http=error_http)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            with pytest.raises(Refused, match=r"Payment not confirmed.*the session itself is accepted"):
                await trip.submit()
            session = bench.notes.recall("unique_tokens", "session")
            assert session is not None
            bench.sim.set_switches("unique_tokens", unpaid=())
            await trip.submit()
            assert bench.notes.recall("unique_tokens", "session") == session
        async with bench.trip(PRODUCE, forbidden="key") as trip:
            bench.sim.set_switches("unique_tokens", unpaid=unpaid, payment_code=403)
            with pytest.raises(Unauthorized):
                await trip.submit()

    go(check())
    assert bench.accepted(PRODUCE) == 1
