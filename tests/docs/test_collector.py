"""What finds, checks and runs blocks sees what is wrong: on pages that are made up for it."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.docs import checkout, lanes
from tests.docs.blocks import ROOT, Block, blocks
from tests.docs.checks import fault
from tests.docs.conftest import bare_environment
from tests.docs.console import commands, missing, unknown_options
from tests.docs.sessions import Python, Shell


def page(tmp_path: Path, text: str) -> list[Block]:
    """The blocks of a page with this text."""
    path = tmp_path / "page.md"
    path.write_text(text)
    return blocks(path)


def test_blocks_are_found_wherever_they_stand(tmp_path: Path) -> None:
    """In lists and in quotes, with tildes, and with fences inside of longer ones."""
    found = page(
        tmp_path,
        "```json\n{}\n```\n\n1. one\n\n   ```console\n   $ true\n   ```\n\n"
        "> ~~~python\n> 1\n> ~~~\n\n````text\n```\n````\n",
    )
    assert [(block.language, block.code) for block in found] == [
        ("json", "{}\n"),
        ("console", "$ true\n"),
        ("python", "1\n"),
        ("text", "```\n"),
    ]
    assert [block.line for block in found] == [1, 7, 11, 15]


def test_a_note_belongs_to_the_block_right_after_it(tmp_path: Path) -> None:
    """Several may follow each other; a sentence in between ends them."""
    (first, second, third) = page(
        tmp_path,
        "<!-- file: a.json -->\n<!-- body of: x.y -->\n```json\n1\n```\n\n```json\n2\n```\n\n"
        "<!-- fails: 1 -->\n\nA sentence.\n\n```console\n$ true\n```\n",
    )
    assert first.notes == {"file": "a.json", "body of": "x.y"}
    assert second.notes == third.notes == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```\nls\n```", "a block needs a language"),
        ("```console\nls\n```", "begins with `$ `"),
        ("```console\n$ cat <<'E'\nx\n```", "does not end"),
        ("```console\n$ settle submitt x\n```", "settle submitt: no such command"),
        ("```console\n$ settle list --wat\n```", "settle list has no option --wat"),
        ("```console\n$ settle webhooks replay --wat\n```", "settle webhooks replay has no option --wat"),
        ("```console\n$ settle webhooks burn shop\n```", "settle webhooks burn: no such command"),
        ("<!-- run by: .ci/run -->\n```console\n$ settle list --wat\n```", "settle list has no option --wat"),
        (
            "<!-- run by: .ci/run -->\n```console\n$ make demo\n$ make bench\n```",
            "make bench: .ci/run does not make bench",
        ),
        ("<!-- run by: .ci/run -->\n```console\n$ make audit # of all\n```", "make audit: .ci/run does not make audit"),
        ("<!-- run by: .ci/run -->\n```console\n$ cmake demo\n```", "cmake demo: .ci/run has no such line"),
        ("<!-- not run: it needs docker -->\n```console\n$ true\n```", "no such note: not run"),
        ("<!-- in: a cellar -->\n```console\n$ true\n```", "a page is run in a folder of its own, or"),
        ("<!-- nut run: it is dangerous -->\n```console\n$ true\n```", ""),
        ("```json\n{…}\n```", "it is no json"),
        ("```toml\na = \n```", "it is no toml"),
        ("```yaml\na: [\n```", "it is no yaml"),
        ("```csv\na,b\n1\n```", "different numbers of columns"),
        ("```python\ndef f(:\n```", "it is no python"),
        ("```go\nfunc main() {}\n```", "go is not run here"),
        ("```text\n$ ls\n```", "a text with commands"),
        ('<!-- body of: lettrlabs.delete -->\n```json\n{"id": "x"}\n```', "lettrlabs.delete refuses it: id"),
        ("<!-- body of: lettrlabs.burn -->\n```json\n{}\n```", "lettrlabs.burn is not one of"),
        ("```ini\nSETTLE_LEESE=1\n```", "the settings are refused: SETTLE_LEESE"),
        ("```env\nSETTLE_LEASE=12\n```", "the settings are refused: SETTLE_LEASE"),
        ("<!-- run by: tests/docs/nothing.py -->\n```go\nx\n```", "is no test that takes blocks from page.md"),
        ("<!-- run by: tests/conftest.py -->\n```go\nx\n```", "is no test that takes blocks from page.md"),
        ("<!-- quoted from: jobs/states.py -->\n```python\nx = 1\n```", "does not have this any more: x = 1"),
    ],
)
def test_what_is_wrong_is_told(text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do about it."""

    def environment(values: Mapping[str, str]) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    (block,) = page(tmp_path, f"{text}\n")
    assert told in (fault(block, environment) or ("" if "nut" in text else "nothing was wrong"))
    if "nut" in text:
        assert "no such note: nut run" in (fault(block, environment) or "")


@pytest.mark.parametrize(
    "text",
    [
        "```console\n$ settle list --state in_doubt | head -3 # of all\n```",
        "```console\n$ settle webhooks replay --all --target shop --json\n```",
        "```ini\n# of the workers\nSETTLE_LEASE=60\nSETTLE_MYIPR__RATE=12.5\n```",
        '<!-- body of: lettrlabs.delete -->\n```json\n{"id": 7}\n```',
        "<!-- quoted from: jobs/states.py -->\n```python\nS = JobState\n```",
        "<!-- run by: .ci/run -->\n```console\n$ make test lint # and more\n$ make check\n```",
        "<!-- in: a checkout -->\n```console\n$ make help\n```",
    ],
)
def test_what_is_right_is_left_alone(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No fault."""
    (block,) = page(tmp_path, f"{text}\n")
    assert fault(block, lambda values: [monkeypatch.setenv(*pair) for pair in values.items()] and None) is None


def test_commands_with_their_lines_and_their_output() -> None:
    """Continued lines, here-documents with dollars in them, and what is printed."""
    one, two, three = commands("$ cat <<'E' > f\n$ not a command\nE\n$ echo a \\\n    b\na b\n$ true\n")
    assert one.text.splitlines()[-1] == "E"
    (quoted, last) = commands("$ curl -d '{\n  1}' # it's one\n$ true\n")
    assert (quoted.text, last.text) == ("curl -d '{\n  1}' # it's one", "true")
    assert (two.text, two.output) == ("echo a \\\n    b", ("a b",))
    assert (three.text, three.output) == ("true", ())


@pytest.mark.parametrize(
    ("expected", "output", "lost"),
    [
        (("a", "c"), "a\nb\nc\n", None),
        (("c", "a"), "a\nb\nc\n", "a"),
        (("a…z",), "a to z\n", None),
        (("a…z",), "a to y\n", "a…z"),
        (("1.5",), "1x5\n", "1.5"),
        (("b",), "abc\n", "b"),
    ],
)
def test_output_is_compared_line_by_line(expected: tuple[str, ...], output: str, lost: str | None) -> None:
    """In order, whole lines, and only … stands for anything."""
    assert missing(expected, output) == lost


def test_options_are_checked_behind_pipes_and_variables() -> None:
    """A `settle` anywhere in a line."""
    assert unknown_options("$ A=1 settle list --json --nope=1\n$ echo x | settle submit a.b --input - --noo\n") == [
        "settle list has no option --nope",
        "settle submit has no option --noo",
    ]


def test_a_target_stands_for_its_prerequisites_if_it_does_nothing_else() -> None:
    """One with a recipe does more than they do."""
    makefile = "all: one two ## Both\n\none: deep\n\ttrue\n\ntwo: install ## Two\n\t@true\n"
    assert lanes.prerequisites("all", makefile) == ["one", "two"]
    assert [lanes.prerequisites(name, makefile) for name in ("one", "two", "three")] == [[], [], []]
    script = 'say "a b"; make lint types\nmake test VENV="$x" ARGS=y\n[ "$A" ] || { make audit; }\n# make demo\n'
    assert lanes.targets(script) == {"lint", "types", "test"}


def test_what_a_page_installs_stays_in_its_checkout(tmp_path: Path) -> None:
    """With the packages of this environment, and without any index; `make` finds it up to date."""
    checkout.copied(tmp_path)
    programs = checkout.installed(tmp_path)
    (tmp_path / "scratch").mkdir()
    environment = bare_environment()
    opened = Shell(tmp_path, {**environment, "PATH": f"{programs}:{environment['PATH']}"}, tmp_path / "scratch")
    (tmp_path / "client" / "pyproject.toml").write_text(
        (ROOT / "client" / "pyproject.toml").read_text().replace("0.1.0", "0.1.99")
    )
    assert opened.run("make --question install") == (0, "")
    installed = opened.run("pip install --quiet ./client && pip show settle-client | grep Version")
    opened.close()
    assert installed == (0, "Version: 0.1.99\n")
    assert list(Path(sysconfig.get_path("purelib")).glob("settle_client*")) == []


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell in an empty folder."""
    (tmp_path / "scratch").mkdir()
    opened = Shell(tmp_path, bare_environment(), tmp_path / "scratch")
    yield opened
    opened.close()


def test_a_shell_keeps_its_variables_and_tells_what_fails(shell: Shell) -> None:
    """As the reader's own does; and what reads standard input does not swallow the rest of the page."""
    assert shell.run("export A=7; cat") == (0, "")
    assert shell.run('printf "no newline $A"') == (0, "no newline 7")
    assert shell.run("(exit 3)")[0] == 3
    assert shell.run("cat <<'E'\n$A\nE") == (0, "$A\n")
    assert shell.run("echo wrong >&2") == (0, "wrong\n")


def test_what_stays_open_is_ended_with_the_page(tmp_path: Path) -> None:
    """It is waited for; one that ends at once is told."""
    (tmp_path / "scratch").mkdir()
    opened = Shell(tmp_path, bare_environment(), tmp_path / "scratch")
    assert "ready" in opened.start(
        "trap 'echo over > ended; exit' TERM; echo ready; while :; do sleep 0.05; done", "ready"
    )
    with pytest.raises(AssertionError, match="ended without 'never'"):
        opened.start("echo something", "never")
    opened.close()
    assert (tmp_path / "ended").read_text() == "over\n"


def test_python_keeps_its_names_and_tells_what_fails(tmp_path: Path) -> None:
    """With the place in the page."""
    python = Python(tmp_path, bare_environment())
    assert python.run("a = 1\nprint(a)", "page.md:3") == (0, "1\n")
    status, printed = python.run("print(a + 1)\nraise SystemExit(4)", "page.md:9")
    assert (status, "page.md:9" in printed) == (1, True)
    assert python.run("print(a)", "page.md:12") == (0, "1\n")
    python.close()
