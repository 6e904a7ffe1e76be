"""Alphabets of Unique Tokens: capacity is asked before anything is paid, a caller's own is added (contract 4).

An alphabet belongs to the session, so it is added to each; what was learnt is kept as long as the session lives.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from providers.errors import BadAnswer, PermanentError, Refused
from providers.http import segment
from providers.unique_tokens.documents import part, whole
from providers.unique_tokens.requests import ProduceRequest, marked
from providers.unique_tokens.sessions import SessionProvider, fingerprint

#: What is known of an alphabet at so many digits: how many tokens there are, and how many one part can deliver.
Capacity = tuple[int | None, int | None]

#: Alphabets and digits that are kept in mind; a caller who makes a new one for each job must not fill the memory.
_KEPT = 1000


class Alphabets:
    """What one worker process knows of the session's alphabets.

    Args:
        provider: makes the calls.
        mark: whether a caller's own alphabets get names that no other characters have.
        ask: whether their capacity is asked.
    """

    def __init__(self, provider: SessionProvider, *, mark: bool, ask: bool) -> None:
        self._provider = provider
        self._mark, self._ask = mark, ask
        self._asking = asyncio.Lock()
        self._known: dict[tuple[str, str, int], Capacity] = {}

    def name(self, request: ProduceRequest) -> str:
        """What the service shall call the alphabet."""
        if request.chars is not None and self._mark:
            return marked(request.alphabet, request.chars)
        return request.alphabet

    async def capacity(self, request: ProduceRequest) -> tuple[Capacity, str]:
        """The capacity of a request's alphabet, and the fingerprint of the session that has it from now on.

        Raises:
            Refused: there is no such alphabet, or other characters have its name.
            ProviderError: it could not be asked, or added.
        """
        name, within = self.name(request), fingerprint(await self._provider.session())
        if request.chars is None and not self._ask:
            return (None, None), within
        key = (within, name, request.digits)
        async with self._asking:  # a bundle of jobs asks once, not each
            if key not in self._known:
                found = await self._asked(name, request)
                if len(self._known) >= _KEPT:
                    self._known.clear()
                self._known[key] = found
            return self._known[key], within

    async def _asked(self, name: str, request: ProduceRequest) -> Capacity:
        path = f"/api/alphabets/{segment(name)}" + (f"/{request.digits}" if self._ask else "")
        try:
            body = await self._provider.call("GET", path)
        except PermanentError as error:
            if request.chars is None:
                raise Refused(f"alphabet: the service does not give this one ({error})", status=404) from None
            body = await self._add(name, request.chars, path)
        attributes = part(body, "data", "attributes")
        if not attributes:
            raise BadAnswer("the answer describes no alphabet")
        if request.chars is not None and attributes.get("chars") != request.chars:
            raise Refused(
                "alphabet: other characters have this name in the session; give your own alphabet another name",
                status=409,
            )
        return whole(attributes.get("available")), whole(attributes.get("reachable"))

    async def _add(self, name: str, chars: str, path: str) -> dict[str, Any]:
        """Add an alphabet; returns its description, whoever added it."""
        body: dict[str, Any] = {"data": {"type": "alphabet", "id": name, "attributes": {"chars": chars}}}
        try:
            await self._provider.call("POST", "/api/alphabets", json=body)
        except PermanentError as refused:  # another worker may have been quicker
            with suppress(PermanentError):
                return await self._provider.call("GET", path)
            raise refused from None
        return await self._provider.call("GET", path)
