"""The book of LettrLabs POSTs: which of ours left, so that no job takes another's upload for its own.

The list of uploads names no job (contract 7), and a time fits many. So every POST is entered before it leaves, and
struck out only when its upload is known or when it certainly made none. While another POST of ours that fits is in the
book, nothing is taken from the list. The book lies by the ledger: it outlives workers, and jobs that ended badly.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from providers.base import Provider
from providers.errors import NotSent, ProviderError

#: A POST whose upload never became known is remembered so long, seconds. An older doubt is not settled by the list.
KEPT = 7 * 86400.0

#: A receipt that may not have reached the ledger is kept so long, seconds.
RECEIPTS_KEPT = 86400.0

#: The provider's clock and ours may differ so much, seconds.
SKEW = 120.0

_BOOK = "posts"
_RECEIPTS = "receipts"
_REPEAT = "repeat"
_TURN = "turn"

#: Between two looks at the notes, seconds.
_LOOK = 0.05


class Posts:
    """The POSTs of one account, by all workers together.

    Args:
        provider: keeps the notes that all workers share.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._here = asyncio.Lock()
        settings = provider.settings
        self.flight: float = (
            settings.connect_timeout + settings.read_timeout
        )  #: a POST that lives has an answer by then
        self._patience: float = settings.connect_timeout

    @contextmanager
    def leaving(self, job_id: str) -> Iterator[str]:
        """Enter a POST that is about to leave; it is struck out again if it certainly made no upload.

        Yields:
            Its entry.
        """
        notes, name = self._provider.notes, self._provider.name
        member = f"{job_id} {uuid.uuid4().hex[:12]}"
        notes.enter(name, _BOOK, member, notes.now(), KEPT)
        try:
            yield member
        except ProviderError as error:
            if not getattr(error, "may_have_arrived", False):
                notes.leave(name, _BOOK, member)
            raise

    def lost(self, job_id: str) -> list[float]:
        """When the POSTs of a job left whose upload is not known, oldest first."""
        return [at for member, at in self._all().items() if self._of(member) == (job_id, True)]

    def found(self, job_id: str, receipt: Mapping[str, Any], entry: str | None = None) -> None:
        """The uploads of a job are known, and adopted: its POSTs concern nobody any more.

        The receipt is kept for a while: the worker may die before it is in the ledger.

        Args:
            job_id: the job.
            receipt: of its POST.
            entry: of its only POST, if there was only one.
        """
        notes, name = self._provider.notes, self._provider.name
        notes.enter(name, _RECEIPTS, f"{job_id} {json.dumps(dict(receipt))}", notes.now(), RECEIPTS_KEPT)
        for member in [entry] if entry else [each for each in self._all() if self._of(each)[0] == job_id]:
            notes.leave(name, _BOOK, member)

    def receipt(self, job_id: str, since: float) -> dict[str, Any] | None:
        """The receipt of a job whose POST was answered after that time, seconds since the epoch."""
        notes = self._provider.notes
        for entry in reversed(notes.entered(self._provider.name, _RECEIPTS, since, notes.now() + KEPT)):
            whose, _, text = entry.partition(" ")
            if whose == job_id:
                receipt: dict[str, Any] = json.loads(text)
                return receipt
        return None

    def repeated(self, job_id: str) -> None:
        """A job was answered as a repeat of its own lost POST: it arrived, and is never sent again."""
        notes = self._provider.notes
        notes.enter(self._provider.name, _BOOK, f"{job_id} {_REPEAT}", notes.now(), KEPT)

    def is_repeat(self, job_id: str) -> bool:
        """Whether a job was answered so."""
        return f"{job_id} {_REPEAT}" in self._all()

    def _all(self) -> dict[str, float]:
        notes = self._provider.notes
        return notes.entered(self._provider.name, _BOOK, 0.0, notes.now() + KEPT)

    @staticmethod
    def _of(member: str) -> tuple[str, bool]:
        job_id, _, token = member.rpartition(" ")
        return job_id, token != _REPEAT

    def others(self, job_id: str, since: float, until: float) -> dict[str, float]:
        """The POSTs of other jobs without a known upload that may have made one in that time, with their times.

        Args:
            job_id: the job that asks.
            since: seconds since the epoch by our clock; that of the provider may differ by `SKEW`.
            until: likewise.
        """
        notes, name = self._provider.notes, self._provider.name
        book = notes.entered(name, _BOOK, since - self.flight - 2 * SKEW, until + 2 * SKEW)
        whose = {member: self._of(member) for member in book}
        return {member: book[member] for member, (job, posted) in whose.items() if posted and job != job_id}

    async def disputed(self, job_id: str, since: float, until: float) -> bool:
        """Whether there are `others`, when those that may still be answered had time to be.

        Only those are waited for that had left when this was called: whoever leaves later is not in a list that was
        read before.
        """
        now, clock = self._provider.notes.now, asyncio.get_running_loop().time
        end, book = clock() + self.flight, self.others(job_id, since, until)
        while any(now() - at < self.flight for at in book.values()) and clock() < end:
            await asyncio.sleep(_LOOK)
            still = self.others(job_id, since, until)
            book = {member: at for member, at in book.items() if member in still}
        return bool(book)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Be the only one, of all workers, who sends a POST and then looks for its upload in the list.

        The turn of a dead worker ends by itself. If a live one outstays it, two may send at a time: then two uploads
        are new in the list, and neither is taken.

        Raises:
            NotSent: the turn did not come in time.
        """
        notes, name = self._provider.notes, self._provider.name
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._patience):
                    await stack.enter_async_context(self._here)
                    mine = await self._taken()
            except TimeoutError:
                raise NotSent("other POSTs go first: only the list tells the ids of uploads") from None
            stack.callback(notes.forget, name, _TURN, mine)
            yield

    async def _taken(self) -> str:
        notes, name = self._provider.notes, self._provider.name
        while True:
            mine = f"{uuid.uuid4().hex} {notes.now() + 2 * self.flight}"
            held = notes.remember(name, _TURN, mine)
            if held == mine:
                return mine
            if float(held.rpartition(" ")[2]) <= notes.now():
                notes.forget(name, _TURN, held)
            else:
                await asyncio.sleep(_LOOK)
