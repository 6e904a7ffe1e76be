"""The storage: a file is written, read and removed again."""

from __future__ import annotations

import uuid
from contextlib import suppress

from config.checks.finding import Finding, refused, warning
from jobs.storage import Storage

_TEXT = b"settle doctor"


def storage(url: str) -> list[Finding]:
    """Whether artifacts can be kept. No address is quoted: it may hold a key."""
    try:
        place = Storage(url)
        path = place.path("doctor", uuid.uuid4().hex, "probe")
    except Exception as error:  # fsspec's plug-ins raise what they like
        return [refused(f"the storage cannot be opened ({type(error).__name__})", "check SETTLE_STORAGE_URL")]
    findings = []
    try:
        with place.writing(path, "doctor") as out:
            out.write(_TEXT)
        if b"".join(place.chunks(place.uri(path))) != _TEXT:
            findings.append(
                refused("the storage gives back another file than it was given", "check SETTLE_STORAGE_URL")
            )
    except Exception as error:
        return [
            refused(
                f"the storage cannot be written and read ({type(error).__name__})",
                "check SETTLE_STORAGE_URL, its rights, and that it is not full",
            )
        ]
    try:
        place.remove(path)
    except Exception as error:
        what = f"the storage keeps what should be removed ({type(error).__name__})"
        with suppress(Exception):
            findings.append(warning(what, "allow deletion below SETTLE_STORAGE_URL: half-written files stay behind"))
    return findings
