"""The `metrics` analysis of a data file: scores, their differences and simple statistics (contract 6.8)."""

import itertools
import json
import math
import statistics
from typing import Any


def scores(chars: str, data: bytes) -> list[int]:
    """Give each token's zero-based rank in the sorted set of all possible tokens."""
    rank = {char: number for number, char in enumerate(sorted(chars))}
    base = len(chars)
    found = []
    for token in data.decode().split("\n"):
        value = 0
        for char in token:
            value = value * base + rank[char]
        found.append(value)
    return found


def _csv(values: list[int]) -> bytes:
    return "\n".join(map(str, values)).encode()


def _hurst(values: list[int]) -> float:
    """Estimate the Hurst exponent from the rescaled range of the whole series and of its halves."""

    def rescaled_range(part: list[int]) -> float:
        mean = statistics.fmean(part)
        total, lowest, highest = 0.0, 0.0, 0.0
        for value in part:
            total += value - mean
            lowest, highest = min(lowest, total), max(highest, total)
        spread = statistics.pstdev(part)
        return (highest - lowest) / spread if spread else 1.0

    half = len(values) // 2
    if half < 2:
        return 0.5
    halves = (rescaled_range(values[:half]) + rescaled_range(values[half:])) / 2
    return math.log2(rescaled_range(values) / halves) if halves else 0.5


def files(line_id: str, chars: str, data: bytes) -> dict[str, bytes]:
    """Make the files of an analysis by name."""
    ranks = scores(chars, data)
    # Floats suffice for statistics, and ranks can have 140 digits.
    values = [float(rank) for rank in ranks]
    variance = statistics.pvariance(values)
    summary = {
        "minimum": min(ranks),
        "maximum": max(ranks),
        "mean": statistics.fmean(values),
        "median": statistics.median(values),
        "var": variance,
        "std": math.sqrt(variance),
        "hurst": _hurst(ranks),
    }
    delta = [after - before for before, after in itertools.pairwise(ranks)]
    analysis = json.dumps({"id": line_id, "score": summary}).encode()
    return {"score": _csv(ranks), "delta": _csv(delta), "analysis": analysis}


def document(line_id: str, made: dict[str, bytes]) -> dict[str, Any]:
    """Make the JSON:API document of an analysis from its files."""
    base = f"/api/tokens/{line_id}"
    return {
        "links": {"self": f"{base}/analysis", **{name: f"{base}/{name}" for name in ("data", "score", "delta")}},
        "data": {
            "type": "analysis",
            "id": line_id,
            "attributes": {"level": "metrics", "score": json.loads(made["analysis"])["score"]},
        },
    }
