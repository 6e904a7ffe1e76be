"""The pace of one provider's requests in one process: each waits for its turn, and tells when it has arrived.

The turns come from the ledger, for all workers together (`jobs.pacing`); one task here asks for as many as requests
wait, and brings the ends along, so the ledger is called once for many requests.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque

from jobs.ledger import Ledger
from jobs.pacing import Turn
from providers.errors import Deferred, NotSent, ProviderError

#: More than this at a time is not asked for.
_AT_ONCE = 100
#: Between two calls of the ledger, seconds: at least, and at most while somebody waits.
_SHORTEST, _LONGEST = 0.01, 0.05


class Pace:
    """Lets requests go one by one, at the provider's rate. Belongs to the event loop that first uses it.

    Args:
        provider: whose.
        rate: requests per second for all workers together, above 0.
        ledger: hands out the turns.
    """

    def __init__(self, provider: str, rate: float, ledger: Ledger) -> None:
        self._provider = provider
        self._rate = rate
        self._ledger = ledger
        self._holder = uuid.uuid4().hex[:12]
        self._waiting: deque[asyncio.Future[Turn]] = deque()
        self._over: list[tuple[str, float]] = []
        self._news = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None

    async def turn(self) -> Turn:
        """Wait until a request may be sent. Tell its end with `arrived`, whatever became of it.

        Raises:
            NotSent: no turn could be had, or the wait was cut off: nothing was sent, whoever cut it off.
            Deferred: the provider's gate has closed in the meantime.
        """
        place: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
        try:
            while True:
                self._waiting.append(place)
                self._ask()
                turn = await place
                # Timers count whole milliseconds, and may be early.
                while (left := turn.at - self._ledger.now()) > 0:  # noqa: ASYNC110
                    await asyncio.sleep(max(left, 0.001))
                if self._ledger.now() <= turn.until:
                    return turn
                place = asyncio.get_running_loop().create_future()  # this process stood still: the turn is gone
        except asyncio.CancelledError:
            # A submission that is cut off here has certainly not arrived, and must not be in doubt.
            raise NotSent("its turn did not come in time") from None

    def arrived(self, turn: Turn) -> None:
        """A request has arrived by now, or never will."""
        self._over.append((turn.token, self._ledger.now()))
        self._ask()

    def _ask(self) -> None:
        self._news.set()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_on())

    async def _ask_on(self) -> None:
        while self._waiting or self._over:
            self._news.clear()
            over, self._over = self._over, []
            wanted = min(len(self._waiting), _AT_ONCE)
            try:
                found = await asyncio.to_thread(
                    self._ledger.turns, self._provider, self._rate, self._holder, wanted, over
                )
            except Exception as error:  # the ledger is away: what waits here waits in it
                self._refuse(NotSent(f"no turn could be had ({type(error).__name__})"))
                return
            for turn in found.turns:
                self._give(turn)
            if found.closed:
                self._refuse(Deferred("the provider's gate is closed", retry_after=found.wait))
            await asyncio.sleep(_SHORTEST)
            if self._waiting and len(found.turns) < wanted:
                await asyncio.sleep(min(max(found.wait - _SHORTEST, 0.0), _LONGEST))
            elif not self._over:
                await self._more()

    async def _more(self) -> None:
        """Linger a little, so that a steady trickle needs no task for each request."""
        try:
            await asyncio.wait_for(self._news.wait(), 1.0)
        except TimeoutError:
            return

    def _give(self, turn: Turn) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(turn)
                return

    def _refuse(self, error: ProviderError) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_exception(error)

    def close(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
