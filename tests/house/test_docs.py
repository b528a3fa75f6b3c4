"""The documents do not lie: their code runs, links lead somewhere, the changelog is current, no machine shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sqla_realtime
from tests.support.markdown import FENCE, blocks

ROOT = Path(__file__).resolve().parents[2]
# README.md is named, so that its absence is a failure and not an empty list.
WITH_CODE = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md"))]

# What a reader already has when a document's first block begins. Keep it to what no reader needs to be shown.
PRELUDE = """
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from sqlalchemy.pool import StaticPool

engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
"""

# Runs the blocks of one document in one module, with its line numbers in every traceback. The module is not
# __main__, so that `if __name__ == "__main__"` starts no server here; it is in sys.modules, where Pydantic and others
# look annotations up. Leaves without waiting for threads that the document started.
RUNNER = """
import json, os, sys, traceback, types
name, prelude, blocks = json.load(sys.stdin)
module = types.ModuleType("document")
sys.modules["document"] = module
status = 0
try:
    exec(compile(prelude, "prelude", "exec"), vars(module))
    for line, code in blocks:
        exec(compile("\\n" * line + code, name, "exec"), vars(module))
except BaseException:
    traceback.print_exc()
    status = 1
sys.stdout.flush()
sys.stderr.flush()
os._exit(status)
"""


def run(name: str, text: str, prelude: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a document's Python blocks in order, in one namespace, in a process and folder of their own."""
    program = [(b.line, b.code) for b in blocks(text) if b.language in ("python", "py") and not b.excused]
    return subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps([name, prelude, program]),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.parametrize("name", WITH_CODE)
def test_the_code_runs(name: str, tmp_path: Path) -> None:
    done = run(name, (ROOT / name).read_text("utf-8"), PRELUDE, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```python\na = 1\n```\n\nand\n\n```python\nassert a == 1\n```\n", None),
        ("```python\nassert given == 1\n```\n", None),
        ("x\n\n```python\n\n1 / 0\n```\n", "line 5, in <module>"),
        ("```js\nnonsense\n```\n", None),
        ("<!-- not run: it needs a cluster -->\n\n```python\n1 / 0\n```\n", None),
        ("<!-- not run: one block only -->\n```python\n1 / 0\n```\n```python\n2 / 0\n```\n", "line 6, in <module>"),
        ("<!-- not run: -->\n```python\n1 / 0\n```\n", "ZeroDivisionError"),
        ("* item\n\n  ```python\n  if given:\n      raise SystemExit(3)\n  ```\n", "SystemExit: 3"),
        ("```python\nif __name__ == '__main__':\n    1 / 0\n```\n", None),
        (
            "```python\nfrom __future__ import annotations\nfrom pydantic import BaseModel\n"
            "class A(BaseModel):\n    b: B\nclass B(BaseModel):\n    pass\nA(b=B())\n```\n",
            None,
        ),
    ],
)
def test_the_runner(text: str, error: str | None, tmp_path: Path) -> None:
    done = run("page.md", text, "given = 1", tmp_path)
    assert (done.returncode != 0) == (error is not None), done.stderr
    assert error is None or error in done.stderr


# What a browser runs cannot run here. It is a file that browser tests run, shown as it is.

IN_BROWSERS = {"js", "jsx", "html", "vue", "svelte"}
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def strays(text: str, root: Path) -> Iterator[str]:
    """Blocks for browsers that are not, to the letter, the file that the line above names."""
    shown = {code: file for file, code in FILE.findall(text)}
    for block in blocks(text):
        if block.language not in IN_BROWSERS or block.excused:
            continue
        file = shown.get(block.code)
        if file is None:
            yield f"line {block.line}: names no file: <!-- file: PATH -->"
        elif not (root / file).exists() or (root / file).read_text("utf-8") != block.code:
            yield f"line {block.line}: is not {file}"


def test_what_browsers_run_is_run_by_browsers() -> None:
    text = (ROOT / "docs" / "frameworks.md").read_text("utf-8")
    assert list(strays(text, ROOT)) == []
    assert {block.language for block in blocks(text)} >= IN_BROWSERS


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<!-- file: a.js -->\n```js\nlet a\n```\n\n```sh\nls\n```\n", []),
        ("<!-- file: a.js -->\n```js\nlet b\n```\n", ["line 2: is not a.js"]),
        ("<!-- file: b.js -->\n```js\nlet a\n```\n", ["line 2: is not b.js"]),
        ("\n```js\nlet a\n```\n", ["line 2: names no file: <!-- file: PATH -->"]),
        ("<!-- not run: it needs a cluster -->\n```js\nlet b\n```\n", []),
    ],
)
def test_strays(text: str, found: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("let a\n")
    assert list(strays(text, tmp_path)) == found


# Links, and files named in `code`.

LINK = re.compile(r"""\]\(\s*<?([^)\s>]+)>?(?:\s+["'][^"']*["'])?\s*\)|<(?:img|a)\b[^>]*?\s(?:src|href)="([^"]+)""")
CODE = re.compile(r"`([^`\n]+)`")
# Written down, so that a folder that is renamed does not take the check with it.
FOLDERS = {"alembic", "benchmarks", "docs", "examples", "scripts", "sqla_realtime", "tests"}
PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*/?")


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    kept, fence = [], None
    for line in text.splitlines():
        if fence is None:
            if (fence := FENCE.match(line)) is None:
                kept.append(line)
        elif line.strip().startswith(fence["fence"]):
            fence = None
    return "\n".join(kept)


def anchors(text: str) -> set[str]:
    """The anchors that the usual hosts make of headings."""
    headings = re.findall(r"^#{1,6} +(.+?) *#*$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document: Path, root: Path) -> Iterator[str]:
    text = document.read_text("utf-8")
    for match in LINK.finditer(CODE.sub("", prose(text))):
        target = match[1] or match[2]
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        there = document if not name else (root / name[1:] if name.startswith("/") else document.parent / name)
        if not there.exists():
            yield f"{document.relative_to(root)}: the link {target} leads nowhere"
        elif anchor and there.suffix == ".md" and anchor not in anchors(there.read_text("utf-8")):
            yield f"{document.relative_to(root)}: {target}: no such heading"


def missing_files(document: Path, root: Path) -> Iterator[str]:
    """Paths of this repository in `code`: those that begin with one of its folders, and NAMES.md."""
    for name in CODE.findall(prose(document.read_text("utf-8"))):
        if not PATH.fullmatch(name):
            continue
        folder, slash, rest = name.partition("/")
        in_ours = bool(slash) and folder in FOLDERS and (name.endswith("/") or "." in rest)
        ours = in_ours or re.fullmatch(r"[A-Z]+\.md", name) is not None
        if ours and not ((root / name).exists() or (document.parent / name).exists()):
            yield f"{document.relative_to(root)}: names {name}, which does not exist"


def test_links_lead_somewhere(root: Path, tracked: list[Path]) -> None:
    documents = [root / path for path in tracked if path.suffix == ".md"]
    broken = [line for document in documents for line in broken_links(document, root)]
    assert not broken, "\n" + "\n".join(broken)


def test_named_files_exist(root: Path, tracked: list[Path]) -> None:
    # The changelog also names what is gone.
    documents = [root / path for path in tracked if path.suffix == ".md" and path.name != "CHANGELOG.md"]
    missing = [line for document in documents for line in missing_files(document, root)]
    assert not missing, "\n" + "\n".join(missing)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "there.md").write_text("# There\n\n## It's `here`, too\n")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        (
            "[a](docs/there.md) [b](docs/there.md#its-here-too 'x') ![c](docs/) [d](https://example.org/) [e](#e)\n# E",
            0,
        ),
        ('[a](docs/gone.md) ![b](gone.png) <img alt="x" src="gone.svg"> [c](docs/there.md#gone) [d](#gone)', 5),
        ("`[a](gone.md)`\n```\n[a](gone.md)\n```\n", 0),
        ("[a](/docs/there.md)", 0),
    ],
)
def test_broken_links(text: str, broken: int, small: Path) -> None:
    (small / "page.md").write_text(text)
    assert len(list(broken_links(small / "page.md", small))) == broken


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`docs/there.md` `docs/` `yourapp/models.py` `projects/5/pages` `docs/a b` `docs/*.md`", 0),
        ("`docs/gone.md` and `docs/gone/` and `GONE.md`", 3),
        ("```\n`docs/gone.md`\n```\n", 0),
    ],
)
def test_missing_files(text: str, missing: int, small: Path) -> None:
    (small / "page.md").write_text(text)
    assert len(list(missing_files(small / "page.md", small))) == missing


# The changelog.


def newest(changelog: str) -> str | None:
    match = re.search(r"^## +\[?(\d[^\s\]]*)", changelog, re.MULTILINE)
    return match and match[1]


def test_the_changelog_begins_with_this_version(root: Path) -> None:
    assert newest((root / "CHANGELOG.md").read_text("utf-8")) == sqla_realtime.__version__


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("# Changelog\n\n## Policy\n\n## 0.2.0 - 2026-01-01\n\n## 0.1.0\n", "0.2.0"),
        ("## [0.1.0rc1] - unreleased\n", "0.1.0rc1"),
        ("## Unreleased\n", None),
    ],
)
def test_newest(text: str, version: str | None) -> None:
    assert newest(text) == version


# The machine it was written on. The expressions do not match their own text.

MACHINE = [
    (re.compile(r"(?<![\w.~-])/(?:work|root)/|/tmp/(?=v)"), "a path of one machine"),
    (re.compile(r"\b(?:pypi|npmjs|debian|pythonhosted)\.org\b"), "the host of a package registry"),
]


def machines(name: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, what in MACHINE:
            if match := pattern.search(line):
                yield f"{name}: line {number}: {match[0]} is {what}"


def test_no_machine_shows_through(root: Path, tracked: list[Path]) -> None:
    found: list[str] = []
    for path in tracked:
        found += machines(path.as_posix(), path.as_posix())
        found += machines(path.as_posix(), (root / path).read_bytes().decode("utf-8", "replace"))
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cd /{}/main", "work"),
        ("file:///{}/x", "root"),
        ("'/tmp/{}1'", "v"),
        ("https://{}.org/simple", "pypi"),
        ("registry.{}.org", "npmjs"),
        ("deb.{}.org", "debian"),
    ],
)
def test_machines(text: str, found: str) -> None:
    assert list(machines("a", text.format("xx"))) == []
    assert len(list(machines("a", "\n" + text.format(found)))) == 1


def test_what_is_no_machine() -> None:
    assert list(machines("a", "framework/ at/work/x ./root/a /tmp/x https://python.org debian organises")) == []
