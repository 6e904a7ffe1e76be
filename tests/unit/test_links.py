"""Links and references: paths, places, and what is put where."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import links

BOUNDED = settings(deadline=None, database=None, max_examples=150)
OUTCOME = {
    "job_id": "j",
    "state": "succeeded",
    "tags": {"a.b": "dotted"},
    "result": {"version_id": "v", "empty": None, "list": [10, 20], "zero": 0, "no": False},
    "artifacts": [{"name": "tokens.txt", "sha256": "aa"}, {"name": "1", "sha256": "bb"}],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("job_id", "j"),
        ("result.version_id", "v"),
        ("[result][version_id]", "v"),
        ("result.list[1]", 20),
        ("result.list.0", 10),
        ("result.zero", 0),
        ("result.no", False),
        ("tags[a.b]", "dotted"),
        ("artifacts[tokens.txt].sha256", "aa"),
        ("artifacts[0].sha256", "aa"),
        ("artifacts[1].name", "1"),
    ],
)
def test_what_a_path_leads_to(path: str, value: Any) -> None:
    """Names after dots, anything in brackets; of a list an index, or the name of a member, which goes first."""
    assert links.look_up(OUTCOME, path) == value


@pytest.mark.parametrize(
    "path",
    ["result.nothing", "result.empty", "result.list[2]", "artifacts[x]", "job_id.x", "result.list.-1", "remote_id"],
)
def test_a_path_that_leads_nowhere(path: str) -> None:
    """A value that is null is no value."""
    with pytest.raises(LookupError):
        links.look_up(OUTCOME, path)


@pytest.mark.parametrize(
    "path", ["", "result..a", ".result", "result.", "result[a", "result]", "a", "state", None, 5, []]
)
def test_what_is_no_path(path: Any) -> None:
    """Told before anything runs; what still changes cannot be read."""
    with pytest.raises(ValueError, match=r"\$from"):
        links.steps(path)


def test_the_whole_is_what_no_longer_changes() -> None:
    """So a link that is started twice is the same both times."""
    assert set(links.look_up(OUTCOME, ".")) == {"job_id", "tags", "result", "artifacts"}


@given(st.text(max_size=30))
@BOUNDED
def test_any_text_is_a_path_or_none(text: str) -> None:
    """Nothing but the two errors ever comes of it."""
    with suppress(LookupError, ValueError):
        links.look_up(OUTCOME, text)


def _link(*references: Any, **more: Any) -> dict[str, Any]:
    return {"workflow": "a.b", "kwargs": {"x": list(references)}, **more}


def _ref(path: str = "job_id", of: Any = None) -> dict[str, Any]:
    return {"$from": path} if of is None else {"$from": path, "$of": of}


def test_each_reference_gets_the_number_of_its_place() -> None:
    """The job before, a place, or a name; a task is a place without an outcome. Doing it again changes nothing."""
    then = [
        _link(_ref(), name="one"),
        {"task": "t", "queue": "q", "kwargs": {"deep": {"er": _ref()}}},
        _link(_ref(), _ref(of=0), _ref(of="one")),
    ]
    numbered = links.numbered(then)
    assert numbered[0]["kwargs"]["x"] == [_ref(of=0)]
    assert numbered[1]["kwargs"]["deep"]["er"] == _ref(of=1)
    assert numbered[2]["kwargs"]["x"] == [_ref(of=1), _ref(of=0), _ref(of=1)]
    assert links.numbered(numbered) == numbered
    assert list(links.problems(then)) == list(links.problems(numbered)) == []


def test_one_outcome_fills_all_links_that_wait_for_it() -> None:
    """Those that wait for another one stay; what is missing is marked, and found as the reason."""
    then = links.numbered([_link(_ref("result.version_id")), _link(_ref("result.nothing", of=0), _ref())])
    filled = links.fill(then, 0, OUTCOME)
    assert filled[0]["kwargs"]["x"] == ["v"]
    assert links.gap(filled[0]) is None
    assert filled[1]["kwargs"]["x"][1] == _ref(of=1)
    assert links.gap(filled[1]) == "kwargs.x.0: the outcome of j has no 'result.nothing'"
    again = links.fill(filled, 1, {**OUTCOME, "job_id": "k"})
    assert again[1]["kwargs"]["x"] == [filled[1]["kwargs"]["x"][0], "k"]


def test_a_chain_in_a_group_is_a_chain_of_its_own() -> None:
    """Its references are not touched by the chain outside."""
    inner = {"workflow": "a.b", "kwargs": {"y": _ref()}, "then": [_link(_ref())]}
    then = links.numbered([{"workflow": "group", "kwargs": {"jobs": [inner], "success": "any"}}])
    (filled,) = links.fill(then, 0, OUTCOME)
    assert filled["kwargs"]["success"] == "any"
    assert filled["kwargs"]["jobs"][0] == {**inner, "kwargs": {"y": "j"}}


@pytest.mark.parametrize(
    ("job_id", "position", "link", "place", "found"),
    [
        ("j", 0, {}, 1, "j.then.1"),
        ("j.then.1", 1, {}, 2, "j.then.2"),
        ("j.then.1", 0, {}, 1, "j.then.1.then.1"),
        ("j.then.1", 2, {}, 3, "j.then.1.then.3"),
        ("j", 0, {"id": "mine"}, 1, "mine"),
        ("mine", 1, {}, 2, "mine.then.2"),
        ("g.3.then.2", 2, {}, 4, "g.3.then.4"),
    ],
)
def test_the_id_of_a_link(job_id: str, position: int, link: dict[str, Any], place: int, found: str) -> None:
    """Made of the first job's and the place; a job that is only called like a link is none."""
    assert links.link_id(job_id, position, link, place) == found


def test_nothing_but_names_is_left_of_a_link_that_never_starts() -> None:
    """Its body may be personal."""
    left = links.bare(
        [_link("private", id="x", tags={"a": "private"}), {"task": "t", "queue": "q", "kwargs": {"a": 1}}]
    )
    assert left == ({"workflow": "a.b"}, {"task": "t"})
    assert [links.title(link) for link in left] == ["a.b", "t"]


def test_how_deep_something_lies_is_told_of_anything() -> None:
    """Also of what is deeper than Python could go by itself."""
    assert [links.nesting(each) for each in (1, "a", [], [[]], {"a": [1]}, [{"a": {}}])] == [0, 0, 1, 2, 2, 3]
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert links.nesting(deep) == 100_001
    with pytest.raises(RecursionError):
        json.dumps(deep)
    while deep:  # taken apart by hand: freeing it at once would recurse, too
        deep = deep.pop()
