"""`settle list`: filters by themselves and together, pages, and errors that name the remedy."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobs.states import JobState

from .conftest import House, Settle

S = JobState


@pytest.fixture
def shop(house: House) -> House:
    """Six jobs, an hour apart, the newest an hour old."""
    states = (S.SUCCEEDED, S.POLLING, S.FAILED, S.ACCEPTED, S.IN_DOUBT, S.POLLING)
    for number, state in enumerate(states):
        provider = ("myipr", "lettrlabs", "commonsdb")[number % 3]
        tags = {"shop": str(number % 2), "order": str(number)}
        house.job(f"job-{number}", state, provider=provider, workflow=f"{provider}.do", tags=tags)
        house.clock.advance(3599)
    return house


def _ids(settle: Settle, *arguments: str) -> str:
    done = settle("list", *arguments)
    assert done.code == 0, done.err
    return "".join(line.split("\t")[0].removeprefix("job-") for line in done.out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ([], "543210"),
        (["--provider", "myipr"], "30"),
        (["--provider", "myipr", "--provider", "commonsdb"], "5320"),
        (["--state", "polling"], "51"),
        (["--state", "in_doubt", "--state", "failed"], "42"),
        (["--state", "unfinished"], "5431"),
        (["--state", "finished", "--state", "accepted"], "320"),
        (["--tag", "shop=1"], "531"),
        (["--tag", "shop=1", "--tag", "order=3"], "3"),
        (["--text", "ob-4"], "4"),
        (["--since", "150m"], "54"),
        (["--older-than", "150m"], "3210"),
        (["--until", "150m"], "3210"),
        (["--since", "290m", "--until", "2.5h"], "32"),
        (["--limit", "2"], "54"),
        (["--limit", "2", "--after", "job-4"], "32"),
        (["--state", "unfinished", "--after", "job-4", "--provider", "lettrlabs"], "1"),
        (["--provider", "myipr", "--state", "finished", "--tag", "shop=0", "--older-than", "3h"], "0"),
    ],
    ids=" ".join,
)
def test_filters(shop: House, settle: Settle, arguments: list[str], ids: str) -> None:
    """All that is asked must be true of a job; newest first."""
    assert _ids(settle, *arguments) == ids


def test_a_time_is_utc_if_it_names_no_zone(shop: House, settle: Settle) -> None:
    """ISO 8601, to the minute or with a zone."""
    then = datetime.fromtimestamp(shop.clock.now() - 2.5 * 3600, UTC)
    assert _ids(settle, "--since", then.strftime("%Y-%m-%dT%H:%M")) == "54"
    assert _ids(settle, "--until", then.isoformat()) == "3210"


@pytest.mark.parametrize("limit", ["1", "2", "4", "5"])
def test_pages_show_every_job_once(shop: House, settle: Settle, limit: str) -> None:
    """Each says how the next one is had, on standard error; the last one says nothing."""
    seen, more = "", []
    while True:
        done = settle("list", "--limit", limit, *more)
        seen += "".join(line.split("\t")[0].removeprefix("job-") for line in done.out.splitlines())
        if not done.err:
            break
        hint, _, job_id = done.err.strip().rpartition(" ")
        assert hint == "settle: there are more: go on with --after"
        more = ["--after", job_id]
    assert seen == "543210"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--state", "pooling"], 2, "state: 'pooling' is not one of accepted, "),
        (["--state", "pooling"], 2, "did you mean 'polling'?"),
        (["--provider", "myirp"], 2, "did you mean 'myipr'?"),
        (["--tag", "private value"], 2, "tag: give it as NAME=VALUE"),
        (["--since", "soon"], 2, "since: 'soon' is neither an age nor a time; give an age as in 30m"),
        (["--older-than", "yesterday"], 2, "until: 'yesterday' is neither"),
        (["--limit", "0"], 2, "limit: give a number from 1 to 10000"),
        (["--limit", "many"], 2, "'many' is not a valid integer"),
        (["--after", "nobody"], 3, "after: no job 'nobody' in the ledger; give the id of the last job of a page"),
        (["--stat", "polling"], 2, "--state"),
        (["job-1"], 2, "settle list --help"),
    ],
    ids=str,
)
def test_what_cannot_be_understood(shop: House, settle: Settle, arguments: list[str], code: int, said: str) -> None:
    """One line, which names the field and the remedy."""
    done = settle("list", *arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert done.err.startswith("settle: ")
    assert done.err.count("\n") == 1
    assert "private" not in done.err
