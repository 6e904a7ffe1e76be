"""The switches that a client hardly sees, on the wire; what clients make of switches stands in tests/contract."""

import httpx
import pytest

from simulator import ManualClock, Running, samples


def test_a_rate_limit_lets_so_many_through_in_a_window(sim: Running, ipr: httpx.Client, clock: ManualClock) -> None:
    """The window slides; what was refused does not count, and was not processed."""
    sim.set_switches("myipr", rate_limit=2, rate_window_seconds=10)
    codes = []
    for seconds in (0, 1, 1, 1, 7, 1, 1):
        clock.advance(seconds)
        codes.append(ipr.get("/recent-files").status_code)
    assert codes == [200, 200, 429, 429, 200, 200, 429]
    refused = ipr.post("/create", json=samples.certificate_request("late"))
    assert refused.headers["Retry-After"] == "8"
    job = sim.account()["myipr"].jobs["late"]
    assert (job.submits, job.accepted, job.faulted) == (1, 0, 1)
    sim.reset()
    assert ipr.get("/recent-files").status_code == 200


@pytest.mark.parametrize("form", ["seconds", "date", "absent"])
def test_the_forms_of_retry_after(sim: Running, lettr: httpx.Client, form: str) -> None:
    """Seconds, an HTTP date, or nothing."""
    sim.set_switches("lettrlabs", rate_limit=1, retry_after_form=form)
    lettr.get("/v1/me")
    header = lettr.get("/v1/me").headers.get("Retry-After", "")
    assert {"seconds": header == "60", "date": header.endswith(" GMT"), "absent": header == ""}[form]


def test_one_limit_is_not_the_others(sim: Running, lettr: httpx.Client, ipr: httpx.Client) -> None:
    """Each provider counts its own requests."""
    sim.set_switches("lettrlabs", rate_limit=1)
    assert [lettr.get("/v1/me").status_code for _ in range(2)] == [200, 429]
    assert [ipr.get("/recent-files").status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    ("shape", "media"), [("problem", "application/problem+json"), ("text", "text/plain"), ("empty", None)]
)
def test_the_shapes_of_a_commonsdb_outage(sim: Running, cdb: httpx.Client, shape: str, media: str | None) -> None:
    """429 and 5xx alike."""
    sim.set_switches("commonsdb", outage_shape=shape)
    for kind in ("429", "503"):
        sim.fault("commonsdb", kind, times=1)  # type: ignore[arg-type]
        answer = cdb.get("/v1/status/x")
        assert answer.status_code == int(kind)
        assert answer.headers.get("content-type", "").partition(";")[0] == (media or "")
        assert bool(answer.content) == (media is not None)


@pytest.mark.parametrize("shown", [True, False])
def test_the_did_of_the_key(sim: Running, cdb: httpx.Client, clock: ManualClock, shown: bool) -> None:
    """A refusal may name it or not."""
    sim.set_switches("commonsdb", declarer_shown=shown)
    body = samples.declaration(name="Harbour", now_ms=round(clock() * 1000), did="did:key:zSomebodyElse")
    assert (cdb.post("/v1/declare", json=body).json().get("headerDeclarerId") == sim.did) == shown


@pytest.mark.parametrize(("extra", "code"), [("ignored", 201), ("refused", 400)])
def test_unknown_fields_of_a_certificate(sim: Running, ipr: httpx.Client, extra: str, code: int) -> None:
    """The fields of a new version are not published."""
    sim.set_switches("myipr", extra_fields=extra)
    answer = ipr.post("/create", json={**samples.certificate_request("a"), "file_id": "x"})
    assert (answer.status_code, "file_id" in answer.json()["message"]) == (code, code == 400)


@pytest.mark.parametrize("key", ["result", "results"])
def test_where_the_categories_are(sim: Running, ipr: httpx.Client, key: str) -> None:
    """Under either name."""
    sim.set_switches("myipr", categories_key=key)
    assert {"id": 10, "name": "Legal"} in ipr.get("/categories").json()[key]


def test_names_of_other_accounts(sim: Running, ipr: httpx.Client) -> None:
    """Refused as duplicates, and listed nowhere."""
    sim.set_switches("myipr", taken_elsewhere=("a",), duplicate_code=409)
    assert ipr.post("/create", json=samples.certificate_request("a")).status_code == 409
    assert ipr.post("/create", json=samples.certificate_request("b")).status_code == 201
    assert [entry["name"] for entry in ipr.get("/recent-files").json()["result"]] == ["b"]


@pytest.mark.parametrize(("which", "codes"), [("any", (200, 200)), ("session_key", (200, 404))])
def test_which_session_is_asked_for(sim: Running, tok: httpx.Client, which: str, codes: tuple[int, int]) -> None:
    """Which UUID belongs into the path is open."""
    sim.set_switches("unique_tokens", sessions_uuid=which)
    key = {"Api-Key": sim.keys["unique_tokens"]}
    own = tok.headers["Session-Key"]
    assert tuple(tok.get(f"/api/sessions/{uuid}", headers=key).status_code for uuid in (own, "another")) == codes


def _line(tok: httpx.Client, **query: str) -> str:
    answer = tok.post(
        "/api/tokens",
        params=query,
        json=samples.tokens_request(size=1000),
        headers={"Content-Type": "application/vnd.api+json"},
    )
    line: str = answer.json()["data"]["id"]
    return line


@pytest.mark.parametrize(("there", "code"), [(True, 200), (False, 404)])
def test_whether_analyzed_is_a_milestone(
    sim: Running, tok: httpx.Client, clock: ManualClock, there: bool, code: int
) -> None:
    """The path may not exist."""
    sim.set_switches("unique_tokens", analyzed_path=there)
    sim.plan("unique_tokens", samples.payment()["ident"], outcome="success")
    line = _line(tok, analysis="metrics")
    clock.advance(600)
    assert tok.get(f"/api/tokens/{line}/analyzed").status_code == code


def test_files_that_the_service_does_not_keep(sim: Running, tok: httpx.Client, clock: ManualClock) -> None:
    """The line is there until so long after it has finished, then it is gone, from the list, too."""
    sim.set_switches("unique_tokens", files_kept_seconds=100, finish_seconds=1)
    sim.plan("unique_tokens", samples.payment()["ident"], outcome="success", duration=20)
    line = _line(tok)
    clock.advance(120)
    assert tok.get(f"/api/tokens/{line}/data").status_code == 200
    assert len(tok.get("/api/tokens").json()["data"]) == 1
    clock.advance(2)
    assert tok.get(f"/api/tokens/{line}/data").status_code == 404
    assert tok.get(f"/api/tokens/{line}").status_code == 404
    assert tok.get("/api/tokens").json()["data"] == []


def test_missing_hashes(sim: Running, tok: httpx.Client, clock: ManualClock) -> None:
    """Single keys may be absent."""
    sim.set_switches("unique_tokens", filehashes_missing=("data",))
    line = _line(tok)
    sim.plan("unique_tokens", samples.payment()["ident"], outcome="success", duration=1)
    clock.advance(600)
    attributes = tok.get(f"/api/tokens/{line}/finished").json()["data"]["attributes"]
    assert set(attributes["filesizes"]) == {"data", "snapshot"}
    assert set(attributes["filehashes"]) == {"snapshot"}


@pytest.mark.parametrize(("decimals", "echo"), [(None, "129.519"), (2, "129.52"), (0, "130")])
def test_rounded_echoes(sim: Running, lettr: httpx.Client, decimals: int | None, echo: str) -> None:
    """Rounding is open."""
    sim.set_switches("lettrlabs", revenue_decimals=decimals)
    answer = lettr.post("/v1/conversions", json=[samples.conversion("SO-1", revenue=129.519)])
    assert answer.json()["payload"][0]["revenue"] == echo


@pytest.mark.parametrize(
    ("rule", "date", "taken"),
    [
        ("readable", "no date", False),
        ("anything", "no date", True),
        ("readable", "2026-03-04T16:20:00", True),
        ("with_offset", "2026-03-04T16:20:00", False),
        ("with_offset", "2026-03-04T16:20:00+01:00", True),
        ("past", "2026-03-04T16:20:00", True),
        ("past", "2999-01-01T00:00:00Z", False),
        ("readable", "2999-01-01T00:00:00Z", True),
    ],
)
def test_dates_of_events(sim: Running, lettr: httpx.Client, rule: str, date: str, taken: bool) -> None:
    """Without an offset, in the future, unreadable."""
    sim.set_switches("lettrlabs", event_date=rule)
    answer = lettr.post("/v1/conversions", json=[samples.conversion("SO-1", eventDate=date)])
    assert (answer.status_code == 200) == taken


@pytest.mark.parametrize(("texts", "start"), [("position", "[1] "), ("order_id", "SO-2: "), ("plain", "revenue")])
def test_the_texts_of_errors(sim: Running, lettr: httpx.Client, texts: str, start: str) -> None:
    """What in them tells the record is open."""
    sim.set_switches("lettrlabs", error_texts=texts)
    records = [samples.conversion("SO-1"), samples.conversion("SO-2", revenue=-1)]
    (error,) = lettr.post("/v1/conversions", json=records).json()["errors"]
    assert error.startswith(start)


def test_the_answers_to_a_deletion(sim: Running, lettr: httpx.Client) -> None:
    """The record, nothing in the envelope, or no body."""
    numbers = [
        lettr.post("/v1/conversions", json=[samples.conversion(order)]).json()["payload"][0]["id"] for order in "abc"
    ]
    seen = []
    for number, answer in zip(numbers, ("record", "nothing", "empty"), strict=True):
        sim.set_switches("lettrlabs", deletion_answer=answer, no_payload="absent")
        gone = lettr.delete(f"/v1/conversions/{number}")
        seen.append(gone.json().get("payload", "absent") if gone.content else "empty")
    assert seen[0]["id"] == numbers[0]
    assert seen[1:] == ["absent", "empty"]


def test_a_short_list(sim: Running, lettr: httpx.Client) -> None:
    """The elements of the list were never seen."""
    lettr.post("/v1/conversions", json=[samples.conversion("SO-1")])
    sim.set_switches("lettrlabs", list_element="short")
    (element,) = lettr.get("/v1/conversions").json()["payload"]
    assert set(element) == {"id", "fileName", "uploadDate"}


@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("shape", ["string", "text", "envelope", "empty"])
def test_a_wrong_key(sim: Running, code: int, shape: str) -> None:
    """401 or 403, in each shape."""
    sim.set_switches("lettrlabs", auth_code=code, auth_error_shape=shape)
    assert httpx.get(f"{sim.base_urls['lettrlabs']}/v1/me").status_code == code
