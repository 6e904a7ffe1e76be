"""The Python of the pages, type-checked: what a reader copies is known to mypy as it is to the interpreter."""

from __future__ import annotations

from pathlib import Path

from mypy import api

from tests.docs.blocks import ROOT, all_blocks


def test_each_python_block_passes_mypy(tmp_path: Path) -> None:
    """The blocks of a page follow each other as one module; a block that is a file of its own is one by itself."""
    lines: dict[str, list[str]] = {}
    for block in all_blocks():
        if block.language != "python" or "quoted from" in block.notes:
            continue
        page = str(block.page.relative_to(ROOT).with_suffix("")).replace("/", "_").replace("-", "_").replace(".", "_")
        alone = "file" in block.notes or "run by" in block.notes
        own = lines.setdefault(f"{page}_{block.line}" if alone else page, [])
        own += [""] * (block.line - len(own))  # so that mypy speaks of the page's own lines
        own += block.code.splitlines()
    for name, code in lines.items():
        (tmp_path / f"{name}.py").write_text("\n".join([*code, ""]))
    assert len(lines) >= 5
    # Examples are not annotated, and what Celery sends back is anything: all else counts.
    options = ["--check-untyped-defs", "--no-error-summary", "--disable-error-code=import-untyped"]
    options += ["--disable-error-code=import-not-found", f"--cache-dir={ROOT / '.mypy_cache' / 'docs'}"]
    options += ["--config-file=", "--python-version=3.11"]
    told, trouble, status = api.run([*options, *sorted(map(str, tmp_path.glob("*.py")))])
    assert (status, trouble) == (0, ""), told
