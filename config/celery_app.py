"""The Celery application: `celery -A config.celery_app worker`.

Reasons for each setting are in `docs/architecture.md`; measured facts behind them in Celery's and kombu's own issues.
"""

from __future__ import annotations

import gc
import pkgutil
from importlib import import_module

from celery import Celery
from celery.signals import (
    heartbeat_sent,
    import_modules,
    setup_logging,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_shutdown,
)
from kombu import Queue

import tasks
import workflows
from config import runtime as shared
from config import servers, traces
from config.logs import configure
from config.settings import settings
from patches import patch_once
from providers import installed

#: Entry tasks come on Celery's default queue: any client finds it without being told.
QUEUES = ("celery", "settle.submit", "settle.poll", "settle.files")


def _modules() -> list[str]:
    """Every module of stages and workflows: a new workflow module needs no entry here."""
    return [
        f"{package.__name__}.{found.name}"
        for package in (tasks, workflows)
        for found in pkgutil.iter_modules(package.__path__)
        if not found.ispkg
    ]


def make_app() -> Celery:
    """The application for the settings of this process."""
    own = settings()
    broker, results = own.broker(), own.redis()
    on_redis = servers.redis_like(broker)
    kind = {} if on_redis else {"x-queue-type": "quorum"}
    transport = {
        "visibility_timeout": own.visibility_timeout,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "unacked_restore_limit": 500,
        "health_check_interval": 10,
        "socket_connect_timeout": 5,
        "socket_timeout": 15,
        "socket_keepalive": True,
        "priority_steps": [0],
        **servers.transport_options(own, broker),
    }
    celery = Celery(
        "settle", broker=servers.for_celery(broker), backend=servers.for_celery(results), include=_modules()
    )
    celery.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        # Each with a key of its own: else all share the default one, and a message to that exchange is multiplied.
        task_queues=[Queue(name, routing_key=name, queue_arguments=kind) for name in QUEUES],
        task_default_queue="celery",
        task_routes={
            "settle.submit": {"queue": "settle.submit"},
            "settle.poll": {"queue": "settle.poll"},
            "settle.measure": {"queue": "settle.files"},
            "settle.fetch": {"queue": "settle.files"},
            "settle.verify": {"queue": "settle.files"},
            "settle.emit": {"queue": "settle.files"},
        },
        # A killed stage is delivered again; the ledger's fence makes that harmless.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        # No soft limit: its signal may hit a child that is writing its answer, and what the parent reads then ends it
        # (UnpicklingError). It does, when the broker was away for longer than the limit. See docs/reliability.md.
        task_time_limit=own.stage_time_limit,
        task_publish_retry_policy={"max_retries": 60, "interval_start": 0.2, "interval_step": 0.5, "interval_max": 5},
        # For rediss:// Flower reads it from here alone; everybody else from the address.
        broker_use_ssl=servers.tls_options(own, broker) or False,
        redis_backend_use_ssl=servers.tls_options(own, results) if servers.sentinels(results) else None,
        # What is published to RabbitMQ counts when it says so: a task of another application must not get lost.
        broker_transport_options=transport if on_redis else {"confirm_publish": True},
        broker_heartbeat=20,  # RabbitMQ; a cut network is noticed within two of them
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A worker that is back before RabbitMQ has noticed that it was away finds its own control queue locked: it
        # tries again, instead of exiting.
        broker_channel_error_retry=True,
        visibility_timeout=own.visibility_timeout,
        result_backend_transport_options={
            "visibility_timeout": own.visibility_timeout,
            **servers.transport_options(own, results),
        },
        result_backend_always_retry=True,
        result_backend_max_retries=20,
        result_expires=int(own.retention),
        redis_socket_timeout=10,
        redis_socket_keepalive=True,
        redis_backend_health_check_interval=30,
        worker_send_task_events=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_soft_shutdown_timeout=10,
        enable_utc=True,
    )
    # By name: a worker of the poll queue runs the clock, one of the intake queue receives triggers.
    celery.steps["consumer"].update({"tasks.clock:Clock", "tasks.receive:Intake"})
    celery.steps["worker"].add("config.metrics.serving:Serving")
    return celery


patch_once()
app = make_app()


#: Python looks for garbage in cycles after so many new objects, not after each 700: a bundle makes thousands that all
#: go by themselves, and the looking was a fifth of the CPU per poll (docs/architecture.md).
_COLLECT_AFTER = 10_000


@worker_init.connect
def _begin(**_: object) -> None:
    shared.be_patient()
    gc.set_threshold(_COLLECT_AFTER)


@worker_process_init.connect
def _begin_child(**_: object) -> None:
    gc.freeze()  # what the parent has loaded is no garbage


@import_modules.connect
def _load_workflows(sender: Celery | None = None, **_: object) -> None:
    """Load the workflows of other packages: after ours, whose names are then taken.

    Raises:
        ConfigurationError: one cannot be loaded; the message names its package.
    """
    if sender is app:
        for module in _modules():
            import_module(module)
        installed.each(installed.WORKFLOWS, lambda point: import_module(point.module))


@setup_logging.connect
def _set_up_logging(**_: object) -> None:
    configure(settings().log_level)


@heartbeat_sent.connect
def _alive(**_: object) -> None:
    """The worker's loop runs, and its broker takes messages."""
    if (file := settings().health_file) is not None:
        file.touch()


@worker_process_shutdown.connect
@worker_shutdown.connect
def _close(**_: object) -> None:
    shared.runtime().close()
    traces.close()
