"""What went wrong with a request that got no whole answer: every exception beneath mapped to a typed error.

This decides whether a submission may be repeated, so it looks at the cause beneath: httpx-aiohttp 0.2 reports a
connection that broke *after* the request left as `httpx.ConnectTimeout`.
"""

from __future__ import annotations

import aiohttp
import httpx

from providers.errors import BadAnswer, LostAnswer, NotSent, PermanentError, ProviderError

_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_NEVER_LEFT_BENEATH = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.ClientHttpProxyError,
)
_OUR_FAULT = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL, httpx.CookieConflict)

#: All that may be raised while a request is made or its answer read.
RAISED = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError, aiohttp.ClientError, OSError)


def map_exception(error: Exception) -> ProviderError:
    """The typed error for anything that httpx, or aiohttp beneath it, may raise while a request is made or read.

    The text names the class only: an exception's own text may quote an address with a signature in it.
    """
    name = type(error).__name__
    beneath = next((each for each in (error.__cause__, error) if isinstance(each, aiohttp.ClientError)), None)
    if beneath is not None:
        if isinstance(beneath, _NEVER_LEFT_BENEATH):
            return NotSent(f"the request never left ({type(beneath).__name__})")
        if isinstance(beneath, aiohttp.ClientPayloadError):
            return BadAnswer("the answer was cut off")
        if not isinstance(beneath, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
            return LostAnswer(f"no answer ({type(beneath).__name__})")
    if isinstance(error, _OUR_FAULT) or beneath is not None:
        return PermanentError(f"the request cannot be made ({name}): check the base URL")
    if isinstance(error, _NEVER_LEFT):
        return NotSent(f"the request never left ({name})")
    if isinstance(error, httpx.DecodingError | httpx.TooManyRedirects):
        return BadAnswer(f"the answer cannot be read ({name})")
    return LostAnswer(f"no answer ({name})")
