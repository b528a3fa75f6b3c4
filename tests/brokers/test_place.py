"""Where a log is: the same words for one database, others for another, and none where nobody can say."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url

from sqla_realtime.brokers.place import place_of


def place(text: str) -> str | None:
    return place_of(make_url(text))


@pytest.mark.parametrize("text", ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true&cache=shared",
                                  "sqlite:///file:x?mode=memory&uri=true", "postgresql+psycopg://"])  # fmt: skip
def test_nobody_can_say(text: str) -> None:
    assert place(text) is None


def test_one_database_however_it_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.db").symlink_to("app.db")
    assert place("sqlite:///app.db") == place(f"sqlite:///{tmp_path}/app.db") == place("sqlite+aiosqlite:///link.db")
    assert place("postgresql+psycopg://u:one@h/db") == place("postgresql+asyncpg://u:other@h/db")


def test_different_databases() -> None:
    texts = [
        "sqlite:///a.db", "sqlite:///b.db", "postgresql://u@h/a", "postgresql://u@h/b", "postgresql://v@h/a",
        "postgresql://u@i/a", "postgresql://u@h:5433/a", "postgresql://u@h/a?options=-csearch_path%3Dx",
        "postgresql:///?host=/run/a", "postgresql:///?host=/run/b",
    ]  # fmt: skip
    assert len({place(text) for text in texts}) == len(texts)


def test_no_password_is_told() -> None:
    assert "hush" not in str(place("postgresql://u:hush@h/a"))
