"""An HTTP answer that came whole: its JSON, the provider's words for an error, and the typed error for its status."""

from __future__ import annotations

import email.utils
import json
import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from providers.errors import (
    BadAnswer,
    Busy,
    Deferred,
    NotFound,
    ProviderError,
    Refused,
    Unauthorized,
    Unavailable,
    scrub,
)

#: Headers whose value is a secret. A provider that echoes one in a body does not get it past the client.
_SECRET_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "session-key"})


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """The seconds that a `Retry-After` header asks for, in either of its forms; none if absent or unreadable."""
    text = headers.get("retry-after")
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        return max(seconds, 0.0) if math.isfinite(seconds) else None
    try:
        at = email.utils.parsedate_to_datetime(text)
        moment = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()  # a zone of -0000 comes without one
    except (ValueError, TypeError, OverflowError):
        return None
    return max(moment - (time.time() if now is None else now), 0.0)


def problem(status: int, reason: str, *, wait: float | None = None) -> ProviderError:
    """The typed error for an error status, be it of HTTP or of a body that stands for it.

    Args:
        status: 300 or more.
        reason: the text of the error.
        wait: the seconds that the provider asked for.
    """
    if status in (429, 503):
        return Busy(reason, retry_after=wait)
    if status in (401, 403):
        return Unauthorized(reason, status=status)
    if status in (404, 410):
        return NotFound(reason)
    if status == 408 or status >= 500:  # a gateway may time out after the request went on
        return Unavailable(reason, retry_after=wait)
    return Refused(reason, status=status)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


#: One for all: `json.loads` makes one per call when it is told anything.
_DECODER = json.JSONDecoder(parse_constant=_no_constant)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, wholly read."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The decoded body, whatever its content type says.

        Raises:
            BadAnswer: it is not JSON.
        """
        try:
            return _DECODER.decode(self.body.decode(json.detect_encoding(self.body), "surrogatepass"))
        except (ValueError, RecursionError):
            raise BadAnswer(f"HTTP {self.status} with a body that is not JSON") from None

    def object(self) -> dict[str, Any]:
        """The decoded body, which must be a JSON object.

        Raises:
            BadAnswer: it is anything else.
        """
        value = self.json()
        if not isinstance(value, dict):
            raise BadAnswer(f"HTTP {self.status} with JSON that is not an object")
        return value

    def error_body(self) -> dict[str, Any]:
        """The decoded body of an error; empty if it is not a JSON object."""
        try:
            return self.object()
        except BadAnswer:
            return {}

    def reason(self, *names: str) -> str:
        """The provider's own words for an error: the first of these fields that is a text, scrubbed."""
        body = self.error_body()
        words = [scrub(body[name]) for name in names if isinstance(body.get(name), str) and body[name]]
        return f"HTTP {self.status}: {'; '.join(words)}" if words else f"HTTP {self.status}"

    def check(self, *names: str) -> Answer:
        """This answer, if it is a success.

        Args:
            names: fields of an error body that hold the provider's words.

        Raises:
            Busy: 429 or 503.
            Unauthorized: 401 or 403.
            NotFound: 404 or 410.
            Refused: another 4xx, or a redirect.
            Unavailable: 408, or another 5xx.
        """
        if 200 <= self.status < 300:
            return self
        if self.status in (401, 403):
            raise Unauthorized(f"HTTP {self.status}: the key is not accepted", status=self.status)
        reason = f"HTTP {self.status}" if self.status >= 500 or self.status == 429 else self.reason(*names)
        raise problem(self.status, reason, wait=retry_after(self.headers))


def judged(
    answer: Answer, own_error: Callable[[Answer], bool], *, submits: bool, repeatable: Collection[int] = ()
) -> Answer:
    """An answer that may be believed: a success, an outage, or an error in the provider's own form.

    A proxy or a load balancer between us answers in forms of its own. Its 404 is no refusal, and does not say that the
    provider lacks something; its answer to a submission does not say that the provider did not get it.

    Args:
        answer: as it came.
        own_error: tells whether an error answer has a form that the provider documents.
        submits: whether the request was a submission.
        repeatable: statuses by which the provider says that a submission was not carried out.

    Raises:
        Deferred: a submission was answered with one of those statuses.
        BadAnswer: the form is not the provider's.
    """
    status = answer.status
    if 200 <= status < 300:
        return answer
    if submits and status in repeatable:
        raise Deferred(f"HTTP {status}", retry_after=retry_after(answer.headers))
    if status in (408, 429) or status >= 500:
        return answer  # an outage, whoever says so
    if status in (401, 403) and not submits:
        return answer  # a read is repeated in any case; the key is the likely reason
    if status >= 400 and own_error(answer):
        return answer
    raise BadAnswer(f"HTTP {status} in a form that the provider does not document; perhaps a proxy's")


def without_keys(body: bytes, headers: Mapping[str, str]) -> bytes:
    """The body, without any key that was sent with the request."""
    for name, value in headers.items():
        secret = value.rpartition(" ")[2].encode()
        if name.lower() in _SECRET_HEADERS and len(secret) >= 8:
            body = body.replace(secret, b"<key>")
    return body
