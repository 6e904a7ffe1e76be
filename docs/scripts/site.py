"""What MkDocs asks while it builds the site: pages and links that a code host shows by itself.

README.md, SECURITY.md, CONTRIBUTING.md and CHANGELOG.md lie above `docs/` and are pages of the site, too. Any other
file of the repository that a page links to is put into the site as it is. So each link is written once, as a path, and
works in both places.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

#: Pages above `docs/`, and where they are in the site.
ABOVE = {"README.md": "index.md", **{name: name for name in ("SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")}}

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)((?:#[^)]*)?)(?=\))")
_MERMAID = re.compile(r"^```mermaid\nstateDiagram.*?^```$", re.M | re.S)


def _source(page: str) -> str:
    """The folder of a page in the repository, as seen from its root; empty for the root itself."""
    above = {place: name for name, place in ABOVE.items()}
    return posixpath.dirname(above.get(page, f"docs/{page}"))


def _place(path: str) -> str:
    """Where a file of the repository is in the site."""
    if path in ABOVE:
        return ABOVE[path]
    return path.removeprefix("docs/") if path.startswith("docs/") else f"files/{path}"


def links(page: str, markdown: str) -> list[tuple[str, str]]:
    """Each link to a file: as it is written, and the file's path in the repository."""
    folder = _source(page)
    return [(found[1], posixpath.normpath(posixpath.join(folder, found[1]))) for found in _LINK.finditer(markdown)]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages above `docs/`, and the files that pages link to."""
    for name, place in ABOVE.items():
        files.append(File.generated(config, place, content=(ROOT / name).read_text()))
    for page in list(files.documentation_pages()):
        for _, path in links(page.src_uri, page.content_string):
            place = _place(path)
            # A link to what is not there stays as it is, and the strict build names it.
            if place.startswith("files/") and (ROOT / path).is_file() and files.get_file_from_path(place) is None:
                files.append(File.generated(config, place, content=(ROOT / path).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files, **_: Any) -> str:
    """Links as the site has them; the drawing that a code host makes of the state diagram as our own picture."""
    here = page.file.src_uri
    folder = posixpath.dirname(here) or "."

    def link(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(_source(here), found[1]))
        return posixpath.relpath(_place(path), folder) + found[2]

    picture = posixpath.relpath("images/states.svg", folder)
    return _LINK.sub(link, _MERMAID.sub(f"![the states of a job and the moves between them]({picture})", markdown))
