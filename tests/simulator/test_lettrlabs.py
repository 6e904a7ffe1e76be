"""The simulated LettrLabs API, seen by a plain client."""

from typing import Any

import httpx
import pytest

from simulator import ManualClock, Running, samples


def _post(lettr: httpx.Client, *orders: str) -> dict[str, Any]:
    answer: dict[str, Any] = lettr.post("/v1/conversions", json=[samples.conversion(order) for order in orders]).json()
    return answer


def test_an_upload_is_posted_and_polled(sim: Running, lettr: httpx.Client, clock: ManualClock) -> None:
    """The happy path has the envelope and moves from running words to the success word."""
    sim.plan("lettrlabs", "SO-2", duration=10)
    answer = _post(lettr, "SO-1", "SO-2")
    assert set(answer) == {
        "profile",
        "payload",
        "errors",
        "hasErrors",
        "warnings",
        "hasWarnings",
        "metadata",
    }
    assert [record["revenue"] for record in answer["payload"]] == ["129.5", "129.5"]
    (number,) = {record["id"] for record in answer["payload"]}
    url, words = f"/v1/conversions/{number}/status", []
    for _ in range(3):
        payload = lettr.get(url).json()["payload"]
        words.append(payload["status"])
        clock.advance(5)
    assert words == ["Pending", "Processing", "Completed"]
    assert isinstance(payload["id"], int)
    assert payload["uploadDate"] == "2026-09-21T14:13:20Z"
    assert sim.account()["lettrlabs"].jobs["SO-1"].polls == 3


@pytest.mark.parametrize("placement", ["payload", "metadata", "list"])
def test_the_id_has_three_places(sim: Running, lettr: httpx.Client, placement: str) -> None:
    """The id to poll is in the records, in metadata, or only in the list."""
    sim.set_switches("lettrlabs", id_placement=placement)
    answer = _post(lettr, "SO-1")
    listed = lettr.get("/v1/conversions?pageNumber=0&pageSize=10").json()["payload"]
    number = listed[0]["id"]
    assert (answer["payload"][0].get("id") == number) == (placement == "payload")
    assert (answer["metadata"].get("conversionId") == number) == (placement == "metadata")


def test_one_upload_per_record_can_be_switched(sim: Running, lettr: httpx.Client) -> None:
    """Each record then has an id of its own."""
    sim.set_switches("lettrlabs", one_upload_per="record")
    numbers = [record["id"] for record in _post(lettr, "SO-1", "SO-2")["payload"]]
    assert len(set(numbers)) == 2
    sim.set_switches("lettrlabs", id_placement="metadata")
    assert len(_post(lettr, "SO-3", "SO-4")["metadata"]["conversionId"]) == 2


@pytest.mark.parametrize(
    ("form", "code", "word", "errors"),
    [
        ("word", 200, "Failed", []),
        ("has_errors", 200, "Processing", ["no match"]),
        ("http_error", 422, "Processing", ["no match"]),
    ],
)
def test_a_failed_upload_has_three_forms(
    sim: Running, lettr: httpx.Client, clock: ManualClock, form: str, code: int, word: str, errors: list[str]
) -> None:
    """Failure shows as a word, as hasErrors, or as an HTTP error with a complete-looking payload."""
    sim.set_switches("lettrlabs", failure_form=form, failure_code=422)
    sim.plan("lettrlabs", "SO-1", outcome="failed", duration=1, message="no match")
    number = _post(lettr, "SO-1")["payload"][0]["id"]
    clock.advance(1)
    answer = lettr.get(f"/v1/conversions/{number}/status")
    body = answer.json()
    assert (answer.status_code, body["payload"]["status"], body["errors"]) == (code, word, errors)
    assert body["hasErrors"] is bool(errors)


def test_invalid_records_are_left_out(sim: Running, lettr: httpx.Client) -> None:
    """Valid records are processed even when others are not; errors are plain strings."""
    bad = {"revenue": 5, "orderId": "SO-9"}
    both = lettr.post("/v1/conversions", json=[samples.conversion("SO-1"), bad]).json()
    assert [record["orderId"] for record in both["payload"]] == ["SO-1"]
    assert (both["hasErrors"], both["errors"]) == (True, ["[1] at least one identifier is required"])
    jobs = sim.account()["lettrlabs"].jobs
    assert (jobs["SO-1"].accepted, jobs["SO-9"].refused) == (1, 1)
    assert lettr.post("/v1/conversions", json=[bad]).status_code == 400
    sim.set_switches("lettrlabs", all_invalid_code=200, rejected_records="echoed")
    alone = lettr.post("/v1/conversions", json=[bad])
    assert (alone.status_code, "id" in alone.json()["payload"][0]) == (200, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"revenue": None},
        {"revenue": -1},
        {"revenue": "much"},
        {"revenue": True},
        {"primaryPhoneNumber": "5" * 21},
        {"primaryEmail": "no address"},
        {"firstName": 5},
        {"primaryAddress": "somewhere"},
        {"eventDate": "yesterday"},
    ],
)
def test_wrong_fields_are_refused(lettr: httpx.Client, changes: dict[str, Any]) -> None:
    """A field of a wrong type, length or value makes its record invalid."""
    answer = lettr.post("/v1/conversions", json=[samples.conversion("SO-1", **changes)])
    assert (answer.status_code, answer.json()["hasErrors"]) == (400, True)


def test_bodies_that_are_no_array_are_refused(sim: Running, lettr: httpx.Client) -> None:
    """The body is a bare array; an empty one is refused unless switched."""
    assert lettr.post("/v1/conversions", content=b"[").status_code == 400
    assert lettr.post("/v1/conversions", json=samples.conversion()).status_code == 400
    assert lettr.post("/v1/conversions", json=[]).status_code == 400
    sim.set_switches("lettrlabs", empty_array="accepted")
    assert lettr.post("/v1/conversions", json=[]).status_code == 200


@pytest.mark.parametrize(
    ("rule", "kept", "warned", "errors"),
    [
        ("accepted", 1, False, False),
        ("dropped", 0, False, False),
        ("warned", 0, True, False),
        ("rejected", 0, False, True),
    ],
)
def test_a_repeated_order_id(
    sim: Running, lettr: httpx.Client, rule: str, kept: int, warned: bool, errors: bool
) -> None:
    """A used orderId is processed, dropped, warned about or rejected."""
    sim.set_switches("lettrlabs", repeated_order_id=rule)
    _post(lettr, "SO-1")
    again = _post(lettr, "SO-1")
    assert (len(again["payload"]), again["hasWarnings"], again["hasErrors"]) == (kept, warned, errors)
    assert sim.account()["lettrlabs"].jobs["SO-1"].accepted == 1 + kept


@pytest.mark.parametrize("end", ["word", "not_found"])
def test_deletion_takes_its_time(sim: Running, lettr: httpx.Client, clock: ManualClock, end: str) -> None:
    """DELETE marks; the status endpoint shows the end as a word or a 404."""
    sim.set_switches("lettrlabs", deletion_end=end)
    number = _post(lettr, "SO-1")["payload"][0]["id"]
    url = f"/v1/conversions/{number}"
    assert lettr.delete(url).json()["payload"]["status"] == "MarkedForDeletion"
    assert lettr.delete(url).status_code == 200
    clock.advance(5)
    after = lettr.get(f"{url}/status")
    if end == "word":
        assert after.json()["payload"]["status"] == "Deleted"
    else:
        assert (after.status_code, after.json()["hasErrors"]) == (404, True)
    assert sim.account()["lettrlabs"].jobs["SO-1"].outcome == "deleted"


def test_deletion_may_be_refused_by_status(sim: Running, lettr: httpx.Client, clock: ManualClock) -> None:
    """With the switch on, only finished uploads can be deleted, and only once."""
    sim.set_switches("lettrlabs", deletion_allowed="finished", repeated_delete_code=404)
    url = f"/v1/conversions/{_post(lettr, 'SO-1')['payload'][0]['id']}"
    assert lettr.delete(url).status_code == 400
    clock.advance(30)
    assert lettr.delete(url).status_code == 200
    assert lettr.delete(url).status_code == 404


def test_unknown_ids(sim: Running, lettr: httpx.Client) -> None:
    """An unknown id is a 404 envelope with a null or a default payload; a word is a 400."""
    assert lettr.get("/v1/conversions/1/status").json()["payload"] is None
    sim.set_switches("lettrlabs", unknown_id_payload="defaults")
    missing = lettr.get("/v1/conversions/1/status")
    assert (missing.status_code, missing.json()["payload"]["id"]) == (404, 0)
    assert lettr.get("/v1/conversions/x/status").status_code == 400
    assert lettr.delete("/v1/conversions/1").status_code == 404


def test_a_wrong_key_has_four_forms(sim: Running, lettr: httpx.Client) -> None:
    """401 comes as a bare string, in the envelope, without a body, or as text."""
    wrong = {"X-API-KEY": "LL-API-wrong"}
    assert lettr.get("/v1/me").json()["payload"]["id"] == 4107
    bare = lettr.get("/v1/me", headers=wrong)
    assert (bare.status_code, bare.json()) == (401, "Invalid API key")
    sim.set_switches("lettrlabs", auth_error_shape="envelope")
    assert lettr.get("/v1/me", headers=wrong).json()["hasErrors"] is True
    sim.set_switches("lettrlabs", auth_error_shape="empty")
    assert lettr.get("/v1/me", headers=wrong).content == b""
    sim.set_switches("lettrlabs", auth_error_shape="text")
    assert lettr.get("/v1/me", headers=wrong).headers["content-type"] == "text/plain; charset=utf-8"


def test_an_outage_can_answer_in_html(sim: Running, lettr: httpx.Client) -> None:
    """With the switch on, an injected 503 is a page and no envelope."""
    sim.set_switches("lettrlabs", outage_shape="html")
    sim.fault("lettrlabs", "503", times=1)
    answer = lettr.get("/v1/me")
    assert (answer.status_code, answer.text[:6]) == (503, "<html>")


def test_the_list_has_pages(sim: Running, lettr: httpx.Client) -> None:
    """Newest first, pages counted from 0, size capped."""
    for number in range(3):
        _post(lettr, f"SO-{number}")
    sim.set_switches("lettrlabs", page_cap=2, list_total=True)
    first = lettr.get("/v1/conversions").json()
    assert (len(first["payload"]), first["metadata"]) == (2, {"totalCount": 3})
    second = lettr.get("/v1/conversions?pageNumber=1&pageSize=100").json()["payload"]
    assert [upload["id"] for upload in second] == [min(upload["id"] for upload in first["payload"]) - 1]
    sim.set_switches("lettrlabs", list_order="oldest")
    assert lettr.get("/v1/conversions").json()["payload"][0]["id"] == second[0]["id"]
    assert lettr.get("/v1/conversions?pageSize=x").status_code == 400


def test_the_list_may_lag_behind(sim: Running, lettr: httpx.Client, clock: ManualClock) -> None:
    """An upload is asked for by its id at once, and listed later."""
    sim.set_switches("lettrlabs", list_lag=5)
    number = _post(lettr, "SO-1")["payload"][0]["id"]
    assert lettr.get(f"/v1/conversions/{number}/status").status_code == 200
    assert lettr.get("/v1/conversions").json()["payload"] == []
    clock.advance(5)
    assert [upload["id"] for upload in lettr.get("/v1/conversions").json()["payload"]] == [number]


def test_shapes_of_nothing_and_frames(sim: Running, lettr: httpx.Client) -> None:
    """Empty members are empty, null or absent; the orders frame lacks profile and metadata."""
    sim.set_switches("lettrlabs", empty_as="null", revenue_echo="number", file_name="null")
    answer = _post(lettr, "SO-1")
    assert (answer["errors"], answer["metadata"], answer["payload"][0]["revenue"]) == (None, None, 129.5)
    sim.set_switches("lettrlabs", empty_as="absent", file_name="absent", upload_date_form="naive")
    listed = lettr.get("/v1/conversions").json()
    assert not {"errors", "warnings", "metadata"} & set(listed)
    assert "fileName" not in listed["payload"][0]
    assert listed["payload"][0]["uploadDate"] == "2026-09-21T14:13:20"
    sim.set_switches("lettrlabs", frame="orders", empty_as="empty")
    assert set(lettr.get("/v1/conversions").json()) == {
        "payload",
        "errors",
        "hasErrors",
        "warnings",
        "hasWarnings",
        "errorDetails",
    }


def test_revenue_and_length_rules_are_switches(sim: Running, lettr: httpx.Client) -> None:
    """Revenue may have to be a string; long fields may be cut instead of refused."""
    sim.set_switches("lettrlabs", revenue_request="string", overlong="truncate")
    assert _post(lettr, "SO-1")["hasErrors"] is True
    record = samples.conversion("SO-1", revenue="40.00", firstName="x" * 300)
    answer = lettr.post("/v1/conversions", json=[record]).json()
    assert answer["payload"][0]["revenue"] == "40.00"
    assert len(answer["payload"][0]["firstName"]) == 255
