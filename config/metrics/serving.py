"""A worker's metrics over HTTP: a bootstep of the worker, in its main process, if `SETTLE_METRICS__PORT` is set."""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery import bootsteps
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from config import metrics
from config.metrics import ledger
from config.runtime import Runtime
from config.settings import settings

logger = logging.getLogger(__name__)

#: Between two tries to get a port that somebody else has, seconds: the worker before this one may be ending.
_AGAIN = 2.0

#: Of the folders in which workers and their children count.
_PREFIX = "settle-metrics-"


class Serving(bootsteps.StartStopStep):
    """Counts from before the pool forks until the worker ends."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._over = threading.Event()
        self._server: Any = None

    def include_if(self, worker: Any) -> bool:
        """Only where a port is set."""
        return settings().metrics.port is not None

    def create(self, worker: Any) -> Any:
        """Begin to count: called before any child is forked."""
        self._counts = metrics.enable(_own_folder())
        # A child that outlives its parent must not keep the port.
        os.register_at_fork(after_in_child=self._let_go)
        return super().create(worker)

    def start(self, worker: Any) -> None:
        """Serve, as soon as the port is free: no job waits for that."""
        registry = CollectorRegistry()
        self._counts.register(registry)
        ProcessCollector(registry=registry)
        queues = [queue.name for queue in worker.app.conf.task_queues]
        ledger.register(registry, Runtime(settings(), retries=0), queues)
        threading.Thread(target=self._serve, args=(registry,), name="settle-metrics", daemon=True).start()

    def _serve(self, registry: CollectorRegistry) -> None:
        own = settings().metrics
        told = False
        while not self._over.is_set():
            try:
                server, _ = start_http_server(own.port or 0, own.address, registry)
            except OSError as error:
                if not told:
                    remedy = "give each worker of a machine its own SETTLE_METRICS__PORT, or 0"
                    fields = {"address": own.address, "port": own.port, "error": error.strerror, "remedy": remedy}
                    logger.error("metrics_not_served", extra={"fields": fields})
                told = True
                self._over.wait(_AGAIN)
                continue
            self._server = server
            fields = {"address": own.address, "port": server.server_port}
            logger.info("metrics_served", extra={"fields": fields})
            return

    def _let_go(self) -> None:
        if self._server is not None:
            self._server.socket.close()

    def stop(self, parent: Any) -> None:
        """Serve no more. What still runs in the pool goes on counting: the files go with the process."""
        self._over.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def terminate(self, parent: Any) -> None:
        """As `stop`."""
        self.stop(parent)


def _own_folder() -> Path:
    """A new folder, removed when this process ends, and locked for as long as it or one of its children lives.

    Folders that nobody has locked are of workers that were killed: they are removed now. Whoever tidies up `/tmp` heeds
    the lock, too.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            lock = _locked(left)
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with suppress(OSError):  # another worker that starts now took it for left
            _locked(folder)  # for good: children inherit it
            if folder.exists():
                break
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # a pool child leaves without it
    return folder


def _locked(folder: Path) -> int:
    """The descriptor of a folder that nobody else has locked.

    Raises:
        OSError: somebody has.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
