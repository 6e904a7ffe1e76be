"""Who watches the requests to a provider: metrics, traces, both or nobody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from config import metrics, traces
from config.settings import CoreSettings
from providers.base import ProviderSettings
from providers.watch import Seen, Watch


def watch(provider: str, settings: CoreSettings, own: ProviderSettings) -> Watch | None:
    """The watch of a provider's requests; none if nobody wants to know.

    Args:
        provider: its name.
        settings: as configured.
        own: those of the provider.
    """
    if not metrics.enabled() and not settings.traces.on:
        return None
    address = (own.base_url.host or "", own.base_url.port or 0) if own.base_url is not None else ("", 0)

    def spanned(method: str, what: str) -> Any:
        if not settings.traces.on:
            return nullcontext(Seen())
        return traces.spans().request(method, what, address, told=settings.traces.to_providers)

    @contextmanager
    def watching(method: str, what: str) -> Iterator[Seen]:
        began, result = time.perf_counter(), "cancelled"
        try:
            with spanned(method, what) as seen:
                yield seen
            result = f"{(seen.status or 0) // 100}xx"
        except Exception as error:
            result = metrics.kind_of(error) or ""
            raise
        finally:
            metrics.requested(provider, method, what, result, time.perf_counter() - began)

    return watching
