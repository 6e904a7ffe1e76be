"""The application as `settle flower` loads it: the ledger's figures stand beside Flower's own at its `/metrics`."""

from __future__ import annotations

from prometheus_client import REGISTRY

from config.celery_app import QUEUES, app
from config.metrics import ledger
from config.runtime import Runtime
from config.settings import settings

ledger.register(REGISTRY, Runtime(settings(), retries=0), QUEUES)

__all__ = ["app"]
