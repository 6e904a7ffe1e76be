"""The client as strangers get it: a wheel beside Celery, and nothing of Settle on the path."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.packages import ROOT

#: Run without `site`, so that no .pth file brings Settle in.
PROGRAM = """
import importlib.util, json, sys
sys.path += [{wheel!r}, {packages!r}]
import settle_client
with settle_client.Settle("memory://", "cache+memory://") as client:
    job = client.myipr.certify(hash="ab" * 32, size="1079", category_id="10", job_id="order-4711")
    known = [name for name in {ours!r} if importlib.util.find_spec(name)]
    light = not {{"pydantic", "httpx", "aiohttp", "fsspec", "flower"}} & set(sys.modules)
    print(json.dumps([settle_client.__file__, job.id, job.state, known, light]))
"""

OURS = ["settle_jobs", "patches", "jobs", "providers", "config", "tasks", "workflows", "simulator"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from `client/`."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--disable-pip-version-check",
        "--no-index",
        "--no-deps",
    ]
    command += ["--no-build-isolation", "--wheel-dir", str(folder), str(ROOT / "client")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.iterdir()
    return built


def test_the_wheel_has_the_client_and_needs_celery_only(wheel: Path) -> None:
    """Its modules, the marker of its types, and one requirement."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA"))).decode()
    modules = {f"settle_client/{path.name}" for path in (ROOT / "client" / "settle_client").glob("*.py")}
    assert {name for name in names if "dist-info" not in name} == modules | {"settle_client/py.typed"}
    assert re.findall(r"^Requires-Dist: ([\w-]+)", metadata, re.M) == ["celery"]


def test_it_works_where_settle_is_not(wheel: Path, tmp_path: Path) -> None:
    """Sends from an interpreter that cannot import Settle, nor does it import what only Settle needs."""
    program = PROGRAM.format(wheel=str(wheel), packages=sysconfig.get_path("purelib"), ours=OURS)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    place, job_id, state, known, light = json.loads(done.stdout)
    assert place.startswith(str(wheel))
    assert (job_id, state, known, light) == ("order-4711", "pending", [], True)


def test_it_imports_nothing_of_settle() -> None:
    """In the tree neither, where it could."""
    for module in (ROOT / "client" / "settle_client").glob("*.py"):
        imported = set(re.findall(r"^\s*(?:from|import) (\w+)", module.read_text(), re.M))
        assert not imported & set(OURS), module.name
