"""The Jobs page as people see it: live, searchable, with buttons that work, and nothing that others wrote is run."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Dialog, Error, Page, expect

from jobs.artifacts import Artifact
from jobs.record import Failure
from jobs.states import JobState, Wish
from simulator import samples
from tests.waiting import until

from .conftest import Town

S = JobState
SEED = "5b8df35d-391c-49d1-9a86-991e2601f3e5"
CERTIFICATE = {"category_id": "10", "size": "1079"}
EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def _plan(town: Town, provider: str, reference: str, **fate: Any) -> None:
    """Fix what becomes of a job at the simulator."""
    httpx.post(f"{town.simulator}/_control/plans", json={"provider": provider, "reference": reference, **fate})


def _certify(town: Town, api: httpx.Client, job_id: str, *, duration: float = 60.0, **fate: Any) -> None:
    """Submit a job, over the API, that takes so many simulated seconds."""
    _plan(town, "myipr", job_id, duration=duration, **fate)
    _send(api, job_id, "myipr.certify", {"name": job_id, "hash": uuid.uuid4().hex * 2, **CERTIFICATE})


def _produce(town: Town, api: httpx.Client, job_id: str) -> None:
    """Likewise, one whose files have promised digests."""
    paid = samples.payment(job_id)
    _plan(town, "unique_tokens", paid["ident"], outcome="success", duration=60)
    payment = {"id": paid["id"], "ident": paid["ident"]}
    body = {"alphabet": "UPPER_HEX", "digits": 12, "size": 2000, "payment": payment, "seed": SEED}
    _send(api, job_id, "unique_tokens.produce", body)


def _send(api: httpx.Client, job_id: str, workflow: str, body: dict[str, Any]) -> None:
    sent = {"workflow": workflow, "id": job_id, "kwargs": {**body, "tags": {"shop": "north"}}}
    answer = api.post("/api/jobs", json=sent)
    assert answer.status_code == 201, answer.text


def _live(page: Page, path: str) -> None:
    page.goto(path)
    expect(page.locator("#jobs-live")).to_have_text("Live")


def _unique(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:6]}"


def test_without_a_login_there_is_nothing(browser: Browser, town: Town) -> None:
    """The browser would ask for one."""
    with browser.new_context(base_url=town.url) as context:
        tab = context.new_page()
        with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
            tab.goto("/jobs")


def test_a_job_comes_and_ends_before_our_eyes(town: Town, api: httpx.Client, page: Page) -> None:
    """The table and the figures follow without a reload; so does the page of the job."""
    _live(page, "/jobs")
    page.evaluate("window.loadedOnce = true")
    job_id = _unique("live")
    _certify(town, api, job_id)
    row = page.locator(f"tr[data-job={job_id}]")
    expect(row).to_contain_text("myipr.certify")
    expect(row).to_contain_text("succeeded")
    assert page.evaluate("window.loadedOnce") is True

    later = _unique("later")
    _produce(town, api, later)
    _live(page, f"/job?id={later}")
    expect(page.locator("#state")).to_have_text("succeeded")
    expect(page.locator("#artifacts").get_by_text("verified", exact=True)).to_have_count(1)
    job = town.ledger.get(later)
    expect(page.locator("#artifacts")).to_contain_text(job.artifacts[0].stored_sha256 or "")
    assert page.locator("#timeline tbody tr").count() == len(town.ledger.events("unique_tokens", later)) >= 6


def test_jobs_are_searched_while_one_types(town: Town, page: Page) -> None:
    """By tag, by part of the id, by state; the address can be kept, and a bad one says what is wrong."""
    name = _unique("find")
    for number in range(6):
        town.job(f"{name}-{number}", S.IN_DOUBT if number % 2 else S.POLLING, tags={"order": f"{name}-{number // 3}"})
    rows = page.locator("tr[data-job]")
    _live(page, "/jobs")
    page.get_by_label("Tag").first.fill(f"order={name}-1")
    expect(rows).to_have_count(3)
    page.get_by_label("State").select_option("in_doubt")
    expect(rows).to_have_count(2)
    page.get_by_label("Part of the id").fill(f"{name}-5")
    expect(rows).to_have_count(1)
    page.reload()
    expect(rows).to_have_count(1)
    expect(page.get_by_label("Tag").first).to_have_value(f"order={name}-1")
    page.get_by_label("Created since").fill("yesterday")
    expect(page.locator("#search-wrong")).to_contain_text("since: 'yesterday' is neither an age nor a time")
    page.get_by_label("Created since").fill("1h")
    expect(page.locator("#search-wrong")).to_have_text("")
    expect(rows).to_have_count(1)


def test_older_jobs_are_on_further_pages(town: Town, page: Page) -> None:
    """One leads to the next, and back."""
    name, now = _unique("many"), town.ledger.now()
    for number in range(120):
        town.job(f"{name}-{number:03}", created_at=now + number / 100)  # a clock that is set may tell one time twice
    _live(page, f"/jobs?text={name}")
    rows = page.locator("tr[data-job]")
    seen = []
    while True:
        expect(rows.first).to_be_visible()
        seen += [row.get_attribute("data-job") for row in rows.all()]
        if not page.locator("#older").count():
            break
        page.locator("#older").click()
        expect(page.locator("#jobs-live")).to_have_text("Live")
    assert seen == [f"{name}-{number:03}" for number in reversed(range(120))]
    page.get_by_text("Newest").click()
    expect(rows.first).to_have_attribute("data-job", f"{name}-119")


def test_buttons_act_and_ask_first(town: Town, page: Page) -> None:
    """A doubt is resolved; a job is paused, and cancelled only after a question."""
    job_id = _unique("doubt")
    town.job(job_id, S.IN_DOUBT, failure=Failure("lost", "the answer to the submission was lost"))
    _live(page, f"/job?id={job_id}")
    expect(page.locator("#advice")).to_contain_text("look at the provider")
    page.get_by_label("The provider's id of it").fill("r-9")
    page.get_by_role("button", name="The provider has it").click()
    expect(page.locator("#done")).to_contain_text("doubt is ended")
    assert town.ledger.get(job_id).receipt == {"remote_id": "r-9"}

    held = _unique("held")
    town.job(held)
    _live(page, f"/job?id={held}")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#advice")).to_contain_text("paused")
    questions: list[str] = []

    def answer(dialog: Dialog) -> None:
        questions.append(dialog.message)
        dialog.accept() if len(questions) > 1 else dialog.dismiss()

    page.on("dialog", answer)
    page.get_by_role("button", name="Cancel").click()
    assert town.ledger.get(held).wish is Wish.PAUSE
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#done")).to_contain_text("ends at its next stage")
    until(lambda: town.ledger.get(held).wish is Wish.CANCEL or town.ledger.get(held).finished, "cancelled")
    assert questions == ["Cancel this job?"] * 2


def test_what_one_writes_stays_while_the_page_lives(town: Town, page: Page) -> None:
    """An event does not take the field away under somebody's hands."""
    job = town.job(_unique("typing"), S.IN_DOUBT)
    _live(page, f"/job?id={job.id}")
    field = page.get_by_label("The provider's id of it")
    field.fill("r-1")
    moved = job.stay(now=town.ledger.now(), due_at=job.due_at or 0, message="still asking")
    with page.expect_response(lambda response: "/job/parts" in response.url):
        town.ledger.write([moved])
    expect(field).to_have_value("r-1")
    field.blur()
    again = town.ledger.get(job.id)
    town.ledger.write([again.stay(now=town.ledger.now(), due_at=job.due_at or 0, message="and again")])
    expect(page.locator("#parts")).to_contain_text("and again")


def test_a_gate_is_closed_and_opened(town: Town, page: Page) -> None:
    """And the figures show it by themselves."""
    _live(page, "/jobs")
    page.on("dialog", lambda dialog: dialog.accept())
    row = page.locator("tr[data-provider=lettrlabs]")
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("closed")
    row.get_by_role("button", name="Resume").click()
    expect(row.get_by_role("button", name="Pause")).to_be_visible()
    town.ledger.pause("lettrlabs", 600)  # by somebody else
    expect(row).to_contain_text("closed")
    town.ledger.open_gate("lettrlabs")
    expect(row).to_contain_text("open")


def test_what_others_wrote_is_never_run(town: Town, page: Page) -> None:
    """In any field; as text it is there."""
    job_id = f"<img/src=x/onerror=alert(3)>{uuid.uuid4().hex[:6]}"
    file = Artifact(EVIL, uri=EVIL, sha256=EVIL)
    job = town.job(job_id, word=EVIL, message=EVIL, tags={EVIL: EVIL}, failure=Failure(EVIL, EVIL, EVIL),
                   result={EVIL: EVIL}, artifacts=(file,), receipt={"remote_id": EVIL})  # fmt: skip
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    _live(page, "/jobs")
    expect(page.locator("tr", has_text=job_id)).to_contain_text(EVIL)
    page.get_by_role("link", name=job_id).click()
    expect(page.locator("#trouble")).to_contain_text(EVIL)
    town.ledger.write([job.stay(now=town.ledger.now(), due_at=job.due_at or 0, message=f"again {EVIL}")])
    expect(page.locator("#timeline")).to_contain_text(f"again {EVIL}")
    assert asked == []
    assert page.locator("img[src=x]").count() == 0


def test_the_page_comes_back_after_a_lost_connection(town: Town, page: Page) -> None:
    """Flower was started anew, say: what happened meanwhile is there then, without a reload."""
    _live(page, "/jobs")
    page.evaluate("window.loadedOnce = true")
    town.stop()
    expect(page.locator("#jobs-live")).to_have_text("Connecting…")
    job_id = _unique("meanwhile")
    town.job(job_id)
    town.start()
    expect(page.locator(f"tr[data-job={job_id}]")).to_be_visible(timeout=20_000)
    expect(page.locator("#jobs-live")).to_have_text("Live")
    after = _unique("after")
    town.job(after)
    expect(page.locator(f"tr[data-job={after}]")).to_be_visible()
    assert page.evaluate("window.loadedOnce") is True


@pytest.mark.timeout(120)
def test_pictures_for_the_docs(town: Town, api: httpx.Client, page: Page, picture: Callable[[str], None]) -> None:
    """Real jobs of three kinds, and some that wait for a person; taken when they are all there."""
    now = town.ledger.now()
    town.ledger.pause("commonsdb", 600)
    town.job("order-4708", S.ACCEPTED, provider="commonsdb", workflow="commonsdb.declare", tags={"shop": "south"},
             created_at=now - 600, due_at=now - 30)  # fmt: skip
    for number in range(5):
        _certify(town, api, f"order-{4711 + number}", duration=100.0 + 400.0 * number)
    _certify(town, api, "order-4716", outcome="failed")
    _produce(town, api, "order-4717")
    doubt = Failure("lost", "the answer to the submission was lost")
    town.job("order-4709", S.IN_DOUBT, provider="lettrlabs", workflow="lettrlabs.convert", failure=doubt,
             tags={"shop": "north"}, created_at=now - 400)  # fmt: skip
    page.set_viewport_size({"width": 1200, "height": 800})
    _live(page, "/jobs?text=order-47")
    for job_id, state in (("order-4711", "succeeded"), ("order-4716", "failed"), ("order-4717", "succeeded")):
        expect(page.locator(f"tr[data-job={job_id}]")).to_contain_text(state)
    expect(page.locator("tr[data-provider=commonsdb]")).to_contain_text("closed")
    picture("jobs")
    _live(page, "/job?id=order-4717")
    expect(page.locator("#artifacts").get_by_text("verified", exact=True)).to_have_count(1)
    picture("job")
    _live(page, "/job?id=order-4709")
    expect(page.locator("#advice")).to_contain_text("resolve the job with its id there")
    picture("job-in-doubt")
    town.ledger.open_gate("commonsdb")
