"""myIPR's client under more than one setting of each switch (the open points are listed in docs/simulator.md)."""

from __future__ import annotations

import pytest

from simulator import MyIPRSwitches, samples

from .bench import CERTIFY, Bench, go
from .journeys import USUAL, Case, made, untried

_LIMITED = {"rate_window_seconds": 30}
_REFUSED = {"good": "Refused", "bad": "Refused", "lost": "absent", "twice": "Refused"}
CASES = [
    Case("rate_limit", 3, {**_LIMITED, "retry_after_form": "seconds"}),
    Case("rate_limit", 3, {**_LIMITED, "retry_after_form": "date"}),
    Case("rate_limit", 3, {**_LIMITED, "retry_after_form": "absent"}),
    Case("http_code", "always_200"),
    Case("http_code", "always_200", {"error_shape": "hint"}),
    Case("http_code", "always_200", {"auth_code": 403}),
    Case("success_code", 200),
    Case("success_code", 200, {"http_code": "always_200"}),
    Case("error_shape", "hint"),
    Case("error_content_type", "text/plain"),
    Case("error_content_type", "text/html; charset=latin-1"),
    Case("content_type_required", True),
    Case("auth_code", 403),
    Case("duplicate_code", 409),
    Case("duplicate_code", 400, {"duplicate_reveals_ids": True}),
    Case("duplicate_reveals_ids", True, {"duplicate_code": 409}),
    Case("failed_frees_name", True),
    Case("taken_elsewhere", ("Harbour",), ends=_REFUSED),
    Case("taken_elsewhere", (samples.sha256_of("Harbour"),), ends=_REFUSED),
    Case("extra_fields", "refused"),
    Case("name_max_length", 50),
    Case("name_max_length", 5, ends=_REFUSED),
    Case("running_words", ("minting",)),
    Case("running_words", ("PENDING", "recalibrating")),
    Case("failure_word", "completed"),
    Case("failure_word", "in_progress"),
    Case("error_object", {"reason": "no gas"}),
    Case("error_object", {"a": {"b": ["c"]}}),
    Case("transaction_id_before", "absent"),
    Case("transaction_id_before", "null"),
    Case("transaction_id_before", "empty"),
    Case("bare_completed_seconds", 30),
    Case("bare_completed_seconds", 600, ends={"good": "running", "lost": "found, running"}),
    Case("categories_method", "POST"),
    Case("categories_key", "results"),
    Case("categories_fields", ("ref", "title")),
    Case("categories_id_type", "string"),
    Case("extra_create_field", None),
    Case("extra_create_field", "hash"),
    Case("file_versions_key", "result"),
    Case("recent_order", "oldest"),
    Case("recent_end", "error"),
    Case("recent_end", "repeat"),
    Case("recent_end", "error", {"recent_order": "oldest"}),
    Case("recent_id_type", "integer"),
    Case("time_format", "iso_offset"),
    Case("time_format", "sql"),
    Case("time_format", "epoch_ms"),
    Case("get_on_posts_code", 405),
    Case("certificate_early_code", 404),
    Case("certificate_early_code", 409),
    Case("certificate_link_seconds", 1),
    Case("certificate_dead_code", 200),
    Case("certificate_dead_code", 404, {"certificate_link_seconds": 1}),
    # The stage asks again after a while (stages/test_myipr); a journey has no stage.
    Case("certificate_delay_seconds", 30, ends={"good": "Unavailable", "lost": "found, Unavailable"}),
    Case("certificate_result_array", True),
    Case("credits", 1),
    Case("credits", 0, ends=_REFUSED),
    Case("credits", 0, {"credits_code": 400}, ends=_REFUSED),
    Case(
        "credits_code",
        403,
        {"credits": 0},
        ends={journey: end.replace("Refused", "Unauthorized") for journey, end in _REFUSED.items()},
    ),
    Case("results_beside_result", True),
]


@pytest.mark.parametrize("journey", USUAL)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_journey_under_each_setting(bench: Bench, case: Case, journey: str) -> None:
    """The job ends as it should, a lost one is found, and a wrong key is told from everything else."""
    assert go(made(bench, CERTIFY, case, journey)) == case.end(journey, USUAL)


def test_every_switch_has_more_than_one_setting() -> None:
    """A new switch has to be tried, too."""
    assert untried(MyIPRSwitches, CASES) == []
