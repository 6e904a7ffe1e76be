"""The JSON API: follow what happens, as server-sent events."""

from __future__ import annotations

from contextlib import aclosing

from redis.exceptions import RedisError
from tornado.iostream import StreamClosedError

from workflows.listing import provider_known
from workflows.web import models
from workflows.web.api import ApiHandler
from workflows.web.feed import Told, overview_message, read_positions, written
from workflows.web.handler import Refusal

#: A line of nothing is sent so often, seconds: proxies keep the connection, and a browser that went away is noticed.
HEARTBEAT = 15.0


class Events(ApiHandler):
    """What happens."""

    async def get(self) -> None:
        """Follow what happens to jobs. With `Last-Event-ID` what was missed comes first."""
        wanted = self.parameters(models.Following)
        providers = {provider_known(self.run, name) for name in wanted.provider}
        last = self.request.headers.get("Last-Event-ID")
        after = read_positions(last) if last else None

        def wants(told: Told) -> bool:
            if told.provider is None:
                return True
            return (not providers or told.provider in providers) and (not wanted.job or told.job_id in wanted.job)

        feed = self.desk.feed
        try:
            listener = await feed.join(wants)
        except TimeoutError:
            raise Refusal(503, "unavailable", "Redis does not answer: try again") from None
        self.set_header("Content-Type", "text/event-stream; charset=UTF-8")
        self.set_header("X-Accel-Buffering", "no")  # a proxy in front passes each event on at once
        try:
            self.write(f"retry: 2000\nid: {written(after or listener.since)}\n\n")
            if feed.overviews:
                self.write(overview_message(feed.overviews))
            await self.flush()
            if after is not None:
                async with aclosing(feed.missed(after, listener.since)) as missed:
                    async for told in missed:
                        if wants(told):
                            self.write(told.chunk)
                            await self.flush()
            while not listener.behind:
                self.write(await listener.next(HEARTBEAT) or b": still here\n\n")
                await self.flush()
        except (StreamClosedError, RedisError):
            pass  # the browser went away; or it comes back, where it was
        finally:
            feed.leave(listener)
