"""The door for providers' notifications: `POST /hooks/<provider>`. No login: the provider's signature is one.

What is not the provider's is refused before anything else is asked. What is brings the next poll of its jobs forward,
and the answer is the same whether there is such a job or not.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, cast

from redis.exceptions import RedisError
from tornado.web import HTTPError, RequestHandler, stream_request_body

from config.runtime import Runtime
from config.settings import CoreSettings
from providers import discover
from providers.notification import NotGenuine, Notification, Unreadable
from workflows.web.handler import DESK, Desk

logger = logging.getLogger(__name__)

#: A notification names a job; it carries no file. Bytes.
LONGEST = 64 * 1024
#: What is refused is logged at most so often, per provider and reason, seconds: a flood must not fill the log.
_LOGGED_EVERY = 60.0


def doors(settings: CoreSettings) -> dict[str, Notification]:
    """The notifications that are taken, by provider: those that are declared, and whose secret is set."""
    declared = {name: kind.notification for name, kind in discover().items()}
    own = settings.providers()
    return {name: found for name, found in declared.items() if found is not None and found.ready(own[name])}


def take(run: Runtime, provider: str, notification: Notification, named: tuple[str, ...]) -> int:
    """Bring the next look at the jobs of a genuine notification forward. Returns at how many.

    Raises:
        RedisError: the ledger is away.
    """
    job_ids = run.ledger.of_handles(provider, named) if notification.by_remote_id else named
    return run.ledger.hasten(provider, job_ids, run.settings.providers()[provider].poll_minimum)


@stream_request_body
class Door(RequestHandler):
    """Takes the notifications of one provider."""

    #: When each refusal was logged, by provider and reason.
    _logged: dict[tuple[str, str], float] = {}  # noqa: RUF012

    def initialize(self) -> None:
        """Begin with an empty body."""
        self._body = bytearray()

    def set_default_headers(self) -> None:
        """Nothing of this is to be kept, shown, or told of."""
        self.clear_header("Server")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")

    def check_xsrf_cookie(self) -> None:
        """No browser sends these, and no cookie counts: the signature does."""

    def prepare(self) -> None:
        """Before the body is read: one that is too long ends the connection, with 400."""
        connection: Any = self.request.connection
        connection.set_max_body_size(LONGEST)

    def data_received(self, chunk: bytes) -> None:
        """Hold the body."""
        self._body += chunk

    async def post(self, provider: str) -> None:
        """Verify a notification and act on it.

        Raises:
            HTTPError: 404, nothing is taken from such a provider.
        """
        run = cast("Desk", self.application.settings[DESK]).run
        notification = doors(run.settings).get(provider)
        if notification is None:
            raise HTTPError(404)
        headers: Mapping[str, str] = dict(self.request.headers.get_all())
        try:
            settings = run.settings.providers()[provider]
            named = notification.verify(settings, headers, bytes(self._body), time.time())
        except NotGenuine as error:
            self._refuse(provider, 401, str(error))
            return
        except Unreadable as error:
            self._refuse(provider, 400, str(error))
            return
        try:
            call = asyncio.get_running_loop().run_in_executor
            hastened = await call(None, take, run, provider, notification, named)
        except RedisError as error:  # a sender that tries again may do so
            self._refuse(provider, 503, type(error).__name__)
            return
        logger.info("notification_taken", extra={"fields": {"provider": provider, "hastened": hastened}})
        self.set_status(202)

    def _refuse(self, provider: str, status: int, reason: str) -> None:
        self.set_status(status)
        now, about = time.monotonic(), (provider, reason)
        if now - self._logged.get(about, -_LOGGED_EVERY) >= _LOGGED_EVERY:
            self._logged[about] = now
            logger.warning("notification_refused", extra={"fields": {"provider": provider, "reason": reason}})

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Nothing but the code."""
        self.finish()
