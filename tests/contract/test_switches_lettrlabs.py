"""LettrLabs' client under more than one setting of each switch (the open points are listed in docs/simulator.md)."""

from __future__ import annotations

from typing import Any

import pytest

from providers.errors import PermanentError
from simulator import LettrLabsSwitches, samples

from .bench import CONVERT, DELETE, Bench, go
from .journeys import USUAL, Case, made, untried

_LIMITED = {"rate_window_seconds": 30}
_REFUSED = {"good": "Refused", "bad": "Refused", "lost": "absent", "twice": "Refused"}
CASES = [
    Case("rate_limit", 3, {**_LIMITED, "retry_after_form": "seconds"}),
    Case("rate_limit", 3, {**_LIMITED, "retry_after_form": "date"}),
    Case("rate_limit", 3, {**_LIMITED, "retry_after_form": "absent"}),
    Case("running_words", ("Queued",)),
    Case("running_words", ("UPLOADED", "Recalibrating")),
    Case("success_word", "Processed"),
    Case("success_word", "Imported", ends={"good": "running", "lost": "found, running"}),
    Case("success_word", "Imported", settings={"words_succeeded": ("imported",)}),
    Case("failure_word", "Error"),
    Case("failure_word", "Broken", ends={"bad": "running"}),
    Case("failure_word", "Broken", settings={"words_failed": ("broken",)}),
    Case("deleting_word", "Deleting"),
    Case("deleted_word", "DELETED"),
    Case("failure_form", "has_errors"),
    Case("failure_form", "http_error"),
    Case("failure_form", "http_error", {"failure_code": 409}),
    Case("failure_form", "http_error", {"failure_code": 422}),
    Case("failure_code", 500, {"failure_form": "http_error"}, ends={"bad": "Unavailable"}),
    Case("post_code", 201),
    Case("post_code", 202),
    Case("auth_error_shape", "text"),
    Case("auth_error_shape", "envelope"),
    Case("auth_error_shape", "empty"),
    Case("auth_code", 403),
    Case("auth_code", 403, {"auth_error_shape": "empty"}),
    Case("outage_shape", "html", {"rate_limit": 3}),
    Case("id_placement", "metadata"),
    Case("id_placement", "metadata", settings={"id_field": "conversionId"}),
    Case("id_placement", "list"),
    Case("metadata_key", "id", {"id_placement": "metadata"}),
    Case("one_upload_per", "record", ends={"lost": "absent"}),
    Case("one_upload_per", "record", {"id_placement": "list"}, {"uploads_per": "record"}),
    Case("all_invalid_code", 200),
    Case("empty_array", "accepted"),
    Case("rejected_records", "echoed"),
    Case("error_texts", "order_id"),
    Case("error_texts", "plain"),
    Case("revenue_request", "number"),
    Case("revenue_request", "string", ends=_REFUSED),
    Case("revenue_request", "string", settings={"revenue_as": "string"}),
    Case("revenue_echo", "number"),
    Case("zero_revenue", "refused"),
    Case("revenue_decimals", 0),
    Case("revenue_decimals", 4),
    Case("types", ("Sale",)),
    Case("repeated_order_id", "accepted", ends={"twice": "two jobs"}),
    Case("repeated_order_id", "dropped"),
    Case("repeated_order_id", "rejected"),
    Case("overlong", "truncate"),
    Case("event_date", "with_offset"),
    Case("event_date", "past"),
    Case("event_date", "anything"),
    Case("list_element", "short"),
    Case("list_lag", 1),
    Case("list_element", "short", {"id_placement": "list"}),
    Case("list_order", "oldest"),
    Case("list_order", "oldest", {"id_placement": "list"}),
    Case("page_cap", 1),
    Case("list_total", True),
    Case("deletion_allowed", "finished", ends={f"delete {journey}": end for journey, end in _REFUSED.items()}),
    Case("deletion_seconds", 0),
    Case("deletion_seconds", 60),
    Case("deletion_end", "not_found"),
    Case("deletion_answer", "nothing"),
    Case("deletion_answer", "empty"),
    Case("repeated_delete_code", 400),
    Case("repeated_delete_code", 404),
    Case("unknown_id_code", 200),
    Case("unknown_id_payload", "defaults"),
    Case("no_payload", "absent"),
    Case("empty_as", "null"),
    Case("empty_as", "absent"),
    Case("file_name", "null"),
    Case("file_name", "absent"),
    Case("upload_date_form", "offset"),
    Case("upload_date_form", "naive"),
    Case("frame", "orders"),
]


@pytest.mark.parametrize("journey", USUAL)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_journey_under_each_setting(bench: Bench, case: Case, journey: str) -> None:
    """The job ends as it should, a lost one is found, and a wrong key is told from everything else."""
    assert go(made(bench, CONVERT, case, journey)) == case.end(journey, USUAL)


def test_every_switch_has_more_than_one_setting() -> None:
    """A new switch has to be tried, too."""
    assert untried(LettrLabsSwitches, CASES) == []


#: An upload is there already, so its failure is not the deletion's.
DELETION = {**USUAL, "bad": "succeeded"}


@pytest.mark.parametrize("journey", DELETION)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_deletion_under_each_setting(bench: Bench, case: Case, journey: str) -> None:
    """Likewise for the deletion of an upload."""
    assert go(made(bench, DELETE, case, journey)) == case.ends.get(f"delete {journey}", DELETION[journey])


def _accepted(bench: Bench, records: list[dict[str, Any]], **switches: Any) -> tuple[Any, Any]:
    """How many records were accepted, and the positions of those that were not; the error's name if none was."""
    bench.sim.set_switches("lettrlabs", **switches)

    async def submit() -> tuple[Any, Any]:
        async with bench.trip(CONVERT, {"conversions": records}) as trip:
            try:
                receipt = await trip.submit()
            except PermanentError as error:
                return type(error).__name__, None
            return receipt.get("accepted"), receipt.get("rejected")

    return go(submit())


_GOOD = samples.conversion("SO-1")


@pytest.mark.parametrize(
    ("record", "switches", "end"),
    [
        ({"revenue": 0}, {"zero_revenue": "accepted"}, (2, None)),
        ({"revenue": 0}, {"zero_revenue": "refused"}, (1, [1])),
        ({"revenue": 129.519}, {"revenue_decimals": 0}, (2, None)),
        ({"revenue": 129.519}, {"revenue_decimals": 2, "revenue_echo": "number"}, (2, None)),
        ({"type": "Sale"}, {"types": ("Sale", "Lead")}, (2, None)),
        ({"type": "Gift"}, {"types": ("Sale", "Lead")}, (1, [1])),
        ({"type": "Gift"}, {"types": None}, (2, None)),
        ({"eventDate": "2126-03-04T16:20:00Z"}, {"event_date": "readable"}, (2, None)),
        ({"eventDate": "2126-03-04T16:20:00Z"}, {"event_date": "past"}, (1, [1])),
    ],
    ids=str,
)
def test_a_record_beside_a_good_one(
    bench: Bench, record: dict[str, Any], switches: dict[str, Any], end: tuple[Any, Any]
) -> None:
    """What the service takes is open; the receipt says how many were taken, and which were not."""
    assert _accepted(bench, [_GOOD, samples.conversion("SO-2", **record)], **switches) == end


@pytest.mark.parametrize("echoed", ["left_out", "echoed"])
@pytest.mark.parametrize("texts", ["position", "order_id", "plain"])
def test_a_rejected_record_is_known_without_the_texts(bench: Bench, texts: str, echoed: str) -> None:
    """However the texts name it: they are free, so the echoes decide."""
    records = [samples.conversion("SO-1", type="Gift"), samples.conversion("SO-2")]
    switches = {"error_texts": texts, "rejected_records": echoed, "types": ("Sale",)}
    records[1]["type"] = "Sale"
    assert _accepted(bench, records, **switches) == (1, [0])


@pytest.mark.parametrize("payload", ["null", "defaults"])
@pytest.mark.parametrize(("code", "end"), [(404, "running"), (200, "failed")])
def test_an_upload_that_nobody_knows(bench: Bench, code: int, end: str, payload: str) -> None:
    """404 may come too early and means running; 200 with errors is a failure. Neither is a success."""
    bench.sim.set_switches("lettrlabs", unknown_id_code=code, unknown_id_payload=payload)

    async def check() -> None:
        async with bench.trip(CONVERT) as trip:
            trip.receipt = {"remote_id": "1", "sent": 2}
            assert (await trip.observe()).verdict == end

    go(check())
