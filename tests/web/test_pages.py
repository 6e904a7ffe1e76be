"""The pages for people: what they show, what they hide, and what their buttons do."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import httpx
import pytest

from jobs.artifacts import Artifact
from jobs.record import Failure
from jobs.states import JobState, Wish
from tests.waiting import until

from .conftest import SECRET, Site

S = JobState
EVIL = "<script>alert(1)</script>"
QUOTES = "\"'><img src=x onerror=alert(2)>"


class _Elements(HTMLParser):
    """All elements of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def _elements(text: str, tag: str) -> list[dict[str, str | None]]:
    return [attributes for name, attributes in _Elements(text).found if name == tag]


def _rows(client: httpx.Client, **parameters: str | list[str]) -> list[str]:
    """The ids in the table."""
    answer = client.get("/jobs/rows", params=parameters)
    assert answer.status_code == 200, answer.text
    return [row["data-job"] or "" for row in _elements(answer.text, "tr") if "data-job" in row]


def _press(client: httpx.Client, job_id: str, **fields: str) -> httpx.Response:
    """Press a button of a job's page, as a browser does."""
    text = client.get("/job", params={"id": job_id}).text
    token = re.search(r'name="_xsrf" value="([^"]+)"', text)
    if token is None:  # the page has no buttons; those of the provider have the same token
        token = re.search(r'name="_xsrf" value="([^"]+)"', client.get("/jobs").text)
    assert token is not None
    return client.post("/job/button", data={"_xsrf": token[1], "id": job_id, **fields})


@pytest.mark.parametrize(
    "path", ["../server.py", "%2e%2e/server.py", "..%2fserver.py", "/etc/passwd", "%2fetc%2fpasswd", "", "."]
)
def test_only_our_own_files_are_served(client: httpx.Client, path: str) -> None:
    """Nothing beside the folder."""
    assert client.get("/jobs/static/jobs.css").headers["content-type"] == "text/css"
    assert client.get(f"/jobs/static/{path}").status_code in (403, 404)


def test_jobs_stands_in_flowers_navigation(client: httpx.Client) -> None:
    """On its own pages, too; they work as before."""
    for path in ("/jobs", "/tasks", "/workers", "/broker"):
        links = {link.get("href"): link for link in _elements(client.get(path).text, "a")}
        assert {"/jobs", "/tasks", "/workers", "/broker"} <= set(links)
        assert links[path].get("aria-current") == "page"


def test_the_page_of_all_jobs(site: Site, client: httpx.Client) -> None:
    """Counts by provider and state, gates, and the table."""
    site.gallery()
    site.ledger.pause("lettrlabs", 600)
    text = client.get("/jobs").text
    rows = {row["data-provider"] for row in _elements(text, "tr") if "data-provider" in row}
    assert rows == {"commonsdb", "group", "lettrlabs", "myipr", "unique_tokens"}
    links = [link.get("href") or "" for link in _elements(text, "a")]
    assert "/jobs?provider=myipr&state=in_doubt" in links
    assert "/jobs?provider=myipr&state=failed" in links
    assert text.count("gate-closed") >= 1
    assert {row["data-job"] for row in _elements(text, "tr") if "data-job" in row} == {
        f"g-{name}" for name in ("polling", "doubt", "failed", "expired", "done")
    }
    assert SECRET not in text


def test_the_plots_follow_the_gates(site: Site, client: httpx.Client) -> None:
    """A gate that was closed leaves its mark; the newest sample is no older than the page says."""
    site.ledger.pause("commonsdb", 600)
    until(lambda: 'class="gate-closed"' in client.get("/jobs/figures").text, "the next sample")
    text = client.get("/jobs/figures").text
    assert len(_elements(text, "polyline")) == 5
    assert re.search(r"<title>commonsdb: gate closed</title>", text)
    assert not re.search(r"<title>myipr: gate closed</title>", text)


def test_the_table_is_searched(site: Site, client: httpx.Client) -> None:
    """The same questions as the JSON API takes, and pages that lead on."""
    now = site.ledger.now()
    for number in range(7):
        site.job(f"p-{number}", created_at=now - number * 3600, tags={"shop": str(number % 2), "a b": "c&d"})
    site.job("other", S.FAILED, provider="lettrlabs", workflow="lettrlabs.convert", created_at=now - 8 * 3600)
    everything = [f"p-{number}" for number in range(7)]
    assert _rows(client) == [*everything, "other"]
    assert _rows(client, provider="lettrlabs") == _rows(client, state="finished") == ["other"]
    assert _rows(client, tag="shop=1") == ["p-1", "p-3", "p-5"]
    assert _rows(client, tag=["shop=1", "a b=c&d", ""], since="4h") == ["p-1", "p-3"]
    assert _rows(client, text="-6") == ["p-6"]
    found, path = list[str](), "/jobs?limit=3"
    while path:
        text = client.get(path).text
        found += [row["data-job"] or "" for row in _elements(text, "tr") if "data-job" in row]
        path = next((link.get("href") or "" for link in _elements(text, "a") if link.get("id") == "older"), "")
    assert found == [*everything, "other"]
    tags = [link["href"] for link in _elements(client.get("/jobs").text, "a") if link.get("class") == "jobs-tag"]
    assert "/jobs?tag=a+b%3Dc%26d" in tags
    assert len(_rows(client, tag="a b=c&d")) == 7


@pytest.mark.parametrize("parameters", [{"since": "soon"}, {"tag": "shop"}, {"state": "lost"}, {"after": "x"}], ids=str)
def test_a_bad_search_says_what_is_wrong(client: httpx.Client, parameters: dict[str, str]) -> None:
    """On the page, beside its fields; a live part tells it to the script."""
    (name,) = parameters
    page, part = (client.get(path, params=parameters) for path in ("/jobs", "/jobs/rows"))
    assert (page.status_code, part.status_code) == (400, 400)
    assert f"{name}: " in page.text
    assert f"{name}: " in part.text
    assert "jobs-search" in page.text


def test_the_page_of_one_job(site: Site, client: httpx.Client) -> None:
    """Its files with their digests, what is wrong and what to do, its history, and who belongs to it."""
    gallery = site.gallery()
    failed = client.get("/job", params={"id": "g-failed"}).text
    assert "ab" * 32 in failed
    assert "cd" * 32 in failed
    assert "digest_mismatch" in failed
    assert "replay the job" in failed
    polling = gallery["polling"]
    site.ledger.write(
        [polling.stay(now=site.ledger.now(), due_at=polling.due_at or 0, word="stamping", progress=66, polls=4)]
    )
    text = client.get("/job", params={"id": "g-polling"}).text
    assert "r-17" in text
    assert "stamping" in text
    assert text.count("66 %") >= 2
    timeline = text.partition('id="timeline"')[2]
    assert timeline.count("<tr><td>") == 2
    assert timeline.index("minting") < timeline.index("stamping")
    chained = site.job("g-link", root="g-done", parent="g-polling")
    links = [link.get("href") for link in _elements(client.get("/job", params={"id": chained.id}).text, "a")]
    assert {"/job?id=g-done", "/job?id=g-polling"} <= set(links)
    for job_id in ("g-polling", "g-failed", "g-doubt", "g-expired", "g-done"):
        assert SECRET not in client.get("/job", params={"id": job_id}).text
    missing = client.get("/job", params={"id": "nobody"})
    assert missing.status_code == 404
    assert "never triggered, or past its retention" in missing.text


@pytest.mark.parametrize("evil", [EVIL, QUOTES], ids=["script", "quotes"])
def test_nothing_that_others_wrote_becomes_part_of_the_page(site: Site, client: httpx.Client, evil: str) -> None:
    """Ids, tags, words, messages, errors, remedies, results, names of files and of tasks are text."""
    job_id = evil.replace(" ", "_")
    site.job(
        job_id,
        S.FAILED,
        word=evil,
        message=evil,
        tags={evil: evil},
        result={evil: evil},
        receipt={"remote_id": evil},
        failure=Failure(evil, evil, evil),
        artifacts=(Artifact(evil, uri=evil, sha256=evil, stored_sha256=evil, stored_size=1),),
        root=job_id,
        next=job_id,
        sent=(evil,),
        then=({"task": evil},),
    )
    pages = {path: client.get(path).text for path in ("/jobs", "/jobs/rows")}
    pages |= {path: client.get(path, params={"id": job_id}).text for path in ("/job", "/job/parts")}
    pages["search"] = client.get("/jobs", params={"text": evil, "tag": f"{evil}={evil}", "since": evil}).text
    pages["refused"] = client.get("/jobs/rows", params={"since": evil[:50]}).text
    pages["missing"] = client.get("/job", params={"id": evil + "x"}).text
    plain = client.get("/jobs").text
    for name, text in pages.items():
        assert "alert(" in text or name == "missing", name
        scripts = [script.get("src") for script in _elements(text, "script")]
        assert all(scripts), name  # none without a file
        assert not [image for image in _elements(text, "img") if image.get("src") == "x"], name
        known = {attribute for _, attributes in _Elements(plain).found for attribute in attributes}
        seen = {attribute for _, attributes in _Elements(text).found for attribute in attributes}
        assert not {attribute for attribute in seen - known if attribute.startswith("on")}, name


@pytest.mark.parametrize(
    ("job_id", "fields", "check"),
    [
        ("g-polling", {"act": "pause"}, lambda job: job.wish is Wish.PAUSE),
        ("g-polling", {"act": "cancel"}, lambda job: job.wish is Wish.CANCEL),
        ("g-failed", {"act": "replay"}, lambda job: job.state is S.FETCHING),
        ("g-expired", {"act": "resume", "deadline": ""}, lambda job: job.state is S.POLLING),
        ("g-expired", {"act": "resume", "deadline": "60"}, lambda job: job.deadline_at - job.updated_at < 61),
        ("g-doubt", {"act": "resolve", "remote_id": "r-9"}, lambda job: job.receipt == {"remote_id": "r-9"}),
        ("g-doubt", {"act": "resolve", "how": "resubmit"}, lambda job: job.wish is Wish.RESUBMIT),
        ("g-doubt", {"act": "resolve", "how": "fail"}, lambda job: job.state is S.FAILED),
    ],
    ids=["pause", "cancel", "replay", "resume", "resume-deadline", "found", "again", "give-up"],
)
def test_a_button_does_what_it_says(
    site: Site, client: httpx.Client, job_id: str, fields: dict[str, str], check: Callable[[object], bool]
) -> None:
    """And leads back to the job, which says so."""
    site.gallery()
    text = client.get("/job", params={"id": job_id}).text
    buttons = {(button.get("name"), button.get("value")) for button in _elements(text, "button")}
    assert ("act", fields["act"]) in buttons or fields["act"] == "resolve"
    answer = _press(client, job_id, **fields)
    assert answer.status_code == 303
    assert check(site.ledger.get(job_id))
    page = client.get(answer.headers["location"])
    assert page.status_code == 200
    assert 'id="done"' in page.text


def test_a_button_that_comes_too_late_says_why(site: Site, client: httpx.Client) -> None:
    """The job has ended meanwhile: 409, and the page as it is now."""
    site.gallery()
    for fields in ({"act": "pause"}, {"act": "resolve", "how": "fail"}):
        answer = _press(client, "g-done", **fields)
        assert answer.status_code == 409
        assert 'id="wrong"' in answer.text
        assert "succeeded" in answer.text
    assert _press(client, "g-polling", act="explode").status_code == 400
    assert _press(client, "nobody", act="pause").status_code == 404
    assert client.get("/job/button", params={"id": "g-done"}).headers["location"] == "/job?id=g-done"


def test_a_gate_is_closed_and_opened(site: Site, client: httpx.Client) -> None:
    """From the table of providers."""
    token = re.search(r'name="_xsrf" value="([^"]+)"', client.get("/jobs").text)
    assert token is not None

    def press(act: str, provider: str = "myipr") -> int:
        data = {"_xsrf": token[1], "provider": provider, "act": act}
        return client.post("/jobs/provider", data=data).status_code

    assert press("pause") == 303
    assert site.ledger.paused_until("myipr") > site.ledger.now() + 86400
    assert press("resume") == 303
    assert site.ledger.paused_until("myipr") == 0
    assert (press("pause", "acme"), press("cancel")) == (404, 400)
