"""Who watches the requests to a provider: metrics, traces, both or nobody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Self

from config import metrics, traces
from config.settings import CoreSettings
from providers.settings import ProviderSettings
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
    told = settings.traces.to_providers

    plain = partial(_Timed, provider)

    @contextmanager
    def traced(method: str, what: str) -> Iterator[Seen]:
        with _Timed(provider, method, what) as timed, traces.spans().request(method, what, address, told=told) as seen:
            yield seen
            timed.status = seen.status

    def either(method: str, what: str) -> AbstractContextManager[Seen]:
        return (traced if traces.spans().recording else plain)(method, what)

    return either if settings.traces.on else plain


class _Timed(Seen):
    """A request whose duration is counted. Plain, because there is one for each poll."""

    __slots__ = ("_began", "_labels")

    def __init__(self, provider: str, method: str, what: str) -> None:
        super().__init__()
        self._labels = (provider, method, what)
        self._began = time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        result = f"{(self.status or 0) // 100}xx" if error is None else metrics.kind_of(error) or "cancelled"
        metrics.requested(*self._labels, result, time.perf_counter() - self._began)
