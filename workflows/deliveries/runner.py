"""Delivers events for as long as the process runs: each target by itself, so that none waits for another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from redis.exceptions import RedisError

from config.fail_points import reach
from config.runtime import Runtime
from config.targets import Target
from jobs.outbox import Delivery, Outbox
from workflows.deliveries import Answer, Carrier, Result, outbox
from workflows.deliveries.downstream import TaskCarrier
from workflows.deliveries.forward import forward
from workflows.deliveries.schedule import wait_after
from workflows.deliveries.webhook import WebhookCarrier
from workflows.events import streams

logger = logging.getLogger(__name__)

#: Beyond the longest try: after it somebody else may take a delivery, seconds.
_SPARE = 15.0
#: After trouble with Redis, seconds.
_AGAIN = 1.0


class Runner:
    """All targets of this process.

    Args:
        run: a runtime of its own.
        app: for downstream tasks; none if there are none.
    """

    def __init__(self, run: Runtime, app: Any = None) -> None:
        self._run = run
        self._targets: dict[str, tuple[Target, Carrier]] = {}
        for name, webhook in run.settings.webhooks.items():
            self._targets[name] = (webhook, WebhookCarrier(webhook, run.clock))
        for name, task in run.settings.downstream.items():
            self._targets[name] = (task, TaskCarrier(task, name, app))

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until it is told to stop; what is on its way then is waited for."""
        if not self._targets:
            remedy = "set SETTLE_WEBHOOKS__… or SETTLE_DOWNSTREAM__…"
            logger.warning("nothing_to_deliver", extra={"fields": {"remedy": remedy}})
        work = [Serving(self._run, name, *each).serve(stop) for name, each in self._targets.items()]
        await asyncio.gather(self._live(stop), *work)
        for _, carrier in self._targets.values():
            await carrier.close()

    async def _live(self, stop: asyncio.Event) -> None:
        """Show that the loop runs."""
        while not stop.is_set():
            if (file := self._run.settings.health_file) is not None:
                file.touch()
            await _sleep(stop, 2.0)


class Serving:
    """One target.

    Args:
        run: the runtime.
        name: of the target.
        target: its settings.
        carrier: brings events there.
    """

    def __init__(self, run: Runtime, name: str, target: Target, carrier: Carrier) -> None:
        self._run, self._name, self._target, self._carrier = run, name, target, carrier
        self._outbox: Outbox = outbox(run, name)
        self._begun = False
        self._flying: set[asyncio.Task[None]] = set()

    async def serve(self, stop: asyncio.Event) -> None:
        """Deliver until it is told to stop."""
        stopped = asyncio.create_task(stop.wait())
        while not stop.is_set():
            try:
                busy = await self.look()
            except (RedisError, OSError) as error:
                fields = {"target": self._name, "error": type(error).__name__}
                logger.warning("deliveries_wait", extra={"fields": fields})
                await _sleep(stop, _AGAIN)
                continue
            except Exception:  # a defect of ours: nothing is lost, and the other targets go on
                logger.exception("deliveries_failed")
                self._begun = False  # Redis may have come back empty
                await _sleep(stop, _AGAIN)
                continue
            if not busy:
                waited = {stopped, *self._flying}
                interval = self._run.settings.clock_interval
                await asyncio.wait(waited, timeout=interval, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        await self.landed()

    async def look(self) -> bool:
        """Begin what is due, and bring what happened. Whether there may be more at once.

        In this order: a Redis that is full takes nothing more, and is relieved by what is delivered.

        Raises:
            RedisError: Redis is away; nothing is lost.
        """
        if not self._begun:
            await asyncio.to_thread(self._outbox.begin, streams(self._run))
            self._begun = True
        room = self._target.in_flight - len(self._flying)
        lease = self._carrier.longest + _SPARE
        taken = await asyncio.to_thread(self._outbox.take, room, lease) if room else []
        for delivery in taken:
            reach(self._run.settings, "deliver.after_take")
            task = asyncio.create_task(self._deliver(delivery))
            self._flying.add(task)
            task.add_done_callback(self._flying.discard)
        read = await asyncio.to_thread(forward, self._run, self._target, self._outbox)
        if read:
            reach(self._run.settings, "deliver.after_forward")
        return bool(room and (read or taken))

    async def landed(self) -> None:
        """Wait for what is on its way."""
        await asyncio.gather(*self._flying)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            answer = await self._carrier.send(delivery.event)
            reach(self._run.settings, "deliver.after_send")
            if await asyncio.to_thread(self._write, delivery, answer):
                reach(self._run.settings, "deliver.after_end")
        except (RedisError, OSError) as error:  # it is delivered again after its lease
            fields = {"target": self._name, "job_id": delivery.event.job_id, "error": type(error).__name__}
            logger.warning("delivery_not_noted", extra={"fields": fields})
        except Exception:  # likewise
            logger.exception("deliveries_failed")

    def _write(self, delivery: Delivery, answer: Answer) -> bool:
        """Note what became of it. Whether it was still ours."""
        event, tries = delivery.event, delivery.tries + 1
        fields: Mapping[str, Any] = {
            "target": self._name,
            "job_id": event.job_id,
            "event": event.type,
            "seq": event.seq,
            "tries": tries,
            "reason": answer.reason,
        }
        if answer.result is Result.SENT:
            logger.info("event_delivered", extra={"fields": fields})
            return self._outbox.sent(delivery)
        if answer.result is Result.GONE:
            remedy = f"settle webhooks enable {self._name}"
            logger.error("target_disabled", extra={"fields": {**fields, "remedy": remedy}})
            return self._outbox.gone(delivery)
        wait = wait_after(self._target, tries) if answer.result is Result.LATER else None
        if wait is None:
            remedy = f"settle webhooks replay {event.job_id}"
            logger.error("delivery_given_up", extra={"fields": {**fields, "remedy": remedy}})
            return self._outbox.dead(delivery, answer.reason)
        wait = max(wait, answer.pause or 0.0)
        logger.warning("delivery_failed", extra={"fields": {**fields, "again_in": round(wait, 1)}})
        return self._outbox.later(delivery, wait, pause=answer.pause)


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, but no longer than until it is told to stop."""
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({stopped}, timeout=seconds)
    stopped.cancel()
