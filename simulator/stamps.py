"""The time-stamp authority beside the four APIs: RFC 3161 over HTTP at /tsa."""

import itertools

from simulator import tsa
from simulator.exchange import Exchange, Reply, Route, Service, text_reply
from simulator.world import World


class TimeStampAuthority(Service):
    """Grants every readable query."""

    name = "tsa"
    prefix = ""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.clear()

    def clear(self) -> None:
        """Start the serial numbers again."""
        self._serials = itertools.count(1)

    def routes(self) -> list[Route]:
        """Give the one operation."""
        return [Route("POST", "/tsa", "stamp", self._stamp)]

    def error(self, status: int, message: str, exchange: Exchange) -> Reply:
        """Answer with plain text."""
        return text_reply(status, message)

    def _stamp(self, exchange: Exchange) -> Reply:
        if exchange.request.content_type != tsa.QUERY_TYPE:
            return text_reply(415, f"Content-Type must be {tsa.QUERY_TYPE}")
        try:
            reply = tsa.make_reply(exchange.body, exchange.now, next(self._serials))
        except tsa.StampError:
            reply = tsa.make_rejection()
        return Reply(200, reply, tsa.REPLY_TYPE)
