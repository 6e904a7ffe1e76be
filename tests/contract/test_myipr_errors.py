"""myIPR: errors in every shape, and the switches a job may trip over."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import Verdict
from providers.errors import (
    BadAnswer,
    Busy,
    NotFound,
    ProviderError,
    Refused,
    Unauthorized,
    Unavailable,
)

from .bench import CERTIFY, Bench, Trip, client, finished, go, job_of
from .myipr import HASH, INTENT, RECEIPT, observed
from .server import http, scripted


@pytest.mark.parametrize(
    "switches",
    [
        {"http_code": "always_200"},
        {"success_code": 200},
        {"http_code": "always_200", "success_code": 200},
        {"content_type_required": True},
        {"transaction_id_before": "absent"},
        {"transaction_id_before": "null"},
        {"transaction_id_before": "empty"},
        {"transaction_id_before": "rotate", "bare_completed_seconds": 120},
        {"bare_completed_seconds": 45, "transaction_id_before": "null"},
        {"running_words": ("in_progress",)},
        {"running_words": ("minting", "confirming", "almost")},
        {"extra_create_field": None},
        {"extra_create_field": "status"},
        {"results_beside_result": True},
        {"time_format": "sql"},
        {"time_format": "epoch_ms"},
        {"get_on_posts_code": 405},
        {"file_versions_key": "result"},
    ],
    ids=str,
)
def test_success_under_every_switch(bench: Bench, switches: dict[str, Any]) -> None:
    """None of these choices changes the way of a certificate, and none makes it end too early."""
    bench.sim.set_switches("myipr", **switches)
    bench.sim.plan("myipr", "Harbour", duration=100)

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            await trip.submit()
            seen = await trip.watch(step=15)
            last = finished(CERTIFY, seen)
            assert len(str(last.result["transaction_id"])) == 64
            assert len(seen) >= 7 + int(switches.get("bare_completed_seconds", 0)) // 15

    go(check())


@pytest.mark.parametrize("shape", ["envelope", "hint"])
@pytest.mark.parametrize("http_code", ["true", "always_200"])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_errors_have_their_type_in_every_shape(bench: Bench, shape: str, http_code: str, content_type: str) -> None:
    """Refusals, wrong keys, unknown versions and outages, also when HTTP says 200 to all of them."""
    bench.sim.set_switches("myipr", error_shape=shape, http_code=http_code, error_content_type=content_type)
    unknown = {"message": "not found", "errorField": "", "customErrorNumber": -2}

    async def check() -> None:
        bad = {**bench.body(CERTIFY), "category_id": "99"}
        async with bench.trip(CERTIFY, bad) as trip:
            with pytest.raises(Refused) as caught:
                await trip.submit()
            assert "category_id" in str(caught.value)
        async with bench.trip(CERTIFY) as trip:
            for kind, error in (("401", Unauthorized), ("429", Busy), ("500", Unavailable), ("503", Busy)):
                bench.sim.fault("myipr", kind, operation="create", times=1, retry_after=5)  # type: ignore[arg-type]
                with pytest.raises(error) as found:
                    await trip.submit()
                assert not isinstance(found.value, Busy) or found.value.retry_after == 5
            trip.receipt = {"remote_id": "unknown"}
            hidden = shape == "hint" and http_code == "always_200"
            with pytest.raises((NotFound, Refused) if hidden else NotFound):
                await trip.observe()

    go(check())
    with pytest.raises(Refused):
        go(observed(unknown, code=200))


@pytest.mark.parametrize("code", [401, 403])
def test_a_wrong_key_stops_the_provider(bench: Bench, code: int) -> None:
    """401 or 403, on every call."""
    bench.sim.set_switches("myipr", auth_code=code)

    async def check() -> None:
        async with client("myipr", bench.sim.base_urls["myipr"], key="another-key") as provider:
            operation = provider.operation("certify")
            request = operation.request.model_validate(bench.body(CERTIFY))
            for work in (
                operation.submit(request, INTENT),
                operation.locate(request, INTENT),
                operation.observe(job_of(CERTIFY, INTENT, RECEIPT)),
            ):
                with pytest.raises(Unauthorized):
                    await work

    go(check())


@pytest.mark.parametrize(("code", "error"), [(400, Refused), (402, Refused), (403, Unauthorized)])
def test_credits_that_ran_out_are_a_refusal(bench: Bench, code: int, error: type[ProviderError]) -> None:
    """403 cannot be told from a wrong key, so it stops the provider."""
    bench.sim.set_switches("myipr", credits=0, credits_code=code)

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            with pytest.raises(error):
                await trip.submit()

    go(check())


def test_a_name_that_is_too_long_for_the_service_is_a_refusal(bench: Bench) -> None:
    """Its limit is not documented; the refusal names the field."""
    bench.sim.set_switches("myipr", name_max_length=5)

    async def check(trip: Trip) -> None:
        with pytest.raises(Refused, match="name"):
            await trip.submit()

    async def main() -> None:
        async with bench.trip(CERTIFY) as trip:
            await check(trip)

    go(main())


@pytest.mark.parametrize("frees", [False, True])
def test_a_failed_version_may_free_its_name(bench: Bench, frees: bool) -> None:
    """Where it does not, the failed one is found again and fails again; where it does, there is a new one."""
    bench.sim.set_switches("myipr", failed_frees_name=frees)
    bench.sim.plan("myipr", "Harbour", outcome="failed", duration=1)

    async def check() -> None:
        async with bench.trip(CERTIFY) as trip:
            first = await trip.submit()
            bench.clock.advance(2)
            assert (await trip.observe()).verdict is Verdict.FAILED
            second = await trip.submit()
            assert (first == second) is not frees

    go(check())


@pytest.mark.parametrize("shown", [None, "", 7, ["v"], "../create", "a b"], ids=str)
def test_an_acceptance_without_a_version_is_in_doubt(shown: object) -> None:
    """It was accepted, but nobody knows as what: a bad answer, not a refusal."""

    async def check() -> None:
        answer = http(201, {"status": 201, "result": {"versionId": shown, "fileId": "f"}})
        async with scripted(lambda _: answer) as server, client("myipr", server.url) as provider:
            operation = provider.operation("certify")
            with pytest.raises(BadAnswer) as caught:
                await operation.submit(operation.request(name="n", category_id="1", hash=HASH, size="1"), INTENT)
            assert caught.value.may_have_arrived

    go(check())


def test_an_answer_without_a_body_is_no_result() -> None:
    """204 is a success without content, which is none here."""
    with pytest.raises(BadAnswer):
        go(observed(b"", code=204))
