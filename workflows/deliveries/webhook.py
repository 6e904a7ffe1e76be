"""One webhook after the Standard Webhooks specification: signed with every secret, redirects not followed."""

from __future__ import annotations

import asyncio
import json
import ssl
from datetime import UTC, datetime

from standardwebhooks import Webhook

from config.targets import WebhookSettings
from jobs.clock import Clock
from jobs.errors import ConfigurationError
from jobs.events import JobEvent
from providers.answer import retry_after
from providers.failures import RAISED
from providers.transport import AiohttpTransport, httpx, root_cause
from workflows.deliveries import Answer, Result
from workflows.deliveries.addresses import PrivateAddress, sockets

#: Answers by which a target wants to be left alone.
_BUSY = (429, 503)
#: The longest that it is left alone for, seconds.
_LONGEST_PAUSE = 86400.0


def payload(event: JobEvent) -> str:
    """The body: what happened, when, and the event; the same text at each try."""
    when = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f'{{"type":{json.dumps(event.type)},"timestamp":"{when}","data":{event.text()}}}'


def headers(secrets: list[str], message_id: str, now: float, body: str) -> dict[str, str]:
    """The headers of the specification: one signature for each secret.

    Args:
        secrets: `whsec_…`; the receiver needs to know one of them.
        message_id: the same at each try.
        now: seconds since the epoch.
        body: what is sent.
    """
    at = datetime.fromtimestamp(int(now), UTC)
    return {
        "content-type": "application/json",
        "user-agent": "Settle",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": " ".join(Webhook(secret).sign(message_id, at, body) for secret in secrets),
    }


class WebhookCarrier:
    """Posts to one endpoint.

    Args:
        own: its settings.
        clock: tells the time that is signed.

    Raises:
        ConfigurationError: its file of authorities cannot be read.
    """

    def __init__(self, own: WebhookSettings, clock: Clock) -> None:
        self._own, self._clock = own, clock
        self.longest = own.timeout
        self._transport = AiohttpTransport(
            _tls(own) if own.url.scheme == "https" else None,
            connections=own.in_flight,
            open_socket=sockets(allow_private=own.allow_private),
        )

    async def send(self, event: JobEvent) -> Answer:
        """Post an event."""
        return await self.post(event.id, payload(event))

    async def post(self, message_id: str, body: str) -> Answer:
        """Post a body under an id."""
        signed = headers(self._own.keys(), message_id, self._clock.now(), body)
        try:
            request = httpx.Request("POST", str(self._own.url), content=body, headers=signed)
            async with asyncio.timeout(self._own.timeout):
                answer = await self._transport.handle_async_request(request)
                await answer.aclose()
        except TimeoutError:
            return Answer(Result.LATER, f"no answer within {self._own.timeout:g} s")
        except (*RAISED, ValueError) as error:
            return Answer(Result.LATER, _said(error))
        return _judged(answer.status_code, retry_after(answer.headers))

    async def close(self) -> None:
        """Close its connections."""
        await self._transport.aclose()


def _tls(own: WebhookSettings) -> ssl.SSLContext:
    made = ssl.create_default_context()
    if own.ca_file is not None:
        try:
            made.load_verify_locations(own.ca_file)
        except (ssl.SSLError, OSError) as error:
            raise ConfigurationError(
                f"CA_FILE of the webhook for {own.url.host}: no certificates in PEM ({type(error).__name__})"
            ) from None
    return made


def _judged(status: int, pause: float | None) -> Answer:
    if 200 <= status < 300:
        return Answer(Result.SENT, f"HTTP {status}")
    if status == 410:
        return Answer(Result.GONE, "HTTP 410: it does not want to be told any more")
    if 300 <= status < 400:
        return Answer(Result.LATER, f"HTTP {status}: redirects are not followed; set the address that it leads to")
    wait = min(pause, _LONGEST_PAUSE) if pause is not None and status in _BUSY else None
    return Answer(Result.LATER, f"HTTP {status}", wait)


def _said(error: Exception) -> str:
    """Why nothing came back: the class only, for the text may quote an address."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, PrivateAddress):
            return "its name leads to an address that is not public: set ALLOW_PRIVATE=true if that is meant"
        seen = seen.__cause__
    return f"no answer ({root_cause(error)})"
