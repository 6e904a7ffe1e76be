"""The table of moves is complete, and every job can end."""

from __future__ import annotations

import pytest

from jobs.errors import IllegalMove
from jobs.states import IN_HAND, MOVES, TERMINAL, UNFINISHED, UNSUCCESSFUL, JobState, check_move


def _reachable(start: JobState) -> set[JobState]:
    found, new = {start}, [start]
    while new:
        new = [state for state in MOVES[new.pop()] if state not in found] + new
        found.update(new)
    return found


def test_the_table_names_every_state() -> None:
    """No state is forgotten, neither as a source nor in one of the sets."""
    assert set(MOVES) == set(JobState)
    assert set(JobState) == TERMINAL | UNFINISHED
    assert not TERMINAL & UNFINISHED
    assert {*UNSUCCESSFUL, JobState.SUCCEEDED} == TERMINAL
    assert IN_HAND <= UNFINISHED


@pytest.mark.parametrize("state", list(JobState))
def test_only_the_end_has_no_exit(state: JobState) -> None:
    """A terminal state leads nowhere; every other leads on, and never only to itself."""
    assert bool(MOVES[state]) == (state in UNFINISHED)
    assert state not in MOVES[state]


@pytest.mark.parametrize("state", list(JobState))
def test_every_state_can_be_reached(state: JobState) -> None:
    """From its acceptance a job can get anywhere."""
    assert state in _reachable(JobState.ACCEPTED)


@pytest.mark.parametrize("state", sorted(UNFINISHED))
def test_every_job_can_end_well_and_badly(state: JobState) -> None:
    """From wherever a job is, both success and failure can be reached."""
    assert {JobState.SUCCEEDED, JobState.FAILED} <= _reachable(state)


@pytest.mark.parametrize("source", list(JobState))
@pytest.mark.parametrize("target", list(JobState))
def test_the_table_is_kept(source: JobState, target: JobState) -> None:
    """Each move is allowed or refused as the table says; staying is allowed until the end."""
    if source in UNFINISHED and (target is source or target in MOVES[source]):
        check_move(source, target)
    else:
        with pytest.raises(IllegalMove, match=f"{source} -> {target}"):
            check_move(source, target)


def test_nothing_is_sent_twice() -> None:
    """Back to `submitting` leads only from `accepted`, where nothing was sent, and from `in_doubt`, where one asks."""
    assert {state for state in JobState if JobState.SUBMITTING in MOVES[state]} == {
        JobState.ACCEPTED,
        JobState.IN_DOUBT,
    }
    assert {state for state in JobState if JobState.ACCEPTED in MOVES[state]} == {JobState.SUBMITTING}


def test_a_started_submission_is_not_simply_dropped() -> None:
    """While a request may be under way it can be neither cancelled nor expired: it is in doubt first."""
    assert not MOVES[JobState.SUBMITTING] & {JobState.CANCELLED, JobState.EXPIRED, JobState.SUCCEEDED}


def test_states_are_their_words() -> None:
    """A state is stored, sent and shown as its lower-case name."""
    assert all(state == state.name.lower() for state in JobState)
