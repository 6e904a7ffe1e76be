"""What the tests of declarations from plain metadata share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jobs.clock import ManualClock
from simulator import DEFAULT_DID, samples
from tests.ledgers import fresh_ledger

from .bench import DECLARE, Bench

PLAIN = {"metadata": samples.plain_metadata("Harbour"), "registry": None}
FULL = {"metadata": samples.plain_metadata("Harbour"), "registry": samples.plain_registry()}


class Desk:
    """What signing needs, and the clock of the workers, which a test moves together with the simulator's or apart."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self.clock = ManualClock(bench.clock())
        self.notes = fresh_ledger(self.clock)
        self.credentials = folder / "credentials.json"
        self.credentials.write_text(json.dumps([samples.credential()]))

    def settings(self, **more: Any) -> dict[str, Any]:
        """Settings with which metadata can be declared."""
        return {
            "signing_key": samples.signing_jwk(),
            "declarer_id": DEFAULT_DID,
            "credentials_file": str(self.credentials),
            "tsa_url": self.bench.sim.tsa_url,
            **more,
        }

    def trip(self, body: dict[str, Any] | None = None, **more: Any) -> Any:
        """A job that is about to be submitted."""
        bench = Bench(self.bench.sim, self.bench.clock)
        bench.notes = self.notes
        return bench.trip(DECLARE, FULL if body is None else body, **self.settings(**more))

    def pass_by(self, seconds: float) -> None:
        """Let the time pass here and there."""
        self.clock.advance(seconds)
        self.bench.clock.advance(seconds)
