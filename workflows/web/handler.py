"""What all our handlers share: login, protection against other sites, and no waiting on Flower's loop."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from celery import Celery
from flower.views import BaseHandler
from pydantic import BaseModel, ValidationError
from redis.exceptions import OutOfMemoryError, RedisError
from tornado.web import HTTPError, RequestHandler, StaticFileHandler

from config.runtime import Runtime
from jobs.errors import ConfigurationError, IllegalMove, InvalidJob, JobConflict, JobNotFound, RecordTooNew, SettleError
from jobs.refusals import DOCTOR
from providers.trigger import problems
from workflows.web.feed import Feed

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

#: Where our things lie among the settings of Flower's application.
DESK = "settle"

#: Only what Flower and we serve ourselves; no inline script or style, no frame around us.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Desk:
    """What handlers work with.

    Args:
        run: ledger and settings.
        app: in whose name jobs are announced.
        feed: what happens.
    """

    run: Runtime
    app: Celery
    feed: Feed


class Refusal(HTTPError):
    """A request that is refused, with what to say about it.

    Args:
        status: of HTTP.
        kind: for machines.
        message: for people.
    """

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(status)
        self.kind, self.message = kind, message


_STATUS: tuple[tuple[type[Exception], int, str], ...] = (
    (InvalidJob, 400, "invalid"),
    (JobNotFound, 404, "not_found"),
    (JobConflict, 409, "conflict"),
    (IllegalMove, 409, "not_here"),
    (ConfigurationError, 503, "not_configured"),
    (RecordTooNew, 503, "too_new"),
    (SettleError, 500, "error"),
)

_OF_STATUS = {
    400: ("invalid", "the request cannot be understood"),
    401: ("unauthorized", "log in: send the user and the password of SETTLE_FLOWER__USER and __PASSWORD as basic auth"),
    403: ("forbidden", "the request comes from another site, or without the token of this page: load the page again"),
    404: ("not_found", "there is nothing under this address"),
    405: ("bad_method", "this address does not take this method"),
}


def refusal(error: Exception) -> Refusal | None:
    """What is said about an error; none if it is a fault of ours."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, OutOfMemoryError):
        return Refusal(503, "unavailable", "Redis is full, so no job is accepted: raise its maxmemory")
    if isinstance(error, RedisError) and "WRONGTYPE" in str(error):
        return Refusal(503, "unavailable", f"a key in Redis holds something else: {DOCTOR}")
    if isinstance(error, RedisError):
        return Refusal(503, "unavailable", "Redis does not answer: try again, or check SETTLE_REDIS_URL")
    for known, status, kind in _STATUS:
        if isinstance(error, known):
            return Refusal(status, kind, str(error))
    if isinstance(error, HTTPError):
        kind, text = _OF_STATUS.get(error.status_code, ("refused", error.reason or "the request is refused"))
        return Refusal(error.status_code, kind, text)
    return None


def field_of(message: str) -> str | None:
    """The field that a message begins with, as those of `InvalidJob` do."""
    found = re.match(r"([A-Za-z_][\w.-]{0,80}): ", message)
    return found[1] if found else None


class Handler(BaseHandler):
    """The base of our handlers: whoever is not logged in gets nothing."""

    _logged_in = False

    def set_default_headers(self) -> None:
        """Keep the answer to those it is for."""
        super().set_default_headers()
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("X-Frame-Options", "DENY")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")

    def prepare(self) -> None:
        """Refuse before anything else is looked at.

        Raises:
            HTTPError: 401, nobody is logged in.
        """
        options = self.application.options
        if not (options.basic_auth or options.auth) or not self.current_user:
            raise HTTPError(401)
        self._logged_in = True

    @property
    def desk(self) -> Desk:
        """What we work with."""
        return cast("Desk", self.application.settings[DESK])

    @property
    def run(self) -> Runtime:
        """The runtime."""
        return self.desk.run

    async def work(self, call: Callable[[], T]) -> T:
        """Do something that waits for Redis, in a thread: the loop belongs to everybody."""
        return await asyncio.get_running_loop().run_in_executor(None, call)

    def parameters(self, model: type[M]) -> M:
        """The parameters of the address, checked.

        Raises:
            InvalidJob: one is unknown, or not what it should be.
        """
        given: dict[str, Any] = {}
        for name in self.request.query_arguments:
            values = self.get_query_arguments(name, strip=False)
            field = model.model_fields.get(name)
            given[name] = values if field is not None and field.annotation == list[str] else values[-1]
        return checked(model, given)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """A refusal is the caller's affair, and no line of the log."""
        if not (isinstance(value, Exception) and refusal(value)):
            super().log_exception(typ, value, tb)

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Give a known error its status: Tornado would answer 500 to every error that is not its own."""
        error = kwargs.get("exc_info", (None, None))[1]
        known = refusal(error) if isinstance(error, Exception) else None
        super().send_error(known.status_code if known else status_code, **kwargs)


def checked(model: type[M], given: Any) -> M:
    """What was sent, as a model.

    Raises:
        InvalidJob: it is not what it should be; the message names the fields.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise InvalidJob(problems(error, model)) from None


class PageHandler(Handler):
    """The base of handlers for people: what changes something must come from a page of ours."""

    def check_xsrf_cookie(self) -> None:
        """Flower's own look at where a request comes from, and always the token, too.

        Raises:
            HTTPError: 403, it comes from elsewhere.
        """
        super().check_xsrf_cookie()
        RequestHandler.check_xsrf_cookie(self)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """A page that says what is wrong."""
        error = kwargs.get("exc_info", (None, None))[1]
        known = refusal(error) if isinstance(error, Exception) else None
        if known is None or status_code == 401:
            super().write_error(status_code, **kwargs)
            return
        if not self._logged_in:
            self.current_user = None  # refused before the login was looked at: the page must not ask for it
        self.set_status(status_code)
        self.render("jobs_refused.html", refused=known)


class FileHandler(PageHandler, StaticFileHandler):
    """Our own script and style."""

    def set_extra_headers(self, path: str) -> None:
        """A browser asks each time whether a file has changed."""
        self.set_header("Cache-Control", "no-cache")
