"""What the Jobs page computes and says: plots, ages, moments, and what to do about a job."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from jobs.artifacts import Artifact
from jobs.errors import InvalidJob
from jobs.record import Failure, Job
from jobs.search import Gate, Overview
from jobs.states import JobState, Wish
from workflows.advice import advice
from workflows.listing import moment, tags_of
from workflows.web import plots, shown
from workflows.web.feed import Sample, read_positions, written

S = JobState
JOB = Job("a", "myipr", "myipr.certify", S.POLLING, 0.0, 100.0)


def _sample(at: float, lateness: float, gate: Gate = Gate.OPEN) -> Sample:
    return Sample(at, (Overview("alpha", lateness=lateness, gate=gate), Overview("beta")))


def test_a_bar_shows_what_is_under_way_to_scale() -> None:
    """Pieces lie side by side; finished jobs are no part of it."""
    found = Overview("alpha", {S.POLLING: 30, S.ACCEPTED: 10, S.FAILED: 500})
    assert plots.bar(found, 80) == (plots.Piece(0, 12.5, "accepted", 10), plots.Piece(12.5, 37.5, "polling", 30))
    assert plots.bar(Overview("beta"), 0) == ()


def test_lateness_is_drawn_to_scale() -> None:
    """The newest sample at the right edge, the latest of all at the upper one."""
    found = plots.lateness([_sample(1000, 0.0), _sample(1050, 10.0), _sample(1100, 5.0)])
    assert (found.top, found.span) == (10.0, 100.0)
    assert found.lines[0].points == f"0.0,{plots.HEIGHT}.0 450.0,0.0 900.0,{plots.HEIGHT / 2}"
    assert found.lines[1].points.count(f",{plots.HEIGHT}.0") == 3
    assert plots.lateness([]).lines == ()


def test_only_the_last_samples_are_drawn() -> None:
    """What is older than the plot is left out, though it was later."""
    found = plots.lateness([_sample(0, 99.0), _sample(plots.SPAN + 1, 2.0)])
    assert (found.top, found.span) == (2.0, plots.SHORTEST)


def test_a_gate_leaves_a_strip_for_each_time_it_changed() -> None:
    """Without gaps between."""
    gates = [Gate.OPEN, Gate.OPEN, Gate.CLOSED, Gate.CLOSED, Gate.HALF_OPEN, Gate.OPEN]
    found = plots.lateness([_sample(1000 + 20 * place, 0.0, gate) for place, gate in enumerate(gates)])
    strip = found.lines[0].gate
    assert [piece.kind for piece in strip] == ["open", "closed", "half_open", "open"]
    assert all(abs(one.x + one.width - two.x) < 0.11 for one, two in pairwise(strip))
    assert [piece.kind for piece in found.lines[1].gate] == ["open"]
    assert found.lines[0].strip < found.lines[1].strip < found.height


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (99, "99 s"), (120, "2 min"), (7300, "2 h"), (86400.0 * 3, "3 d")],
)
def test_durations(seconds: float, text: str) -> None:
    """In the unit that says enough."""
    assert shown.duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("90s", 910.0),
        ("2m", 880.0),
        ("0.5h", -800.0),
        ("1d", -85400.0),
        ("1w", -603800.0),
        ("1970-01-01T01:00", 3600.0),
        ("1970-01-01T01:00+01:00", 0.0),
        ("1970-01-02", 86400.0),
    ],
)
def test_moments(text: str, at: float) -> None:
    """An age counts back from now; a time without a zone is UTC."""
    assert moment("since", text, 1000.0) == at


@pytest.mark.parametrize("text", ["", "h", "-1h", "1y", "now", "١h", "1 h", "99-99-99"])
def test_what_is_no_moment(text: str) -> None:
    """The message names the field and shows how."""
    with pytest.raises(InvalidJob, match=r"since: .* give an age as in 30m"):
        moment("since", text, 0.0)


def test_tags_from_pairs() -> None:
    """The first equals sign parts name and value."""
    assert tags_of(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
    with pytest.raises(InvalidJob, match="tag: give it as NAME=VALUE"):
        tags_of(["x"])


def test_positions_are_read_as_written() -> None:
    """The id of an event is where each provider's stream was."""
    positions = {"alpha": "1-0", "unique_tokens": "1795326182294-17"}
    assert read_positions(written(positions)) == positions


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (JOB, None),
        (replace(JOB, wish=Wish.PAUSE), "resume it"),
        (replace(JOB, failure=Failure("x", "y", "do this")), "do this"),
        (replace(JOB, failure=Failure("unauthorized", "y")), "correct the key"),
        (replace(JOB, failure=Failure("strange", "y")), "tried again"),
        (replace(JOB, state=S.IN_DOUBT), "look at the provider"),
        (replace(JOB, state=S.EXPIRED, failure=Failure("expired", "y")), "resume it with a new deadline"),
        (replace(JOB, state=S.FAILED, failure=Failure("strange", "y")), "then trigger it under a new id"),
        (replace(JOB, state=S.FAILED, failure=Failure("strange", "y"), artifacts=(Artifact("f"),)), "replay it, or"),
        (replace(JOB, state=S.CANCELLED, failure=Failure("cancelled", "y")), None),
        (replace(JOB, state=S.SUCCEEDED), None),
    ],
)
def test_what_to_do_about_a_job(job: Job, said: str | None) -> None:
    """A remedy that came with the error goes first."""
    found = advice(job)
    assert found is None if said is None else said in (found or "")
