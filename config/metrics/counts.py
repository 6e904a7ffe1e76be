"""What one worker has counted, in files that its pool children share: prometheus_client's multiprocess mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from config.metrics.declared import OF_WORKER, Kind, Metric
from config.settings import hand_down
from patches.private import observe_many, share_values

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


class Counts:
    """The counters and histograms of this process and the children it will have.

    Args:
        folder: an empty one of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        hand_down(_FOLDER, str(folder))
        share_values(shared=True)
        unread = CollectorRegistry()  # what is served is read from the files
        self._made: dict[str, Any] = {metric.name: _made(metric, unread) for metric in OF_WORKER}
        self._labelled: dict[tuple[str, ...], Any] = {}

    def _of(self, name: str, labels: tuple[str, ...]) -> Any:
        key = (name, *labels)
        if key not in self._labelled:
            made = self._made[name]
            self._labelled[key] = made.labels(*labels) if labels else made
        return self._labelled[key]

    def add(self, name: str, *labels: str, by: float = 1) -> None:
        """Raise a counter; with 0 it shows up at 0, so that its first count is seen as a rise."""
        self._of(name, labels).inc(by)

    def add_all(self, name: str, tally: Mapping[Any, float]) -> None:
        """Raise a counter for many sets (tuples) of labels."""
        for labels, by in tally.items():
            self._of(name, labels).inc(by)

    def observe(self, name: str, *labels: str, seen: Sequence[float]) -> None:
        """Add values to a histogram."""
        if seen:
            observe_many(self._of(name, labels), seen)

    def register(self, registry: CollectorRegistry) -> None:
        """Have a registry give out what this process and its children have counted."""
        MultiProcessCollector(registry, str(self.folder))  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Count no more; the files may go."""
        share_values(shared=False)
        hand_down(_FOLDER, None)


def _made(metric: Metric, registry: CollectorRegistry) -> Any:
    if metric.kind is Kind.HISTOGRAM:
        return prometheus_client.Histogram(
            metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=registry
        )
    return prometheus_client.Counter(metric.name, metric.help, metric.labels, registry=registry)
