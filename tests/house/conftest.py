"""What the house tests share: the checkout's root, and the files that git tracks in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def tracked(root: Path) -> list[Path]:
    """The tracked files that are there, relative to the root; what is not tracked is nobody's business yet."""
    if not (root / ".git").exists():
        pytest.skip("not a git checkout: no list of tracked files")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    names = [Path(name) for name in listing.split("\0") if name]
    return [name for name in names if (root / name).is_file()]
