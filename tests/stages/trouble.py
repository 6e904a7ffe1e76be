"""A file that is ready."""

from __future__ import annotations

import hashlib

from jobs.artifacts import Artifact
from providers.base import Observation, Verdict

FILE = b"AAA\nBBB"
READY = Observation(
    Verdict.SUCCEEDED,
    word="completed",
    artifacts=(Artifact("tokens.txt", link="/data", size=7, lines=2, sha256=hashlib.sha256(FILE).hexdigest()),),
)
