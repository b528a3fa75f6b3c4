"""The house rules, as a test: short modules and functions, a first sentence and a test file for each, no loose ends."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

MODULE_LINES = 250
FUNCTION_LINES = 40
POSITIONAL = 5

# (rule, where): the reason. "where" is a path, or path:function as the failing test prints it.
# An entry that excuses nothing any more fails the test.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("positional", "sqla_realtime/capture/wire.py:Wire._after_cursor_execute"): "SQLAlchemy calls it so",
}


class Finding(NamedTuple):
    rule: str
    where: str
    what: str


# The rules. Each takes names and text, not files, so that the planted faults below can show that it bites.


def sizes(name: str, source: str) -> Iterator[Finding]:
    """A module of Python or JavaScript can be read in one sitting."""
    lines = source.count("\n")
    if lines > MODULE_LINES:
        yield Finding("module-size", name, f"{lines} lines, {MODULE_LINES} at most")


def first_sentences(name: str, source: str) -> Iterator[Finding]:
    """A module says first what makes reading it unnecessary."""
    if not (ast.get_docstring(ast.parse(source)) or "").strip():
        yield Finding("first-sentence", name, "begins without a docstring")


def functions(name: str, source: str) -> Iterator[Finding]:
    """A function is short, and its call can be read."""
    for qualified, node in _functions(ast.parse(source), ""):
        where = f"{name}:{qualified}"
        if (lines := _length(node)) > FUNCTION_LINES:
            yield Finding("function-size", where, f"{lines} lines without its docstring, {FUNCTION_LINES} at most")
        if (count := _positional(node)) > POSITIONAL:
            yield Finding("positional", where, f"{count} positional parameters, {POSITIONAL} at most: use keywords")


def mirrors(modules: list[str], tests: set[str]) -> Iterator[Finding]:
    """sqla_realtime/a/b.py is tested by tests/a/test_b.py."""
    for module in modules:
        path = Path(module)
        # Dunder modules only gather names or start something; they are tested through what they gather.
        if path.name.startswith("__"):
            continue
        wanted = Path("tests", *path.parts[1:-1], f"test_{path.name}").as_posix()
        if wanted not in tests:
            yield Finding("own-test", module, f"has no {wanted}")


# Spelled so that this file does not find itself.
LOOSE_END = re.compile(r"\b(?:TO" r"DO|FIX" r"ME)\b")


def loose_ends(name: str, source: str) -> Iterator[Finding]:
    """What is to be done stands in an issue, where somebody sees it."""
    for number, line in enumerate(source.splitlines(), 1):
        if LOOSE_END.search(line):
            yield Finding("loose-end", name, f"line {number}: {line.strip()}")


def hidden_alembic(names: list[str]) -> Iterator[Finding]:
    """With an __init__.py in it, our alembic/ would be imported instead of the installed Alembic."""
    for name in names:
        if name == "alembic/__init__.py":
            yield Finding("hidden-alembic", name, "hides the installed alembic package")


def verdict(findings: list[Finding], exceptions: dict[tuple[str, str], str]) -> list[str]:
    """What is wrong: findings without an exception, exceptions without a finding or a reason."""
    found = {(finding.rule, finding.where) for finding in findings}
    wrong = [f"{f.where}: {f.what} [{f.rule}]" for f in findings if (f.rule, f.where) not in exceptions]
    wrong += [f"{key}: this exception is no longer needed; delete it" for key in exceptions if key not in found]
    wrong += [f"{key}: this exception needs a reason" for key, reason in exceptions.items() if not reason.strip()]
    return wrong


Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        inner = prefix
        if isinstance(child, Function):
            yield prefix + child.name, child
        if isinstance(child, Function | ast.ClassDef):
            inner = f"{prefix}{child.name}."
        yield from _functions(child, inner)


def _length(node: Function) -> int:
    assert node.end_lineno is not None
    lines = node.end_lineno - node.lineno + 1
    if ast.get_docstring(node) is not None:
        docstring = node.body[0]
        assert docstring.end_lineno is not None
        lines -= docstring.end_lineno - docstring.lineno + 1
    return lines


def _positional(node: Function) -> int:
    names = [argument.arg for argument in node.args.posonlyargs + node.args.args]
    # The caller does not write these two.
    return len(names) - (names[:1] in (["self"], ["cls"]))


# The house as it stands.


def test_the_house_is_in_order(root: Path, tracked: list[Path]) -> None:
    names = [path.as_posix() for path in tracked]
    package = [name for name in names if name.startswith("sqla_realtime/")]
    modules = [name for name in package if name.endswith(".py")]
    findings = [*mirrors(modules, set(names)), *hidden_alembic(names)]
    for name in names:
        source = (root / name).read_bytes().decode("utf-8", "replace")
        findings += loose_ends(name, source)
        if name in package and name.endswith((".py", ".js")):
            findings += sizes(name, source)
        if name in modules:
            findings += first_sentences(name, source)
            findings += functions(name, source)
    wrong = verdict(findings, EXCEPTIONS)
    assert not wrong, "\n" + "\n".join(wrong)


# The rules themselves: each is shown a fault that it must find, and the nearest thing that is none.


def body(lines: int) -> str:
    return "def f():\n" + "    x = 1\n" * (lines - 1)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("x = 1\n" * 250, []),
        ("x = 1\n" * 251, ["module-size"]),
    ],
)
def test_sizes(source: str, found: list[str]) -> None:
    assert [finding.rule for finding in sizes("m.py", source)] == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('"""Says it."""\n', []),
        ('# A comment may come before.\n"""Says it."""\n', []),
        ("", ["first-sentence"]),
        ('"""   """\n', ["first-sentence"]),
        ('x = 1\n"""Too late."""\n', ["first-sentence"]),
    ],
)
def test_first_sentences(source: str, found: list[str]) -> None:
    assert [finding.rule for finding in first_sentences("m.py", source)] == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (body(40), []),
        (body(41), [("function-size", "m.py:f")]),
        (body(40).replace(":\n", ':\n    """One.\n\n    Three.\n    """\n', 1), []),
        ("class C:\n" + "".join(f"    {line}\n" for line in body(41).splitlines()), [("function-size", "m.py:C.f")]),
        ("if x:\n" + "".join(f"    {line}\n" for line in body(41).splitlines()), [("function-size", "m.py:f")]),
        ("async " + body(41), [("function-size", "m.py:f")]),
        ("def f(a, b, c, d, e, *, g, h): ...", []),
        ("def f(a, b, c, d, e, g): ...", [("positional", "m.py:f")]),
        ("def f(a, b, /, c, d, e, g): ...", [("positional", "m.py:f")]),
        ("class C:\n    def f(self, a, b, c, d, e): ...", []),
        ("class C:\n    def f(self, a, b, c, d, e, g): ...", [("positional", "m.py:C.f")]),
        ("def f():\n    def g(a, b, c, d, e, g): ...", [("positional", "m.py:f.g")]),
    ],
)
def test_functions(source: str, found: list[tuple[str, str]]) -> None:
    assert [(finding.rule, finding.where) for finding in functions("m.py", source)] == found


@pytest.mark.parametrize(
    ("module", "tests", "found"),
    [
        ("sqla_realtime/hub/feed.py", {"tests/hub/test_feed.py"}, []),
        ("sqla_realtime/commit.py", {"tests/test_commit.py"}, []),
        ("sqla_realtime/hub/feed.py", {"tests/test_feed.py"}, ["own-test"]),
        ("sqla_realtime/hub/feed.py", set(), ["own-test"]),
        ("sqla_realtime/hub/__init__.py", set(), []),
    ],
)
def test_mirrors(module: str, tests: set[str], found: list[str]) -> None:
    assert [finding.rule for finding in mirrors([module], tests)] == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("x = 1  # TO" + "DO: later\n", ["line 1: x = 1  # TO" + "DO: later"]),
        ("\n// FIX" + "ME\n", ["line 2: // FIX" + "ME"]),
        ("mastodon = METHODOLOGY = 'to do'\n", []),
    ],
)
def test_loose_ends(source: str, found: list[str]) -> None:
    assert [finding.what for finding in loose_ends("m.py", source)] == found


def test_hidden_alembic() -> None:
    names = ["alembic/__init__.py", "alembic/env.py", "sqla_realtime/__init__.py"]
    assert [finding.where for finding in hidden_alembic(names)] == ["alembic/__init__.py"]


def test_an_exception_excuses_its_own_finding_only() -> None:
    long, wide = Finding("function-size", "m.py:f", "41 lines"), Finding("positional", "m.py:f", "6 parameters")
    assert verdict([long], {("function-size", "m.py:f"): "a table"}) == []
    assert verdict([long, wide], {("function-size", "m.py:f"): "a table"}) == ["m.py:f: 6 parameters [positional]"]


def test_an_exception_cannot_rot() -> None:
    long = Finding("function-size", "m.py:f", "41 lines")
    assert verdict([], {("function-size", "m.py:f"): "a table"}) != []
    assert verdict([long], {("function-size", "m.py:f"): " "}) != []
