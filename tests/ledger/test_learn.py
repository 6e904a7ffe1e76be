"""What was learnt is kept by provider and workflow; the latest counts as one, older ones fade."""

from __future__ import annotations

import pytest
import redis

from jobs.clock import ManualClock
from jobs.learning import EDGES, MEMORY
from jobs.ledger import Ledger


def test_nothing_is_known_of_a_new_provider(ledger: Ledger) -> None:
    """An empty table."""
    assert ledger.learnt("alpha") == {}


def test_each_provider_and_workflow_has_its_own(ledger: Ledger) -> None:
    """A name with a dot is one name."""
    ledger.learn("alpha", [("alpha.make", {3: 1.0}), ("alpha.undo", {0: 0.25, 4: 0.75})])
    ledger.learn("beta", [("beta.make", {7: 1.0})])
    assert ledger.learnt("alpha") == {"alpha.make": {3: 1.0}, "alpha.undo": {0: 0.25, 4: 0.75}}
    assert ledger.learnt("beta") == {"beta.make": {7: 1.0}}


def test_old_counts_fade(ledger: Ledger) -> None:
    """By a job each, whenever that comes; all together never outweigh the memory."""
    ledger.learn("alpha", [("w", {1: 1.0})] * 2000 + [("w", {2: 1.0})] * 1000)
    found = ledger.learnt("alpha")["w"]
    growth = 1 + 1 / MEMORY
    assert found[2] == pytest.approx(sum(growth**-age for age in range(1000)))
    assert found[1] == pytest.approx(sum(growth**-age for age in range(1000, 3000)))
    assert sum(found.values()) < MEMORY + 1.01


def test_weights_do_not_grow_for_ever(ledger: Ledger) -> None:
    """They are made small again, and nothing that is read changes."""
    ledger.learn("alpha", [("v", {5: 1.0})])
    for _ in range(5):  # 1.001 to the power of 250,000 has more than a hundred digits
        ledger.learn("alpha", [("w", {1: 1.0})] * 50_000)
    assert ledger.learnt("alpha")["w"][1] == pytest.approx(MEMORY + 1, rel=0.01)
    assert ledger.learnt("alpha")["v"] == {5: 1.0}


def test_the_table_stays_small(redis_client: redis.Redis, clock: ManualClock) -> None:
    """On a real server: a field for each bin and one more, however many jobs."""
    ledger = Ledger(redis_client, clock=clock)
    ledger.learn("alpha", [("w", dict.fromkeys(range(len(EDGES) + 1), 1.0))] * 50)
    assert redis_client.hlen("settle:{alpha}:learnt") == len(EDGES) + 2
    assert (redis_client.memory_usage("settle:{alpha}:learnt") or 0) < 10_000
