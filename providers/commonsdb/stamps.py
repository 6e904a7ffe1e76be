"""RFC 3161 time stamps over signatures (contract commonsdb 2.5): from an authority that knows nothing of CommonsDB.

Nothing was sent to CommonsDB yet, so whatever goes wrong here is `NotReady`: the job waits and is made anew.
"""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from rfc3161_client import HashAlgorithm, PKIStatus, TimestampRequestBuilder, decode_timestamp_response

from jobs.ledger import Ledger
from providers.commonsdb.settings import CommonsDBSettings
from providers.errors import NotReady, ProviderError, TransientError
from providers.http import ProviderClient

_HEADERS = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
_GRANTED = frozenset({PKIStatus.GRANTED, PKIStatus.GRANTED_WITH_MODS})

#: How often somebody who waits for a place looks again, seconds.
_LOOK = 0.1


class Stamper:
    """Has signatures stamped, a few at a time.

    Args:
        settings: name the authority, and how many at a time.
        http: sends the queries; no key goes along.
        notes: through which all workers together keep to that number.
    """

    def __init__(self, settings: CommonsDBSettings, http: ProviderClient, notes: Ledger) -> None:
        self._settings = settings
        self._http = http
        self._notes = notes
        # In the order they came, and one Redis call for those at the front only.
        self._front = asyncio.Semaphore(settings.tsa_in_flight)

    async def stamp_all(self, tokens: list[str]) -> list[dict[str, str]]:
        """The time stamps of one declaration's signatures, `{tsq, tsr}` in base64, one after the other.

        A place is held until all are there: if each stamp queued anew, many declarations could be stamped by half
        and none in time.

        Raises:
            NotReady: the authority gave none that fits.
        """
        async with self._place():
            return [(await self.stamp(token.encode()))[0] for token in tokens]

    async def stamp(self, data: bytes) -> tuple[dict[str, str], datetime]:
        """One stamp, and the authority's time in it.

        Raises:
            NotReady: the authority gave none that fits.
        """
        algorithm = HashAlgorithm(self._settings.tsa_hash.upper())
        query = TimestampRequestBuilder().data(data).hash_algorithm(algorithm).build()
        try:
            sent = query.as_bytes()
            answer = (await self._http.post_elsewhere(str(self._settings.tsa_url), sent, _HEADERS)).check()
        except ProviderError as error:
            wait = error.retry_after if isinstance(error, TransientError) else None
            raise NotReady(f"the time-stamp authority: {error}", retry_after=wait) from None
        try:
            reply = decode_timestamp_response(answer.body)
            if reply.status not in _GRANTED:
                raise NotReady(f"the time-stamp authority refused (status {reply.status})")
            info = reply.tst_info
            imprint = info.message_imprint
        except ValueError:
            raise NotReady("the time-stamp authority answered something else than a time stamp") from None
        asked = query.message_imprint
        if (imprint.hash_algorithm, imprint.message) != (asked.hash_algorithm, asked.message):
            raise NotReady("the time-stamp authority stamped something else")
        if info.nonce != query.nonce:
            raise NotReady("the time-stamp authority answered another query")
        stamp = {"tsq": base64.b64encode(sent).decode(), "tsr": base64.b64encode(answer.body).decode()}
        return stamp, info.gen_time

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """One of the places that all workers share; those of dead workers are free when their time is over."""
        async with self._front:
            name, mine = await self._take()
            try:
                yield
            finally:
                self._notes.forget("commonsdb", name, mine)

    async def _take(self) -> tuple[str, str]:
        while True:
            for number in range(self._settings.tsa_in_flight):
                name, now = f"stamping-{number}", self._notes.now()
                held = self._notes.recall("commonsdb", name)
                if held is not None and float(held.partition(" ")[0]) > now:
                    continue
                if held is not None:
                    self._notes.forget("commonsdb", name, held)
                mine = f"{now + self._settings.stamp_within:.3f} {uuid.uuid4().hex}"
                if self._notes.remember("commonsdb", name, mine) == mine:
                    return name, mine
            await asyncio.sleep(_LOOK)
