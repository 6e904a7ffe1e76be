"""Private names of libraries are reached in `patches/` only, so that a new version is compared with one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.unit.test_imports import MODULES, ROOT

#: Methods that a library wants to be overridden or called, whatever their name begins with.
MEANT = {
    "_create_template": "Tornado: what a loader of templates must define",
    "_load_env_vars": "pydantic-settings: what a source of settings may define",
    "_strip_protocol": "fsspec: documented for callers",
    "_replace": "the standard library's named tuples",
}


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def reached(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The private attributes that a module reads or writes, and the private modules and names that it imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _private(node.attr):
            yield node.lineno, node.attr
        elif isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            yield from ((node.lineno, name) for name in names if _private(name))
        elif isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
            yield from ((node.lineno, name) for name in names if _private(name))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "hasattr", "delattr"):
            yield from (
                (node.lineno, argument.value)
                for argument in node.args[1:2]
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and _private(argument.value)
            )


def defined(tree: ast.AST) -> Iterator[str]:
    """The private names that a module gives to what it defines: functions, attributes of `self`, variables, fields."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if ast.unparse(node.value) in ("self", "cls"):
                yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


TREES = {module: ast.parse((ROOT / module).read_text()) for module in MODULES if module.parts[0] != "patches"}
OURS = {name for tree in TREES.values() for name in defined(tree) if _private(name)}


def test_private_names_are_recognized() -> None:
    """In every way in which a module can reach them; those of ours are known by where they are defined."""
    source = "import a._b\nfrom c._d import _e\nx = f._g.h\nself._i.j\nk._l = 1\ngetattr(m, '_n')\nself.__dict__\n"
    assert {name for _, name in reached(ast.parse(source))} == {"_b", "_d", "_e", "_g", "_i", "_l", "_n"}
    assert set(defined(ast.parse("_a = 1\ndef _b(): self._c = 2\nother._d = 3"))) == {"_a", "_b", "_c"}


def test_only_patches_reaches_private_names_of_libraries() -> None:
    """Every other module uses names that we define ourselves."""
    found = [(f"{module}:{line}", name) for module, tree in TREES.items() for line, name in reached(tree)]
    assert [(where, name) for where, name in found if name not in OURS and name not in MEANT] == []


def test_what_is_meant_to_be_overridden_is_still_used() -> None:
    """An exception that nothing needs any more is removed."""
    used = {name for tree in TREES.values() for _, name in reached(tree)} | OURS
    assert used >= MEANT.keys()
