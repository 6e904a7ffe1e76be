"""Declarations and answers of CommonsDB, for the tests of its client."""

from __future__ import annotations

from typing import Any

from simulator import samples

from .bench import Bench


def declaration(bench: Bench, **more: Any) -> dict[str, Any]:
    """A signed declaration of now."""
    return samples.declaration(**{"name": "Harbour", "now_ms": round(bench.clock() * 1000), **more})
