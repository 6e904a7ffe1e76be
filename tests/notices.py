"""A provider's side of Standard Webhooks, for tests: it signs what it tells."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER_SECRET = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()


def signed(
    body: Any, secret: str = SECRET, *, at: float | None = None, message_id: str = "msg_1"
) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a notification.

    Args:
        body: sent as JSON, or as it is if it is bytes.
        secret: signs it.
        at: the time that it names; now, if not given.
        message_id: of the notification.
    """
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    stamp = str(int(time.time() if at is None else at))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{message_id}.{stamp}.".encode() + content, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return content, {"webhook-id": message_id, "webhook-timestamp": stamp, "webhook-signature": signature}
