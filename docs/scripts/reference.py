"""Writes `docs/reference/`: settings, workflows, providers and states, as the code has them.

`make reference` runs it; a test compares the pages with what it would write.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from pydantic import BaseModel

import workflows
from config.settings import PREFIX, CoreSettings
from docs.scripts.fields import bounds, default, kind, models
from jobs import states
from jobs.states import MOVES, REOPENINGS, TERMINAL, JobState
from providers import discover
from providers.base import Operation, Provider
from providers.settings import ProviderSettings
from providers.trigger import Options
from tasks.ways import WORKFLOWS

FOLDER = Path(__file__).parents[1] / "reference"

_HEAD = "<!-- Written by `make reference` from {source}: do not edit. -->\n\n# {title}\n"

for _found in iter_modules(workflows.__path__):  # each registers its workflows
    import_module(f"workflows.{_found.name}")


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *(tuple(_cell(each) for each in row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _first(text: str | None) -> str:
    return inspect.cleandoc(text or "").partition("\n\n")[0].replace("\n", " ")


def _variables(model: type[BaseModel], prefix: str, leave_out: Iterable[str] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        if name in leave_out:
            continue
        inner = models(field.annotation)
        if inner:
            yield from _variables(inner[0], f"{prefix}{name.upper()}__")
            continue
        takes = " ".join(filter(None, (kind(field.annotation), bounds(field))))
        yield f"`{prefix}{name.upper()}`", takes, default(field), field.description or ""


_VARIABLE = ("variable", "takes", "default", "meaning")


def settings() -> str:
    """Every variable."""
    parts = [
        _HEAD.format(source="the models of the settings", title="Settings"),
        (
            "All come from the environment and are read once. Times are in seconds. A variable that is not here "
            "is refused, "
            "so a misspelt one is noticed. [Running Settle](../operations.md#settings) tells what to think of.\n"
        ),
        "## Of every process\n",
        _table(_VARIABLE, _variables(CoreSettings, PREFIX)),
        (
            f"## Of every provider\n\nWrite the provider's name for `<PROVIDER>`, as in `{PREFIX}MYIPR__RATE`. "
            f"Without "
            "`BASE_URL` and `API_KEY` its jobs are refused, with a message that says so.\n"
        ),
        _table(_VARIABLE, _variables(ProviderSettings, f"{PREFIX}<PROVIDER>__")),
    ]
    for name, provider in _providers():
        own = _own_settings(provider)
        if own:
            parts += [f"## Of {name} alone\n", "Its own, and those with another default.\n", _table(_VARIABLE, own)]
    return "\n".join(parts)


def _providers() -> list[tuple[str, type[Provider]]]:
    """Settle's own: what else is installed here belongs to no page."""
    return [(name, kind) for name, kind in discover().items() if kind.__module__.partition(".")[0] == "providers"]


def _own_settings(provider: type[Provider]) -> list[tuple[str, ...]]:
    common = ProviderSettings.model_fields
    same = [
        name
        for name, field in provider.settings_type.model_fields.items()
        if name in common and default(field) == default(common[name])
    ]
    return list(_variables(provider.settings_type, f"{PREFIX}{provider.name.upper()}__", same))


def _arguments(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        takes = " ".join(filter(None, (kind(field.annotation), bounds(field))))
        yield f"`{field.alias or name}`", takes, default(field), field.description or ""


_ARGUMENT = ("argument", "takes", "default", "meaning")


def _inside(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """The models inside a model, each once."""
    for field in model.model_fields.values():
        for inner in models(field.annotation):
            if inner not in seen:
                seen.add(inner)
                yield inner
                yield from _inside(inner, seen)


def workflow_pages() -> str:
    """Every workflow with its arguments."""
    parts = [
        _HEAD.format(source="the models of the requests", title="Workflows"),
        (
            "Each is a Celery task, `settle.<name>`, and takes its arguments by name: see "
            "[trigger](../trigger.md). An argument "
            "that is not here is refused.\n"
        ),
        "## Every workflow also takes\n",
        _table(_ARGUMENT, _arguments(Options)),
    ]
    shown: set[type[BaseModel]] = set()
    own = [name for name, _ in _providers()]
    for name, workflow in sorted(WORKFLOWS.items()):
        if workflow.provider not in own:
            continue
        stages = " → ".join(stage.removeprefix("settle.") for stage in workflow.stages)
        parts += [f"## `{name}`\n", f"{_first(workflow.chain.__doc__)}\n", f"Stages: {stages}.\n"]
        parts += [_table(_ARGUMENT, _arguments(workflow.request))]
        for inner in _inside(workflow.request, shown):
            if inner.model_fields:
                parts += [f"### {inner.__name__}\n", f"{_first(inner.__doc__)}\n"]
                parts += [_table(_ARGUMENT, _arguments(inner))]
    return "\n".join(parts)


def _overrides(operation: type[Operation[BaseModel]], method: str) -> str:
    return "yes" if getattr(operation, method) is not getattr(Operation, method) else "–"


def provider_pages() -> str:
    """Every provider with its operations, and what each can do."""
    parts = [
        _HEAD.format(source="the providers", title="Providers"),
        (
            "What each operation can do; how it does it is on the provider's own page. *Restored*: after Redis "
            "came back from "
            "a copy the API itself can be asked, see `settle restored`.\n"
        ),
    ]
    for name, provider in _providers():
        page = FOLDER.parent / "providers" / f"{name}.md"
        more = f"See [its page](../providers/{name}.md).\n" if page.is_file() else ""
        about = _first(inspect.getmodule(provider).__doc__)
        rows = [
            (
                f"`{'.'.join(filter(None, (name, operation.name)))}`",
                _first(operation.__doc__),
                _overrides(operation, "download"),
                _overrides(operation, "cancel"),
                _overrides(operation, "tidy"),
                f"`{operation.source}`" if operation.source else "–",
                "yes" if operation.asks_without_ledger else "–",
            )
            for operation in provider.operations
        ]
        window = provider.settings_type()
        head = ("operation", "what it does", "files", "cancels", "tidies up", "hashes first", "restored")
        parts += [
            f"## {name}\n",
            "\n".join(filter(None, (about, more))).rstrip() + "\n",
            _table(head, rows),
            (
                f"Polled after {window.poll_first:g} s, then every {window.poll_minimum:g} to "
                f"{window.poll_maximum:g} s; its "
                f"deadline is {window.deadline:g} s, unless a setting or the trigger says otherwise.\n"
            ),
        ]
    return "\n".join(parts)


def _sentences() -> dict[str, str]:
    """The sentence under each member of the enum."""
    tree = ast.parse(inspect.getsource(states.JobState)).body[0]
    assert isinstance(tree, ast.ClassDef)  # noqa: S101
    found, name = {}, ""
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and name:
            found[name] = str(statement.value.value)
    return found


def _codes(of: Iterable[JobState]) -> str:
    return ", ".join(f"`{state.value}`" for state in JobState if state in of) or "–"


def state_pages() -> str:
    """Every state, who sets it and what follows."""
    sentences = _sentences()
    rows = [(f"`{state.value}`", sentences[state.name], _codes(MOVES[state])) for state in JobState]
    reopened = [(f"`{source.value}`", _codes(targets)) for source, targets in REOPENINGS.items()]
    return "\n".join(
        [
            _HEAD.format(source="`jobs/states.py`", title="States"),
            "![the states of a job and the moves between them](../images/states.svg)\n",
            (
                "The way of a job goes from left to right. A dot in the rows beneath says that a job may also end "
                "so from there.\n"
            ),
            _table(("state", "meaning", "may be followed by"), rows),
            (
                f"{_codes(TERMINAL)} are the ends: no stage moves a job on from there. Only a person reopens "
                f"one, with "
                "`settle resume` or `settle replay`:\n"
            ),
            _table(("end", "goes on at"), reopened),
            (
                "For Celery a job's state is the same word in capitals, with two exceptions: `succeeded` is "
                "`SUCCESS`, and every "
                "other end is `FAILURE`.\n"
            ),
        ]
    )


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings,
    "workflows.md": workflow_pages,
    "providers.md": provider_pages,
    "states.md": state_pages,
}


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())


if __name__ == "__main__":
    main()
