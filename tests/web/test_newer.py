"""Jobs that a newer version wrote, on the page and over the API: named with the remedy, and in nobody's way."""

from __future__ import annotations

import httpx
import pytest

from tests.newer import make_newer, make_state_newer

from .conftest import CHANGES, Site

REMEDY = "written by a newer version: update this process"


@pytest.fixture
def mixed(site: Site) -> Site:
    """Three jobs, of which the second is of a newer version."""
    for job_id in ("a", "b", "c"):
        site.job(job_id)
    make_newer(site.redis, "myipr", "b")
    return site


def test_the_page_shows_it_among_the_others(mixed: Site, client: httpx.Client) -> None:
    """As a row of the table; its own page says why there is none."""
    for path in ("/jobs", "/jobs/rows"):
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        assert all(f'data-job="{job_id}"' in answer.text for job_id in ("a", "b", "c"))
        assert answer.text.count(REMEDY) == 1
    answer = client.get("/job", params={"id": "b"})
    assert (answer.status_code, REMEDY in answer.text) == (503, True)


def test_the_api_lists_it_apart(mixed: Site, client: httpx.Client) -> None:
    """Whoever reads `jobs` finds only what it knows; what is done about it needs a newer process."""
    listed = client.get("/api/jobs").json()
    assert [job["job_id"] for job in listed["jobs"]] == ["c", "a"]
    assert [(job["job_id"], job["provider"], job["remedy"]) for job in listed["unreadable"]] == [("b", "myipr", REMEDY)]
    assert "unreadable" not in client.get("/api/jobs", params={"text": "a"}).json()
    for answer in (
        client.get("/api/jobs/b"),
        client.post("/api/jobs/b/acts", json={"act": "cancel"}, headers=CHANGES),
    ):
        assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "too_new"), answer.text


def test_a_state_of_a_newer_version_is_counted(mixed: Site, client: httpx.Client) -> None:
    """The figures and the metrics go on."""
    make_state_newer(mixed.redis, "myipr", "b")
    (found,) = [each for each in client.get("/api/providers").json()["providers"] if each["provider"] == "myipr"]
    assert (found["counts"], found["unreadable"]) == ({"polling": 2}, 1)
    assert "unreadable 1" in client.get("/jobs").text
    assert 'settle_jobs{provider="myipr",state="polling"} 2.0' in client.get("/metrics").text
