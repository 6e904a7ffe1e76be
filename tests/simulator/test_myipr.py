"""The simulated myIPR API, seen by a plain client."""

import httpx
import pytest

from simulator import ManualClock, Running, samples


def _create(ipr: httpx.Client, name: str = "master") -> str:
    answer = ipr.post("/create", json=samples.certificate_request(name))
    version: str = answer.json()["result"]["versionId"]
    return version


def test_a_certificate_is_created_polled_and_fetched(sim: Running, ipr: httpx.Client, clock: ManualClock) -> None:
    """The happy path has the documented fields and types, and ends with a PDF."""
    sim.plan("myipr", "master", duration=30)
    created = ipr.post("/create", json=samples.certificate_request("master"))
    assert (created.status_code, created.json()["status"]) == (201, 201)
    version = created.json()["result"]["versionId"]
    running = ipr.post(f"/get-version/{version}").json()["result"]
    assert (running["status"], running["fileStatus"], running["error"]) == ("in_progress", "in_progress", {})
    clock.advance(30)
    done = ipr.post(f"/get-version/{version}").json()["result"]
    assert (done["status"], done["fileStatus"]) == ("completed", "in_progress")
    assert len(done["transaction_id"]) == 64
    assert done["hash"] == samples.sha256_of("master")
    assert (done["size"], done["category"]) == ("1079", {"id": 10, "name": "Legal"})
    link = ipr.post(f"/get-version/{version}/certificate").json()["result"]["certificateLink"]
    pdf = httpx.get(link)
    assert pdf.content.startswith(b"%PDF")
    assert pdf.headers["content-type"] == "application/pdf"
    assert sim.account()["myipr"].jobs["master"].files_served == 1


def test_a_certificate_link_dies_after_sixty_seconds(sim: Running, ipr: httpx.Client, clock: ManualClock) -> None:
    """The link is dead after 60 simulated seconds, and there is none before completion."""
    sim.plan("myipr", "master", duration=30)
    url = f"/get-version/{_create(ipr)}/certificate"
    assert ipr.post(url).status_code == 400
    clock.advance(30)
    link = ipr.post(url).json()["result"]["certificateLink"]
    clock.advance(59.9)
    assert httpx.get(link).status_code == 200
    clock.advance(0.1)
    assert httpx.get(link).status_code == 403


def test_the_running_words_and_missing_transactions_take_turns(
    sim: Running, ipr: httpx.Client, clock: ManualClock
) -> None:
    """While it runs, three words appear in turn, and transaction_id is absent, null and empty."""
    sim.plan("myipr", "master", duration=30)
    url = f"/get-version/{_create(ipr)}"
    words, forms = [], []
    for _ in range(3):
        result = ipr.post(url).json()["result"]
        words.append(result["status"])
        forms.append(result.get("transaction_id", "absent"))
        clock.advance(10)
    assert words == ["in_progress", "pending", "awaiting_block"]
    assert sorted(map(str, forms)) == ["", "None", "absent"]


def test_completed_can_be_seen_without_a_transaction(sim: Running, ipr: httpx.Client, clock: ManualClock) -> None:
    """With the switch on, completed comes a moment before its transaction id."""
    sim.set_switches("myipr", bare_completed_seconds=3, transaction_id_before="null")
    sim.plan("myipr", "master", duration=5)
    url = f"/get-version/{_create(ipr)}"
    clock.advance(5)
    bare = ipr.post(url).json()["result"]
    assert (bare["status"], bare["transaction_id"]) == ("completed", None)
    clock.advance(3)
    assert ipr.post(url).json()["result"]["transaction_id"]


def test_failure_fills_the_error_object(sim: Running, ipr: httpx.Client, clock: ManualClock) -> None:
    """A failed version shows the failure word and says why in error."""
    sim.set_switches("myipr", failure_word="broken")
    sim.plan("myipr", "master", outcome="failed", duration=5, message="no gas")
    url = f"/get-version/{_create(ipr)}"
    clock.advance(5)
    result = ipr.post(url).json()["result"]
    assert (result["status"], result["error"]["message"]) == ("broken", "no gas")


@pytest.mark.parametrize("code", [400, 409])
@pytest.mark.parametrize("field", ["name", "hash"])
def test_a_used_name_or_hash_is_refused(sim: Running, ipr: httpx.Client, code: int, field: str) -> None:
    """Duplicates answer with the code of the switch, without ids unless switched on."""
    sim.set_switches("myipr", duplicate_code=code)
    _create(ipr)
    body = samples.certificate_request("other")
    body[field] = samples.certificate_request("master")[field]
    refused = ipr.post("/create", json=body)
    assert (refused.status_code, refused.json()["status"]) == (code, code)
    assert "result" not in refused.json()
    sim.set_switches("myipr", duplicate_reveals_ids=True)
    assert "versionId" in ipr.post("/create", json=body).json()["result"]


def test_a_failed_version_may_free_its_name(sim: Running, ipr: httpx.Client, clock: ManualClock) -> None:
    """With the switch on, the name of a failed version can be used again."""
    sim.set_switches("myipr", failed_frees_name=True)
    sim.plan("myipr", "master", outcome="failed", duration=1)
    _create(ipr)
    clock.advance(1)
    assert _create(ipr)
    assert sim.account()["myipr"].doubles == ("master",)


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("category_id", 10), ("file_source", "upload"), ("hash", "ABC"), ("size", 1079)],
)
def test_wrong_values_are_refused(sim: Running, ipr: httpx.Client, field: str, value: object) -> None:
    """A field of a wrong type or value is refused, in the envelope or in the weak-hint shape."""
    body = {**samples.certificate_request("master"), field: value}
    assert ipr.post("/create", json=body).json()["status"] == 400
    sim.set_switches("myipr", error_shape="hint")
    hint = ipr.post("/create", json=body).json()
    assert (hint["errorField"], hint["customErrorNumber"]) == (field, -2)


def test_the_http_code_can_always_be_200(sim: Running, ipr: httpx.Client) -> None:
    """With the switch on, only the envelope tells success from failure."""
    sim.set_switches("myipr", http_code="always_200")
    created = ipr.post("/create", json=samples.certificate_request("master"))
    assert (created.status_code, created.json()["status"]) == (200, 201)
    missing = ipr.post("/get-version/unknown")
    assert (missing.status_code, missing.json()["status"]) == (200, 404)


def test_the_scheme_word_and_the_method_matter(sim: Running, ipr: httpx.Client) -> None:
    """Bearer instead of SECRET is a 401, GET instead of POST a 404 or 405."""
    wrong = {"Authorization": f"Bearer {sim.keys['myipr']}"}
    assert ipr.get("/recent-files", headers=wrong).status_code == 401
    version = _create(ipr)
    assert ipr.get(f"/get-version/{version}").status_code == 404
    sim.set_switches("myipr", get_on_posts_code=405)
    assert ipr.get(f"/get-version/{version}").status_code == 405


def test_recent_files_come_in_pages_of_thirty(sim: Running, ipr: httpx.Client) -> None:
    """The newest come first; a page after the end is empty, or an error when switched."""
    for number in range(31):
        _create(ipr, f"file {number}")
    first = ipr.get("/recent-files?page=1").json()
    assert (first["status"], len(first["result"])) == (200, 30)
    assert first["result"][0]["name"] == "file 30"
    second = ipr.get("/recent-files?page=2").json()["result"]
    assert [entry["name"] for entry in second] == ["file 0"]
    assert ipr.get("/recent-files?page=3").json()["result"] == []
    sim.set_switches("myipr", recent_end="error", recent_id_type="integer", recent_order="oldest")
    assert ipr.get("/recent-files?page=3").status_code == 404
    assert ipr.get("/recent-files?page=1").json()["result"][0]["id"] == 1
    assert ipr.get("/recent-files?page=x").status_code == 400


def test_a_file_lists_its_versions_under_the_switched_key(sim: Running, ipr: httpx.Client) -> None:
    """get-file puts the array under results or result."""
    file = ipr.post("/create", json=samples.certificate_request("master")).json()["result"]["fileId"]
    assert ipr.post(f"/get-file/{file}").json()["results"][0]["fileId"] == file
    sim.set_switches("myipr", file_versions_key="result")
    assert ipr.post(f"/get-file/{file}").json()["result"][0]["is_primary"] is True
    assert ipr.post("/get-file/unknown").status_code == 404


def test_categories_have_integer_ids(sim: Running, ipr: httpx.Client) -> None:
    """The categories are read by GET, or by POST when switched."""
    assert {"id": 10, "name": "Legal"} in ipr.get("/categories").json()["result"]
    sim.set_switches("myipr", categories_method="POST")
    assert ipr.get("/categories").status_code == 404
    assert ipr.post("/categories").status_code == 201


def test_credits_run_out(sim: Running, ipr: httpx.Client) -> None:
    """With one credit the second certificate is refused."""
    sim.set_switches("myipr", credits=1)
    _create(ipr)
    assert ipr.post("/create", json=samples.certificate_request("two")).status_code == 402


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("iso_z", "2026-09-21T14:13:20.000Z"),
        ("iso_offset", "2026-09-21T14:13:20.000+00:00"),
        ("sql", "2026-09-21 14:13:20"),
        ("epoch_ms", "1790000000000"),
    ],
)
def test_times_are_strings_in_four_forms(sim: Running, ipr: httpx.Client, form: str, text: str) -> None:
    """Times are spelled as the switch says, always as strings."""
    sim.set_switches("myipr", time_format=form)
    assert ipr.post(f"/get-version/{_create(ipr)}").json()["result"]["created_at"] == text


def test_categories_take_other_shapes(sim: Running, ipr: httpx.Client) -> None:
    """Key, names of fields and type of the id follow the switches."""
    sim.set_switches("myipr", categories_key="results", categories_fields=("ref", "title"), categories_id_type="string")
    assert {"ref": "10", "title": "Legal"} in ipr.get("/categories").json()["results"]


def test_a_page_after_the_last_may_be_the_last_once_more(sim: Running, ipr: httpx.Client) -> None:
    """A service that cuts the page number down to what it has."""
    sim.set_switches("myipr", recent_end="repeat")
    assert ipr.get("/recent-files?page=2").json()["result"] == []
    for number in range(31):
        _create(ipr, f"file {number}")
    pages = [ipr.get(f"/recent-files?page={page}").json()["result"] for page in (2, 3, 9)]
    assert [len(page) for page in pages] == [1, 1, 1]
    assert pages[0] == pages[1] == pages[2]


@pytest.mark.parametrize("code", [200, 403, 404])
def test_a_dead_link_answers_as_switched(sim: Running, ipr: httpx.Client, clock: ManualClock, code: int) -> None:
    """Never with a PDF."""
    sim.set_switches("myipr", certificate_dead_code=code, certificate_link_seconds=5)
    sim.plan("myipr", "master", duration=1)
    url = f"/get-version/{_create(ipr)}/certificate"
    clock.advance(1)
    link = ipr.post(url).json()["result"]["certificateLink"]
    clock.advance(5)
    dead = httpx.get(link)
    assert (dead.status_code, b"%PDF" in dead.content) == (code, False)


def test_a_certificate_may_take_its_time(sim: Running, ipr: httpx.Client, clock: ManualClock) -> None:
    """Completed, but the PDF is made later."""
    sim.set_switches("myipr", certificate_delay_seconds=20)
    sim.plan("myipr", "master", duration=10)
    url = f"/get-version/{_create(ipr)}/certificate"
    clock.advance(29.9)
    assert ipr.post(url).status_code == 400
    clock.advance(0.1)
    assert ipr.post(url).status_code == 201
