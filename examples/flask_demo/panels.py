"""The five panels of /frameworks: their code, what their adapters cost, and why one is missing, as the bundler left it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("static") / "panels"
BUILT = FOLDER / "built"


@dataclass(frozen=True, slots=True)
class Panel:
    """A framework, its adapter, and the files that a user would write."""

    key: str
    name: str
    files: tuple[str, ...]
    bundled: bool = True

    @property
    def module(self) -> str:
        """Where its mount() is, below static/."""
        return f"panels/built/{self.key}.js" if self.bundled else f"panels/{self.key}/mount.js"

    @property
    def ready(self) -> bool:
        """Whether there is something to load."""
        return not self.bundled or (BUILT / f"{self.key}.js").exists()

    @property
    def code(self) -> Iterator[tuple[str, str]]:
        """Each file's name and text."""
        for file in self.files:
            yield file, (FOLDER / self.key / file).read_text("utf-8").rstrip()

    @property
    def markup(self) -> str | None:
        """The HTML that it starts from, where it is one that has some."""
        return next((text for file, text in self.code if file.endswith(".html")), None)

    @property
    def cost(self) -> str:
        """The adapter's lines and, where the bundler has measured them, bytes; plus those of the adapter it stands on."""
        lines = (resources.files("sqla_realtime") / "client" / f"{self.key}.js").read_text("utf-8").count("\n")
        size = sizes().get(self.key)
        if size is None:
            return f"{lines} lines"
        extra = size["total"] - size["bytes"]
        return f"{lines} lines · {size['bytes']}" + (f" + {extra}" if extra else "") + " bytes"


PANELS = (
    Panel("react", "React", ("Pages.jsx",)),
    Panel("vue", "Vue", ("Pages.vue",)),
    Panel("svelte", "Svelte", ("Pages.svelte",)),
    Panel("dom", "Plain DOM", ("pages.html", "pages.js"), bundled=False),
    Panel("element", "Custom element", ("pages.html", "pages.js"), bundled=False),
)


def sizes() -> dict[str, Any]:
    """What the bundler measured, if it has run."""
    file = BUILT / "sizes.json"
    return json.loads(file.read_text("utf-8")) if file.exists() else {}


def why_missing() -> str:
    """What the bundler said last when it failed, or how to run it."""
    file = BUILT / "missing.txt"
    return file.read_text("utf-8") if file.exists() else "It was not bundled yet: start the demo with “make demo”."
