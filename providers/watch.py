"""Whoever watches the requests to a provider: for metrics and traces. Nobody does unless the runtime says so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Protocol, TypeVar, cast


@dataclass(slots=True)
class Seen:
    """One request, while it is under way."""

    headers: Mapping[str, str] = field(default_factory=dict)  #: sent beside its own, to the provider's own origin only
    status: int | None = None  #: of the answer, once it is there


class Watch(Protocol):
    """Sees each request begin and end; an exception that passes through is how it failed."""

    def __call__(self, method: str, what: str) -> AbstractContextManager[Seen]:
        """A request begins.

        Args:
            method: of HTTP.
            what: `call`, or `download` of a file.
        """
        ...


Call = TypeVar("Call", bound=Callable[..., Coroutine[Any, Any, Any]])
Download = TypeVar("Download", bound=Callable[..., AbstractAsyncContextManager[AsyncIterator[bytes]]])


def watched_call(call: Call) -> Call:
    """The same method of a client, watched if the client has a `watch`."""

    async def watching(client: Any, method: str, path: str, **options: Any) -> Any:
        with client.watch(method, "call") as seen:
            if seen.headers:
                options["headers"] = {**(options.get("headers") or {}), **seen.headers}
            answer = await call(client, method, path, **options)
            seen.status = answer.status
            return answer

    @wraps(call)
    def either(client: Any, method: str, path: str, **options: Any) -> Coroutine[Any, Any, Any]:
        return (call if client.watch is None else watching)(client, method, path, **options)

    return cast("Call", either)


def watched_download(download: Download) -> Download:
    """The same method of a client, watched if the client has a `watch`."""

    @asynccontextmanager
    async def watching(
        client: Any, link: str, *, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        with client.watch("GET", "download") as seen:
            async with download(client, link, headers={**(headers or {}), **seen.headers}) as chunks:
                seen.status = 200  # anything else was raised
                yield chunks

    @wraps(download)
    def either(
        client: Any, link: str, *, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return (download if client.watch is None else watching)(client, link, headers=headers)

    return cast("Download", either)
