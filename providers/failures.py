"""What went wrong with a request that got no whole answer: each of httpx's errors mapped to a typed error.

This decides whether a submission may be repeated, so only what the transport raises before the first byte is `NotSent`.
"""

from __future__ import annotations

from providers.errors import BadAnswer, LostAnswer, NotSent, PermanentError, ProviderError
from providers.transport import httpx, root_cause

_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_OUR_FAULT = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL, httpx.CookieConflict)

#: All that a transport may raise while a request is made or its answer read.
RAISED = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError, OSError)


def map_exception(error: Exception) -> ProviderError:
    """The typed error for anything that a transport may raise. The text names the class only."""
    name = root_cause(error)
    if isinstance(error, _OUR_FAULT):
        return PermanentError(f"the request cannot be made ({name}): check the base URL")
    if isinstance(error, _NEVER_LEFT):
        return NotSent(f"the request never left ({name})")
    if isinstance(error, httpx.DecodingError | httpx.TooManyRedirects):
        return BadAnswer(f"the answer cannot be read ({name})")
    return LostAnswer(f"no answer ({name})")
