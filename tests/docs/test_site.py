"""The built site: every page is in it, nothing comes from another host, and the recording is what it was made of."""

from __future__ import annotations

import json
import os
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, pages

SITE = ROOT / "site"
PYTHON = os.environ.get("DOCS_PYTHON", str(ROOT / ".venv-docs" / "bin" / "python"))
IMAGES = ROOT / "docs" / "images"


class _Parts(HTMLParser):
    """What a page loads, where it leads, and the places in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.places |= {value for name in ("id", "name") if (value := values.get(name))}
        if tag == "a" and values.get("href"):
            self.links.append(str(values["href"]))
        elif tag == "link" and values.get("rel") not in ("prev", "next", "canonical"):
            self.loaded.append(str(values.get("href")))
        elif tag != "a" and values.get("src"):
            self.loaded.append(str(values["src"]))


@pytest.fixture(scope="module")
def site() -> dict[Path, _Parts]:
    """Each page of the site that `make docs` has built."""
    assert (SITE / "index.html").is_file(), "make docs builds it first"
    return {path: _Parts(path.read_text()) for path in sorted(SITE.rglob("*.html"))}


def test_every_page_is_in_the_site(site: dict[Path, _Parts]) -> None:
    """And is newer than its source, so that no old site is looked at."""
    for page in pages():
        name = str(page.relative_to(ROOT)).removeprefix("docs/").removesuffix(".md").replace("README", "index")
        assert SITE / f"{name}.html" in site, page
        assert (SITE / f"{name}.html").stat().st_mtime >= page.stat().st_mtime, f"{page}: make docs"


def test_nothing_is_loaded_from_another_host(site: dict[Path, _Parts]) -> None:
    """No font, script or picture: reading the pages tells nobody."""
    for path, parts in site.items():
        assert parts.loaded, path
        for address in parts.loaded:
            assert not re.match(r"(https?:)?//", address), f"{path.name} loads {address}"
        assert 'class="mermaid"' not in path.read_text(), f"{path.name}: Material would fetch what draws it"
    for sheet in SITE.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", sheet.read_text()), sheet.name


def test_every_link_leads_somewhere(site: dict[Path, _Parts]) -> None:
    """Also those to files above `docs/`, and to places in a page."""
    for path, parts in site.items():
        for link in [*parts.links, *parts.loaded]:
            if re.match(r"[a-z]+:|//", link) or path.name == "404.html":
                continue
            name, _, place = link.partition("#")
            target = (path.parent / name).resolve() if name else path
            assert target.exists(), f"{path.name}: {link}"
            if place and target in site:
                assert place in site[target].places, f"{path.name}: {link}"


def test_the_recording_shows_what_the_demo_did() -> None:
    """To its good end, on a terminal of its own, and with nothing of the machine that it ran on."""
    head, *events = map(json.loads, (IMAGES / "demo.cast").read_text().splitlines())
    assert head.keys() == {"version", "width", "height", "title"}
    assert head["version"] == 2
    printed = "".join(text for _, kind, text in events if kind == "o")
    assert "every job ended as it should" in printed
    assert not re.findall(r"/(?:home|root|tmp|Users)/\S+", printed)
    times = [at for at, *_ in events]
    assert times == sorted(times)


def test_the_moving_picture_is_made_of_the_recording(tmp_path: Path) -> None:
    """The script makes the same of it again; it has no script and loads nothing."""
    assert Path(PYTHON).exists(), "make test-docs sets up the packages of docs/requirements.lock"
    made = tmp_path / "demo.svg"
    command = [PYTHON, str(ROOT / "docs" / "scripts" / "play.py"), str(IMAGES / "demo.cast"), str(made)]
    subprocess.run(command, check=True, timeout=60)
    text = made.read_text()
    assert text == (IMAGES / "demo.svg").read_text(), "make recording"
    assert "<script" not in text
    assert re.findall(r"https?://\S+", text) == ['http://www.w3.org/2000/svg"']
    assert text.count("<use ") > 100
