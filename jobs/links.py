"""What follows a job: links, and the references by which they are fed from the outcomes of jobs before them.

A link is plain JSON: `{"workflow": …, "kwargs": {…}}` or `{"task": …, "queue": …, "kwargs": {…}}`. Anywhere in `kwargs`
may stand `{"$from": "artifacts[tokens.txt].sha256"}`: a path into the outcome of the job before it, or, with `"$of"`,
of the job at that place of the chain (0 is the first), or of the link with that `name`. Places count tasks, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jobs.names import MALFORMED, well_formed

FROM = "$from"
OF = "$of"
#: What stands in the place of a reference that led nowhere. The link that holds it fails when its turn comes.
MISSING = "$missing"

#: The workflow whose `jobs` are jobs themselves.
GROUP = "group"

#: What a reference may read: all that no longer changes once a job has succeeded, so that a link which is started
#: twice is the same both times.
READABLE = (
    "job_id",
    "provider",
    "workflow",
    "remote_id",
    "status_word",
    "tags",
    "created_at",
    "submitted_at",
    "result",
    "artifacts",
)

Link = Mapping[str, Any]
Place = tuple[str | int, ...]

_STEP = re.compile(r"(?:^|(?<=.)\.)([^.\[\]]+)|\[([^\[\]]+)\]")


def title(link: Link) -> str:
    """The workflow, or the task, that a link starts, for people: older versions recorded any text."""
    name = link.get("workflow") or link.get("task")
    return str(name) if well_formed(name) else MALFORMED


def bare(then: Sequence[Link]) -> tuple[dict[str, Any], ...]:
    """The links without their bodies: what is left of them when they can never start."""
    return tuple({key: link[key] for key in ("workflow", "task") if link.get(key)} for link in then)


def steps(path: object) -> tuple[str, ...]:
    """The steps of a path: names after dots, anything in brackets; none for `.`, the whole.

    Raises:
        ValueError: it is not a path, or begins with what a reference cannot read.
    """
    if path == ".":
        return ()
    found: list[str] = []
    at = 0
    for match in _STEP.finditer(path) if isinstance(path, str) else ():
        if match.start() != at:
            break
        found.append(match[1] or match[2])
        at = match.end()
    if not isinstance(path, str) or not found or at != len(path):
        raise ValueError("$from: write a path such as result.version_id or artifacts[0].sha256")
    if found[0] not in READABLE:
        raise ValueError(f"$from: an outcome has no {found[0]!r}; there are {', '.join(READABLE)}")
    return tuple(found)


def look_up(outcome: Mapping[str, Any], path: str) -> Any:
    """What a path leads to; a step into a list is an index, or the `name` of a member.

    Raises:
        LookupError: nothing is there.
        ValueError: it is not a path.
    """
    value: Any = {key: outcome[key] for key in READABLE if key in outcome}
    for step in steps(path):
        if isinstance(value, list):
            named = [each for each in value if isinstance(each, Mapping) and each.get("name") == step]
            value = named[0] if named else value[int(step)] if step.isdecimal() and int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, Mapping) else None
        if value is None:
            raise LookupError(path)
    return value


def _rebuilt(value: Any, change: Callable[[dict[str, Any], Place], Any], place: Place) -> Any:
    """The same JSON with every reference, or gap, replaced by what `change` makes of it."""
    if isinstance(value, Mapping):
        if FROM in value or MISSING in value:
            return change(dict(value), place)
        return {key: _rebuilt(each, change, (*place, key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rebuilt(each, change, (*place, index)) for index, each in enumerate(value)]
    return value


def _fed(link: Link, change: Callable[[dict[str, Any], Place], Any], place: Place = ()) -> dict[str, Any]:
    """The link with its references replaced. What the members of a group have in `then` refers to those alone."""
    kwargs = link.get("kwargs") or {}
    inside = (*place, "kwargs")
    if link.get("workflow") == GROUP and isinstance(kwargs.get("jobs"), list | tuple):
        jobs = [
            _fed(member, change, (*inside, "jobs", index)) if isinstance(member, Mapping) else member
            for index, member in enumerate(kwargs["jobs"])
        ]
        return {**link, "kwargs": {**kwargs, "jobs": jobs}}
    return {**link, "kwargs": _rebuilt(kwargs, change, inside)}


def references(link: Link) -> list[tuple[Place, dict[str, Any]]]:
    """Every reference of a link (and every gap), with its place inside the link."""
    found: list[tuple[Place, dict[str, Any]]] = []

    def note(reference: dict[str, Any], place: Place) -> dict[str, Any]:
        found.append((place, reference))
        return reference

    _fed(link, note)
    return found


def written(place: Place) -> str:
    """A place as people write it."""
    return ".".join(map(str, place))


def problems(then: Sequence[Link]) -> Iterator[str]:
    """What is wrong with the references of a whole chain, as far as it can be told before anything has run."""
    names: dict[str, int] = {}
    for position, link in enumerate(then, 1):
        for place, reference in references(link):
            try:
                if set(reference) - {FROM, OF}:
                    raise ValueError(f"a reference has {FROM} and {OF}, and nothing else")
                steps(reference[FROM])
                _target(reference.get(OF), position, names, then)
            except ValueError as error:
                yield f"{written((position - 1, *place))}: {error}"
        if (name := link.get("name")) is not None:
            if name in names:
                yield f"{position - 1}.name: {name!r} is the name of another link"
            names[name] = position


def _target(of: object, position: int, names: Mapping[str, int], then: Sequence[Link]) -> int:
    """The place in the chain that a reference of the link at `position` means.

    Raises:
        ValueError: no job is there, or none that comes before.
    """
    if of is None:
        return next(place for place in range(position - 1, -1, -1) if place == 0 or then[place - 1].get("workflow"))
    if isinstance(of, str) and of in names:
        of = names[of]
    if not isinstance(of, int) or isinstance(of, bool) or not 0 <= of < position:
        raise ValueError(f"{OF}: use the place (0 is the first job) or the name of a link before this one")
    if of and not then[of - 1].get("workflow"):
        raise ValueError(f"{OF}: a task of another application has no outcome")
    return of


def numbered(then: Sequence[Link]) -> tuple[dict[str, Any], ...]:
    """The links of a first job, each reference with the number of the place that it means."""
    names = {link["name"]: position for position, link in enumerate(then, 1) if link.get("name") is not None}
    done = []
    for position, link in enumerate(then, 1):

        def number(reference: dict[str, Any], _: Place, position: int = position) -> dict[str, Any]:
            return {**reference, OF: _target(reference.get(OF), position, names, then)}

        done.append(_fed(link, number))
    return tuple(done)


def fill(then: Sequence[Link], position: int, outcome: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Put the values of one outcome into all links that wait for them: it need not be read again later.

    Args:
        then: the links, numbered.
        position: the place of the job in its chain.
        outcome: of that job.
    """

    def resolve(reference: dict[str, Any], _: Place) -> Any:
        if reference.get(OF) != position or MISSING in reference:
            return reference
        try:
            value = look_up(outcome, reference[FROM])
        except (LookupError, ValueError):
            return {MISSING: f"the outcome of {outcome['job_id']} has no {reference[FROM]!r}"}
        # A provider's words must not become references of their own.
        return {MISSING: f"{reference[FROM]!r} holds a reference"} if _refers(value) else value

    return tuple(_fed(link, resolve) for link in then)


def _refers(value: Any) -> bool:
    found = False

    def note(reference: dict[str, Any], _: Place) -> Any:
        nonlocal found
        found = True
        return reference

    _rebuilt(value, note, ())
    return found


def gap(link: Link) -> str | None:
    """Why a link cannot start: the first of its references that led nowhere."""
    for place, found in references(link):
        return f"{written(place)}: {found.get(MISSING, 'nothing before it has this')}"
    return None


def queues(kwargs: Mapping[str, Any], place: Place = ()) -> Iterator[tuple[Place, str]]:
    """The queues that the arguments of a trigger name, each with its place: in `then`, and in members of groups.

    Args:
        kwargs: of a workflow, checked by its model.
        place: of them.
    """
    for name in ("then", "jobs"):
        inner = kwargs.get(name)
        for index, each in enumerate(inner if isinstance(inner, list | tuple) else ()):
            if not isinstance(each, Mapping):
                continue
            here = (*place, name, index)
            if each.get("queue") is not None:
                yield (*here, "queue"), str(each["queue"])
            yield from queues(each.get("kwargs") or {}, (*here, "kwargs"))
            yield from queues({"then": each.get("then")}, here)


def link_id(job_id: str, position: int, link: Link, place: int) -> str:
    """The id of the job, or message, that a link becomes: the same however often it is started.

    Args:
        job_id: of the job that starts it.
        position: the place of that job in its chain.
        link: its own `id` goes first.
        place: the place of the link.
    """
    if link.get("id"):
        return str(link["id"])
    head = job_id.removesuffix(f".then.{position}") if position else job_id
    return f"{head}.then.{place}"


def nesting(value: Any) -> int:
    """How deep lists and objects lie in each other. Does not recurse, so that it can be asked of anything."""
    deepest, stack = 0, [(value, 1)]
    while stack:
        each, depth = stack.pop()
        inner = each.values() if isinstance(each, Mapping) else each if isinstance(each, list | tuple) else None
        if inner is not None:
            deepest = max(deepest, depth)
            stack.extend((member, depth + 1) for member in inner)
    return deepest
