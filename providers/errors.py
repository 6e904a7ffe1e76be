"""What can go wrong between us and a provider. Branches of `jobs.errors.SettleError`::

    ProviderError
    ├── TransientError      try again; an outage delays jobs, it never fails them
    │   ├── NotSent         the request never left: safe to repeat, whatever it was
    │   │   └── NotReady    something else must come first; this says nothing of the provider
    │   ├── LostAnswer      it may have arrived: a read is repeated, a submission is in doubt
    │   ├── Busy            429 or 503: likewise; come back, perhaps after `Retry-After`
    │   │   └── Deferred    documented as not carried out, or held back by Settle: safe to repeat
    │   ├── Unavailable     another 5xx: likewise
    │   └── BadAnswer       an answer that is not the provider's own (rubbish, cut off, a proxy's page): likewise
    ├── Unauthorized        401 or 403: stops the provider, not one job at a time
    └── PermanentError      this request will never work
        ├── Refused         the provider said no, and why
        ├── NotFound        404 or 410: it knows nothing under this name
        └── ForeignHost     a link leads away from the provider's own origin: no key and no request goes there

No message holds a body, a key or personal data: texts of a provider pass `scrub` first.
"""

from __future__ import annotations

import re
from typing import ClassVar

from jobs.errors import SettleError

_MASKS = (
    (re.compile(r"\beyJ[\w-]*\.[\w-]+(?:\.[\w-]*)?|[\w-]{16,}\.[\w-]{16,}\.[\w-]+"), "<jwt>"),
    (re.compile(r"[^\s@]+@\S+"), "<email>"),
    (re.compile(r"[?#&][\w.%~$\[\]-]+=\S*|(?<=\w)\?\S+"), "?<query>"),
    (re.compile(r"(?<![A-Za-z0-9])pi_\w+"), "<payment>"),
    (re.compile(r"\bLL-API-\S+", re.IGNORECASE), "<key>"),
    (re.compile(r"\b(bearer|secret|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), r"\1 <key>"),
    (
        re.compile(r"\b((?:api|session|secret)[-_ ]?key|authorization|password)([\"']?\s*[:=]\s*)\S+", re.IGNORECASE),
        r"\1\2<key>",
    ),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\+?\(?\d[\d ()/.\u2010-\u2015-]{5,}\d"), "<number>"),
)

#: No more of a text is looked at: masking takes time that grows with the square of a word's length.
_LOOKED_AT = 1000


def scrub(text: object, *, limit: int = 200) -> str:
    """One line of a provider's text with everything that looks personal or secret masked, at most `limit` long.

    Names of people look like nothing in particular: what may hold them is not quoted at all.
    """
    whole = str(text)
    if len(whole) <= min(limit, _LOOKED_AT) and whole.isascii() and whole.isalpha():
        return whole  # a status word, as almost every poll brings one: no mask is made of letters only
    seen = whole[:_LOOKED_AT]
    if len(whole) > _LOOKED_AT and " " in seen:
        seen = seen.rpartition(" ")[0]  # half an address is not known as one
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(seen.split()))
    for pattern, mask in _MASKS:
        line = pattern.sub(mask, line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


class ProviderError(SettleError):
    """Something went wrong between us and a provider."""

    kind: ClassVar[str] = "provider_error"  #: for machines: counted, searched for


class TransientError(ProviderError):
    """Trying again may work.

    Args:
        message: what happened.
        retry_after: the seconds the provider asked for, if it did.
    """

    may_have_arrived: ClassVar[bool] = True  #: whether a submission that met this error is in doubt

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotSent(TransientError):
    """The request never left: the connection was refused, or none was to be had."""

    kind = "not_sent"
    may_have_arrived = False


class NotReady(NotSent):
    """Something else than the provider must come first (a time stamp, an older job), so nothing was done there.

    It is no sign of an outage: the provider's gate stays open.
    """

    kind = "not_ready"


class Busy(TransientError):
    """429 or 503: the provider wants to be left alone for a while.

    It says nothing about the request: a proxy may have passed a submission on before it answered so.
    """

    kind = "busy"


class Deferred(Busy):
    """Busy, and certainly not carried out: the provider documents it, or Settle held the request back."""

    may_have_arrived = False


class LostAnswer(TransientError):
    """The request may have arrived; its answer did not."""

    kind = "lost_answer"


class Unavailable(TransientError):
    """The provider answered with a fault of its own."""

    kind = "unavailable"


class BadAnswer(TransientError):
    """The answer cannot be read, or its form is not one that the provider documents."""

    kind = "bad_answer"


class Unauthorized(ProviderError):
    """The key (or session) is not accepted.

    Args:
        message: the reason, scrubbed.
        status: 401 or 403, of HTTP or of the body that stands for it.
    """

    kind = "unauthorized"

    def __init__(self, message: str, *, status: int = 401) -> None:
        super().__init__(message)
        self.status = status


class PermanentError(ProviderError):
    """This request will never work."""

    kind = "refused"


class Refused(PermanentError):
    """The provider refused the request.

    Args:
        message: its reason, scrubbed.
        status: the HTTP status, or the one in the body that stands for it.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class NotFound(PermanentError):
    """The provider knows nothing under this name."""

    kind = "not_found"


class ForeignHost(PermanentError):
    """A link leads away from the provider's own origin."""

    kind = "foreign_host"


def not_sent(error: ProviderError, what: str) -> ProviderError:
    """The error of a step before a submission: whatever became of that step, the submission itself never left.

    Args:
        error: of the step.
        what: could not be done.
    """
    if not isinstance(error, TransientError) or not error.may_have_arrived:
        return error
    kind = Deferred if isinstance(error, Busy) else NotSent
    return kind(f"nothing was sent: {what} ({error})", retry_after=error.retry_after)
