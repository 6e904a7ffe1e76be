"""CommonsDB's client under more than one setting of each switch (the open points are listed in docs/simulator.md)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from providers.errors import Refused
from simulator import CommonsDBSwitches, samples

from .bench import DECLARE, Bench, go
from .journeys import USUAL, Case, made, untried

_TEXT = {"declarer_missing_code": 403}
CASES = [
    Case("rate_limit", 2, {"rate_window_seconds": 30, "retry_after_form": "seconds"}),
    Case("rate_limit", 2, {"rate_window_seconds": 30, "retry_after_form": "date"}),
    Case("rate_limit", 2, {"rate_window_seconds": 30, "retry_after_form": "absent"}),
    Case("declare_code", 200),
    Case("declare_code", 201),
    Case("declare_code", 202),
    Case("auth_error_shape", "problem", _TEXT),
    Case("auth_error_shape", "text"),
    Case("outage_shape", "text", {"rate_limit": 2}),
    Case("outage_shape", "empty", {"rate_limit": 2}),
    Case("stale_after_seconds", 10, ends={"good": "failed", "lost": "found, failed"}),
    Case("stale_after_seconds", None),
    Case("failed_then_success_seconds", 0, ends={"bad": "succeeded"}),
    Case("failed_then_success_seconds", 60),
    Case("repeat_resets", False),
    Case("not_found_seconds", 12, ends={"lost": "unknown"}),
    Case("not_found_seconds", 600, ends={"good": "running", "bad": "running", "lost": "unknown"}),
    Case("tracking_delayed", True),
    Case("text_errors_as_json", True),
    Case("metadata_shape", "public"),
    Case("metadata_shape", "full"),
    Case("metadata_pub_shape", "declaration"),
    Case("metadata_pub_shape", "full"),
    Case("findable_after_seconds", 600),
    Case("unkeyed_jwt", "unchecked"),
    Case("check_credential_dates", True),
    Case("declarer_shown", False),
    Case("accept_liccium_urls", True),
    Case("compare_registry_claims", True),
    Case("foreign_word", "processing"),
    Case("foreign_word", "completed"),
    Case("version", "9.9.9"),
    Case("env", "prod"),
    Case("failure_message", ""),
    Case("failure_message", "refused for ada@example.test"),
    Case("content_type", "text/plain"),
    Case("date_times", False),
]


@pytest.mark.parametrize("journey", USUAL)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_journey_under_each_setting(bench: Bench, case: Case, journey: str) -> None:
    """The job ends as it should, a lost one is found, and a wrong key is told from everything else."""
    assert go(made(bench, DECLARE, case, journey)) == case.end(journey, USUAL)


def test_every_switch_has_more_than_one_setting() -> None:
    """A new switch has to be tried, too."""
    assert untried(CommonsDBSwitches, CASES) == []


def _without_jwk(bench: Bench) -> dict[str, Any]:
    """A declaration whose JWT names its key by `x5c` instead."""
    body = bench.body(DECLARE)["declaration"]
    head, claims, signature = body["signature"].split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    del header["jwk"]
    head = base64.urlsafe_b64encode(json.dumps({**header, "x5c": ["MIIB"]}).encode()).rstrip(b"=").decode()
    token = f"{head}.{claims}.{signature}"
    return {**body, "signature": token, "tsaSignature": samples._stamp(token, None, bench.clock(), "sha256")}


@pytest.mark.parametrize(("unkeyed", "end"), [("refused", "Refused"), ("unchecked", "succeeded")])
def test_a_signature_whose_key_is_in_a_certificate(bench: Bench, unkeyed: str, end: str) -> None:
    """The portal knows `x5c`, the published source does not: passed on as it is, and the refusal is the caller's."""
    case = Case("unkeyed_jwt", unkeyed)
    assert go(made(bench, DECLARE, case, "good", body={"declaration": _without_jwk(bench)})) == end


@pytest.mark.parametrize(("checked", "end"), [(False, "succeeded"), (True, "Refused")])
def test_a_credential_that_is_over(bench: Bench, checked: bool, end: str) -> None:
    """Whether dates are looked at is the provider's business."""
    old = {"id": "urn:uuid:1", "type": ["VerifiableCredential"], "validUntil": "2020-01-01T00:00:00Z"}
    now = round(bench.clock() * 1000)
    body = samples.declaration(name="Harbour", now_ms=now, credentials=[old])
    assert go(made(bench, DECLARE, Case("check_credential_dates", checked), "good", body={"declaration": body})) == end


@pytest.mark.parametrize("shown", [True, False])
def test_a_strange_declarer_is_refused_without_its_did(bench: Bench, shown: bool) -> None:
    """Whether the answer names the key's DID or not: the refusal names the field, and quotes nobody."""
    bench.sim.set_switches("commonsdb", declarer_shown=shown)
    body = samples.declaration(name="Harbour", now_ms=round(bench.clock() * 1000), did="did:key:zSomebodyElse")

    async def check() -> None:
        async with bench.trip(DECLARE, {"declaration": body}) as trip:
            with pytest.raises(Refused, match="DeclarerId") as refused:
                await trip.submit()
            assert bench.sim.did not in str(refused.value)

    go(check())
