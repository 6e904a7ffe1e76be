"""Every metric of Settle: its name, type, labels and help. `docs/metrics.md` has this table; a test compares them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The type of a metric, as Prometheus names it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()  #: upper bounds of a histogram, seconds


#: Seconds from due to begun: a clock ticks every 0.2 s, a lease is 30 s.
_LATENESS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
#: Seconds of a request: the time-outs are 5 and 10 s; a file may take minutes.
_REQUEST = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0)

#: Read from the ledger when somebody asks: the same from whoever is asked, so take `max`, never `sum`.
OF_LEDGER = (
    Metric("settle_ledger_up", Kind.GAUGE, (), "1 if the ledger answered, else 0 and no other figure of it"),
    Metric(
        "settle_jobs",
        Kind.GAUGE,
        ("provider", "state"),
        "jobs in this state; of a final state, those that ever ended so",
    ),
    Metric("settle_jobs_due", Kind.GAUGE, ("provider",), "jobs whose wake-up time has passed"),
    Metric("settle_overdue_seconds", Kind.GAUGE, ("provider",), "since the earliest wake-up time that has passed"),
    Metric("settle_oldest_job_seconds", Kind.GAUGE, ("provider",), "age of the oldest unfinished job"),
    Metric("settle_bundles_outstanding", Kind.GAUGE, ("provider",), "bundles queued or running"),
    Metric("settle_gate", Kind.GAUGE, ("provider", "state"), "1 for the gate's state: open, half_open or closed"),
    Metric("settle_gate_pause_seconds", Kind.GAUGE, ("provider",), "until the gate opens"),
    Metric("settle_gate_failures", Kind.GAUGE, ("provider",), "pauses in a row"),
    Metric("settle_queue_messages", Kind.GAUGE, ("queue",), "messages waiting, if the broker is Redis"),
    Metric("settle_ledger_memory_bytes", Kind.GAUGE, (), "memory that the ledger's server uses"),
    Metric("settle_ledger_memory_limit_bytes", Kind.GAUGE, (), "memory that it may use; 0 for no limit"),
    Metric("settle_deliveries_total", Kind.COUNTER, ("target", "result"), "tries to tell of events: delivered, failed"),
    Metric("settle_deliveries_waiting", Kind.GAUGE, ("target",), "events that are still to be told"),
    Metric("settle_deliveries_dead", Kind.GAUGE, ("target",), "events that were given up"),
    Metric(
        "settle_deliveries_unread_seconds",
        Kind.GAUGE,
        ("target",),
        "age of the oldest event that nobody has looked at for the target",
    ),
    Metric("settle_target_disabled", Kind.GAUGE, ("target",), "1 if the target said that it is gone, else 0"),
)

#: Counted by each worker: take `sum`.
OF_WORKER = (
    Metric(
        "settle_triggers_total",
        Kind.COUNTER,
        ("provider", "answer"),
        "triggers received: created, same (known already), conflict (id of another request), refused (unreadable)",
    ),
    Metric(
        "settle_submissions_total",
        Kind.COUNTER,
        ("provider", "result"),
        "submissions: accepted, or the kind of error",
    ),
    Metric(
        "settle_doubts_total",
        Kind.COUNTER,
        ("provider", "result"),
        "questions for lost submissions: found, absent, gone, unknown, or the kind of error",
    ),
    Metric(
        "settle_polls_total",
        Kind.COUNTER,
        ("provider", "result"),
        "observations: running, succeeded, failed, unknown_word, or the kind of error",
    ),
    Metric(
        "settle_poll_lateness_seconds",
        Kind.HISTOGRAM,
        ("provider",),
        "from a job's wake-up time to the beginning of its poll",
        _LATENESS,
    ),
    Metric(
        "settle_request_seconds",
        Kind.HISTOGRAM,
        ("provider", "method", "what", "result"),
        "requests to a provider, by what (call or download) and result (2xx, …, or the kind of error)",
        _REQUEST,
    ),
    Metric("settle_moves_total", Kind.COUNTER, ("provider", "source", "target"), "jobs that changed their state"),
    Metric(
        "settle_jobs_finished_total",
        Kind.COUNTER,
        ("provider", "workflow", "state", "kind"),
        "jobs that ended, by state and kind of failure (empty for none)",
    ),
    Metric("settle_claims_lost_total", Kind.COUNTER, ("provider", "state"), "moves refused: somebody else had the job"),
    Metric("settle_files_fetched_total", Kind.COUNTER, ("provider",), "files stored as promised"),
    Metric("settle_fetched_bytes_total", Kind.COUNTER, ("provider",), "bytes of these files"),
    Metric(
        "settle_files_mismatched_total",
        Kind.COUNTER,
        ("provider", "kind"),
        "fetches and verifications that found another file than promised",
    ),
    Metric(
        "settle_pauses_total",
        Kind.COUNTER,
        ("provider", "kind"),
        "gates closed: busy, unreachable, unauthorized (the key is refused), or for submissions only",
    ),
    Metric("settle_looks_total", Kind.COUNTER, ("what",), "ticks of the clock, looks of the intake"),
    Metric(
        "settle_looks_failed_total",
        Kind.COUNTER,
        ("what",),
        "those that found ledger or broker away, or broke",
    ),
)

ALL = (*OF_LEDGER, *OF_WORKER)
