"""A provider's side of Standard Webhooks, for tests: it signs what it tells; and modules of such providers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER_SECRET = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()

#: Three providers: one names our jobs, one its own, one tells nothing because its secret is not set.
_MODULE = """
from providers.base import Operation, Provider, Request
from providers.standard_webhooks import StandardWebhook, WebhookSettings

class Do(Operation):
    name, request = "do", Request
    def intent(self, request, job_id): return {}
    async def submit(self, request, intent): return {}
    async def locate(self, request, intent): return None
    async def observe(self, job): return None

class OurNames(Provider):
    name, operations, settings_type = "our_names", (Do,), WebhookSettings
    notification = StandardWebhook(job="job")
    def headers(self): return {}

class ItsNames(OurNames):
    name, notification = "its_names", StandardWebhook(remote="data.id")

class Unset(OurNames):
    name = "unset"
"""
_POINTS = "[settle.providers]\n" + "".join(f"{name} = telling:{name}\n" for name in ("OurNames", "ItsNames", "Unset"))


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


def installed(folder: Path) -> dict[str, str]:
    """Install these providers into an empty folder; what the environment of a process needs to find them."""
    (folder / "telling.py").write_text(_MODULE)
    (folder / "telling-1.0.dist-info").mkdir()
    (folder / "telling-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: telling\nVersion: 1.0\n")
    (folder / "telling-1.0.dist-info" / "entry_points.txt").write_text(_POINTS)
    return {"PYTHONPATH": str(folder)}
