"""The client of Unique Tokens under more than one setting of each switch (the open points: docs/simulator.md)."""

from __future__ import annotations

import pytest

from providers.base import Verdict
from providers.errors import Busy, NotFound, PermanentError
from simulator import UniqueTokensSwitches

from .bench import PRODUCE, Bench, go
from .journeys import USUAL, Case, made, untried

_LIMITED = {"rate_window_seconds": 30}
_REFUSED = {"good": "Refused", "bad": "Refused", "lost": "unknown", "twice": "Refused"}
_ONCE = {"twice": "one job"}
CASES = [
    Case("rate_limit", 4, {**_LIMITED, "retry_after_form": "seconds"}),
    Case("rate_limit", 4, {**_LIMITED, "retry_after_form": "date"}),
    Case("rate_limit", 4, {**_LIMITED, "retry_after_form": "absent"}),
    Case("digest_rule", "plain"),
    Case("digest_rule", "seed_before"),
    Case("digest_rule", "seed_after"),
    Case("digest_rule", "hmac"),
    Case("hash_gzip", True, ends={"good": "DigestMismatch", "lost": "found, DigestMismatch"}),
    Case("filehashes_without_seed", True),
    Case(
        "filehashes_missing", ("data",), ends={"good": "succeeded, unverified", "lost": "found, succeeded, unverified"}
    ),
    Case("filehashes_missing", ("snapshot",)),
    Case("early_milestone", "errors"),
    Case("early_milestone", "held", settings={"poll_at": "current"}),
    Case("early_milestone", "errors", settings={"poll_at": "current"}),
    Case("early_milestone", "current", settings={"poll_at": "current"}),
    Case("error_http", "as_success"),
    Case("error_http", "as_success", {"early_milestone": "errors"}),
    Case("oversize", "refused"),
    Case("undersize_code", 400),
    Case("undersize_code", 406),
    Case("bad_value_code", 400),
    Case("unknown_id_code", 403),
    Case("unknown_id_code", 410),
    Case("early_download_code", 403, {"early_milestone": "errors"}),
    Case("early_download_code", 409, {"early_milestone": "errors"}),
    Case("early_download_code", 425, {"early_milestone": "errors"}),
    Case("deleted_line", "record"),
    Case("session_code", 401),
    Case("foreign_session", "served"),
    Case("revoked_lines", "deleted"),
    Case("session_lifetime_seconds", 1e6),
    Case("reused_payment", "refused", ends=_ONCE),
    Case("reused_payment", "refused", {"payment_code": 409}, ends=_ONCE),
    Case("unpaid", (PRODUCE.reference,), ends=_REFUSED),
    Case("unpaid", ("pi_of_somebody_else",)),
    Case(
        "payment_code",
        401,
        {"unpaid": (PRODUCE.reference,)},
        ends={journey: end.replace("Refused", "Unauthorized") for journey, end in _REFUSED.items()},
    ),
    Case("payment_code", 403, {"unpaid": (PRODUCE.reference,)}, ends=_REFUSED),
    Case(
        "payment_code",
        403,
        {"unpaid": (PRODUCE.reference,)},
        settings={"forbidden": "key"},
        ends={journey: end.replace("Refused", "Unauthorized") for journey, end in _REFUSED.items()},
    ),
    Case("answered_status", "started"),
    Case("progress_visible", False),
    Case("progress_step", 1),
    Case("progress_step", 50),
    Case("failure_form", "stuck"),
    Case("failure_form", "errors", ends={"bad": "Unavailable"}),
    Case("failure_form", "errors", {"error_http": "as_success"}, ends={"bad": "Unavailable"}),
    Case("failure_word", "failed"),
    Case("analyzed", "instead"),
    Case("analyzed_path", False),
    Case("same_alphabet", "refused"),
    Case("frozen_parts", True),
    Case("repeat_token", True),  # the verify stage finds it (acceptance/test_tokens); a journey only fetches
    Case("finish_seconds", 60),
    Case("data_content_length", True),
    Case("sessions_uuid", "session_key"),
    Case("files_kept_seconds", 600),
    Case("files_kept_seconds", 0, ends={"good": "NotFound", "lost": "found, NotFound"}),
    Case("second_part_new_id", True),
    Case("check_media_type", True),
    Case("max_lines", 1, ends=_ONCE),
    Case("max_lines", 5),
    Case("list_carries_links", True),
]

#: No word of failure is documented, so a failed line runs until the deadline. Nothing keeps a payment from starting a
#: second line: Settle never sends one.
ENDS = {**USUAL, "bad": "running", "twice": "two jobs"}


@pytest.mark.parametrize("journey", ENDS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_journey_under_each_setting(bench: Bench, case: Case, journey: str) -> None:
    """The job ends as it should, a lost one is found, and a wrong key is told from everything else."""
    assert go(made(bench, PRODUCE, case, journey)) == case.end(journey, ENDS)


def test_every_switch_has_more_than_one_setting() -> None:
    """A new switch has to be tried, too."""
    assert untried(UniqueTokensSwitches, CASES) == []


@pytest.mark.parametrize("revoked", ["go_on", "deleted"])
@pytest.mark.parametrize("foreign", ["unknown", "served"])
def test_a_line_whose_session_was_revoked(bench: Bench, foreign: str, revoked: str) -> None:
    """The next session may know the line or not, and it may be gone: never a success without its files."""
    bench.sim.set_switches("unique_tokens", foreign_session=foreign, revoked_lines=revoked, deleted_line="record")
    bench.sim.plan("unique_tokens", PRODUCE.reference, outcome="success", duration=20)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            await trip.submit()
            session = await trip.operation.provider.session()
            keys = {"Api-Key": bench.sim.keys["unique_tokens"], "Session-Key": session}
            revoked_by_somebody = await trip.operation.provider.http.call(
                "DELETE", f"/api/sessions/{session}", headers=keys
            )
            assert revoked_by_somebody.status == 200
            with pytest.raises(Busy):  # the session is given up, the next try opens another
                await trip.observe()
            bench.clock.advance(60)
            if foreign == "unknown":
                with pytest.raises(NotFound):
                    await trip.observe()
                return
            last = await trip.observe()
            assert last.verdict is (Verdict.FAILED if revoked == "deleted" else Verdict.SUCCEEDED)

    go(check())


@pytest.mark.parametrize("kept", [5, 600])
def test_files_that_are_gone_are_never_a_success(bench: Bench, kept: float) -> None:
    """A service that dismantles lines by itself: in time the files are there, later the line is not."""
    bench.sim.set_switches("unique_tokens", files_kept_seconds=kept)
    bench.sim.plan("unique_tokens", PRODUCE.reference, outcome="success", duration=20)

    async def check() -> None:
        async with bench.trip(PRODUCE) as trip:
            await trip.submit()
            bench.clock.advance(60)
            if kept > 60:
                assert (await trip.observe()).verdict is Verdict.SUCCEEDED
            else:
                with pytest.raises(PermanentError):
                    await trip.observe()

    go(check())
