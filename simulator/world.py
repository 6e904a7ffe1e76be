"""All that the parts of one simulator share: time, fates, faults, switches, books and keys."""

import json
from dataclasses import dataclass, field
from typing import Any

from simulator.account import Books
from simulator.clock import Clock
from simulator.faults import Faults
from simulator.plans import Plan, Plans, Provider
from simulator.rates import Rates
from simulator.switches import SwitchBoard

DEFAULT_KEYS: dict[Provider, str] = {
    "commonsdb": "simulated-commonsdb-key",
    "myipr": "simulated-myipr-secret",
    "unique_tokens": "6f6b1d52-7c1a-4a5e-9d0f-51a3c0ffee00",
    "lettrlabs": "LL-API-simulated-key",
}
"""The invented credentials that a simulator accepts when it is given no others."""

DEFAULT_DID = "did:key:zSimulatedSupplier1111111111111111111111111111111111111111111111"
"""The declarer that the CommonsDB key stands for."""

DEFAULT_DURATIONS: dict[Provider, tuple[float, float]] = {
    "commonsdb": (3.0, 10.0),  # contract commonsdb 7.4
    "myipr": (2.0, 600.0),  # "from 2 seconds to 10 minutes", contract myipr 3.4
    "unique_tokens": (4.0, 120.0),  # observed productions, contract unique-tokens 9
    "lettrlabs": (2.0, 30.0),  # nothing is documented
}
"""The shortest and longest processing time of each provider, in simulated seconds."""


@dataclass
class World:
    """The shared state of one simulator. Everything happens on one event loop, so nothing is locked."""

    clock: Clock
    plans: Plans
    switches: SwitchBoard
    keys: dict[Provider, str]
    did: str
    seed: int
    faults: Faults = field(default_factory=Faults)
    books: Books = field(default_factory=Books)
    rates: Rates = field(default_factory=Rates)

    def plan(self, provider: Provider, reference: str, plan: Plan) -> None:
        """Fix the fate of jobs with this reference: those to come, and those that are still running."""
        self.plans.put(provider, reference, plan)
        now = self.clock.now()
        for job in self.books.jobs(provider, reference):
            if job.outcome(now) == "running":
                job.fate.apply(plan)


def dump(value: Any) -> bytes:
    """Write compact JSON as UTF-8 bytes, non-ASCII characters unescaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
