"""One whole run for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from config.embedded import EmbeddedRedis

from .whole_run import Run, whole_run


@pytest.fixture(scope="package")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Everything that was to be seen."""
    tmp = tmp_path_factory.mktemp("whole-run")
    with EmbeddedRedis(tmp) as server, whole_run(tmp, server.url) as run:
        yield run
