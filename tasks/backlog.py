"""Whether the queue of the files is long: then a message that was not heard of is in it, and no other is published."""

from __future__ import annotations

from typing import Any

from celery import current_app

from config.runtime import Runtime
from tasks.onward import AT_ONCE

FILES_QUEUE = "settle.files"


def crowded(run: Runtime, provider: str) -> bool:
    """Whether messages of more jobs wait for the file workers than may be outstanding. Each lease looks again."""
    limits = run.settings.claim_limits(provider)
    with current_app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        try:
            waiting = int(channel.queue_declare(FILES_QUEUE, passive=True).message_count)
        except connection.channel_errors:  # Redis knows no empty queues
            return False
    return waiting * AT_ONCE >= limits.bundles * limits.bundle_size
