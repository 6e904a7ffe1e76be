"""Templates: ours, else Flower's own. Its navigation gets one more entry; nothing of it is copied."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from tornado.template import BaseLoader, Template

from jobs.errors import ConfigurationError

_OURS = Path(str(files("workflows") / "web" / "templates"))
_NAVIGATION = "navbar.html"
#: Where Flower's first list of entries ends.
_END = "</ul>"
_ENTRY = """
        <li class="nav-item">
          <a class="nav-link{% if active_tab == 'jobs' %} active{% end %}" id="jobs-tab"
            href="{{ reverse_url('jobs') }}"
            {% if active_tab == 'jobs' %}aria-current="page"{% end %}>Jobs</a>
        </li>
      """


class Templates(BaseLoader):
    """Finds templates.

    Args:
        flower: the folder of Flower's own.
    """

    def __init__(self, flower: str) -> None:
        super().__init__()
        self._folders = (_OURS, Path(flower))

    def resolve_path(self, name: str, parent_path: str | None = None) -> str:
        """All names are whole."""
        return name

    def _create_template(self, name: str) -> Template:
        path: Any = next((folder / name for folder in self._folders if (folder / name).is_file()), None)
        if path is None:
            raise FileNotFoundError(name)
        text = path.read_text(encoding="utf-8")
        if name == _NAVIGATION:
            if _END not in text:
                raise ConfigurationError("this version of Flower has another navigation: install flower>=2.2,<2.3")
            text = text.replace(_END, _ENTRY + _END, 1)
        return Template(text, name=name, loader=self)
