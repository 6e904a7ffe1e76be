"""The block of docs/operations.md for nginx, in a real nginx in front of a real Flower: what it lets in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from config.embedded import EmbeddedRedis, free_port
from jobs.states import JobState
from tests.docs.blocks import ROOT, blocks
from tests.notices import SECRET, installed, signed
from tests.waiting import until
from tests.web.conftest import Site, started
from workflows.command.stack import Process, running

#: As little as nginx needs around the block: one process, in the folder of the test.
_AROUND = """
daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
    server {{
        listen 127.0.0.1:{port};
{block}
    }}
}}
"""


@pytest.fixture
def flower(tmp_path: Path) -> Iterator[Site]:
    """Flower with a provider that tells."""
    (tmp_path / "packages").mkdir()
    with ExitStack() as exits:
        settings = {**installed(tmp_path / "packages"), "SETTLE_OUR_NAMES__WEBHOOK_SECRET": SECRET}
        server = exits.enter_context(EmbeddedRedis(tmp_path / "redis"))
        yield started(server, exits, **settings)


@pytest.fixture
def world(flower: Site, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client that reaches nginx, and Flower only through it."""
    (block,) = (block for block in blocks(ROOT / "docs" / "operations.md") if block.language == "nginx")
    assert "http://127.0.0.1:5555" in block.code
    code = block.code.replace("http://127.0.0.1:5555", f"http://{urlsplit(flower.url).netloc}")
    port, folder = free_port(), tmp_path / "nginx"
    folder.mkdir()
    (folder / "nginx.conf").write_text(_AROUND.format(port=port, block=code))
    nginx = shutil.which("nginx")
    assert nginx is not None, "make test-docs fetches nginx"
    command = [nginx, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    said: list[str] = []
    with (
        running(Process("nginx", command, {}, lambda _, line: said.append(line))) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
    ):
        until(lambda: _answers(client) or process.process.poll() is not None, "nginx to answer")
        assert process.process.poll() is None, said
        yield client


def _answers(client: httpx.Client) -> bool:
    try:
        return bool(client.get("/").status_code)
    except httpx.TransportError:
        return False


def test_what_a_provider_tells_comes_through_and_nothing_else(flower: Site, world: httpx.Client) -> None:
    """A signed notification hastens its job; another method, another path and a long body end at the proxy."""
    flower.job("j-1", JobState.POLLING, provider="our_names", workflow="our_names.do")
    content, headers = signed({"job": "j-1"})
    assert world.post("/hooks/our_names", content=content, headers=headers).status_code == 202
    due = flower.ledger.get("j-1").due_at
    assert due is not None
    assert due - flower.ledger.now() < 1
    assert world.post("/hooks/our_names", content=content).status_code == 401  # by Flower: it is not signed
    long = json.dumps({"job": "j" * 65_536}).encode()
    refused = {
        403: world.get("/hooks/our_names"),
        413: world.post("/hooks/our_names", content=long, headers=signed(long)[1]),
        404: world.get("/"),
    }
    for status, answer in refused.items():
        assert answer.status_code == status
        assert "nginx" in answer.text  # its own page: Flower was not asked
