"""The figures of the ledger as metrics: read when they are asked for, the same from every worker and from Flower."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError, ResponseError

from config import servers
from config.metrics.declared import OF_LEDGER, Kind
from config.metrics.declared import Metric as Declared
from config.runtime import Runtime
from jobs.outbox import Standing, standings, unread_since
from jobs.search import Gate, Overview
from jobs.states import JobState

logger = logging.getLogger(__name__)

#: Whoever asks again within so many seconds gets the same answer.
_KEPT = 1.0

Value = tuple[tuple[str, ...], float]


class LedgerCollector(Collector):
    """Gives a registry what the ledger says. May be asked from any thread.

    Args:
        run: a runtime of its own, whose client does not retry: a scrape waits for nobody.
        queues: of the broker, by name.
    """

    def __init__(self, run: Runtime, queues: Iterable[str]) -> None:
        self._run = run
        self._queues = tuple(queues)
        self._lock = threading.Lock()
        self._held: tuple[float, dict[str, list[Value]]] | None = None
        self._broker: Any = None
        if servers.redis_like(broker := run.settings.broker()):
            self._broker = servers.client(run.settings, broker, socket_timeout=5, socket_connect_timeout=5)

    def describe(self) -> Iterable[Metric]:
        """The metrics without values: nobody is asked when it is registered."""
        return [_family(metric) for metric in OF_LEDGER]

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        values = self._values()
        for metric in OF_LEDGER:
            family = _family(metric)
            for labels, value in values.get(metric.name, ()):
                family.add_metric(labels, value)
            yield family

    def _values(self) -> dict[str, list[Value]]:
        with self._lock:
            if self._held is None or time.monotonic() - self._held[0] > _KEPT:
                read = self._read()
                self._held = (time.monotonic(), read)
            return self._held[1]

    def _read(self) -> dict[str, list[Value]]:
        try:
            overviews = self._run.ledger.overview(list(self._run.settings.providers()))
            memory: Any = self._run.redis.info("memory")
            told = standings(self._run.redis)
            unread = self._unread(told)
        except (RedisError, OSError) as error:
            logger.warning("figures_not_read", extra={"fields": {"error": type(error).__name__}})
            return {"settle_ledger_up": [((), 0)]}
        values = {**_of_ledger(overviews, memory, self._run.clock.now()), **_of_targets(told), **unread}
        with suppress(RedisError, OSError):
            values["settle_queue_messages"] = list(self._waiting())
        return values

    def _unread(self, told: Iterable[str]) -> dict[str, list[Value]]:
        streams = {provider: self._run.ledger.stream(provider) for provider in self._run.settings.providers()}
        oldest, now = unread_since(self._run.redis, list(told), streams), self._run.clock.now()
        ages: list[Value] = [((name,), max(now - at, 0.0) if at else 0.0) for name, at in oldest.items()]
        return {"settle_deliveries_unread_seconds": ages}

    def _waiting(self) -> Iterator[Value]:
        if self._broker is None:
            return
        pipe = self._broker.pipeline(transaction=False)
        for queue in self._queues:
            pipe.llen(queue)
        for queue, length in zip(self._queues, pipe.execute(raise_on_error=False), strict=True):
            if not isinstance(length, ResponseError):
                yield (queue,), length


def _of_ledger(overviews: Iterable[Overview], memory: Mapping[str, Any], now: float) -> dict[str, list[Value]]:
    values: dict[str, list[Value]] = {
        "settle_ledger_up": [((), 1)],
        "settle_ledger_memory_bytes": [((), int(memory["used_memory"]))],
        "settle_ledger_memory_limit_bytes": [((), int(memory.get("maxmemory", 0)))],
    }
    for own in overviews:
        for name, found in _of_provider(own, now).items():
            values.setdefault(name, []).extend(((own.provider, *labels), value) for labels, value in found)
    return values


def _of_targets(told: Mapping[str, Standing]) -> dict[str, list[Value]]:
    results: list[Value] = [
        ((name, what), getattr(own, what)) for name, own in told.items() for what in ("delivered", "failed")
    ]
    return {
        "settle_deliveries_total": results,
        "settle_deliveries_waiting": [((name,), own.waiting) for name, own in told.items()],
        "settle_deliveries_dead": [((name,), own.dead) for name, own in told.items()],
        "settle_target_disabled": [((name,), float(own.disabled_at > 0)) for name, own in told.items()],
    }


def _family(metric: Declared) -> GaugeMetricFamily | CounterMetricFamily:
    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    return kind(metric.name, metric.help, labels=metric.labels)


def _of_provider(own: Overview, now: float) -> dict[str, list[Value]]:
    return {
        "settle_jobs": [((state.value,), max(own.counts.get(state, 0), 0)) for state in JobState],
        "settle_jobs_due": [((), own.due)],
        "settle_overdue_seconds": [((), own.lateness)],
        "settle_oldest_job_seconds": [((), max(now - own.oldest, 0.0) if own.oldest is not None else 0.0)],
        "settle_bundles_outstanding": [((), own.bundles)],
        "settle_gate": [((gate.value,), float(own.gate is gate)) for gate in Gate],
        "settle_gate_pause_seconds": [((), max(own.paused_until - now, 0.0))],
        "settle_gate_failures": [((), own.failures)],
    }


def register(registry: CollectorRegistry, run: Runtime, queues: Iterable[str]) -> None:
    """Have a registry give out the ledger's figures."""
    registry.register(LedgerCollector(run, queues))
