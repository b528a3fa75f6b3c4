"""The pytest plugin in test suites of users: fixtures, errors, and a transaction around each test that is rolled back."""

from __future__ import annotations

import re
from configparser import ConfigParser
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[1]

CONFTEST = """
import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.orm import sessionmaker

from sqla_realtime import Realtime, anyone, signed_in
from tests.support.models import Page, PageOut

engine = create_engine({url!r})
Session = sessionmaker(engine)
app_realtime = Realtime(port=0)
app_realtime.publish(Page, schema=PageOut, channel="projects/{{project_id}}/pages", join=signed_in)
app_realtime.enable(Session)

if engine.dialect.name == "sqlite":
    # SQLAlchemy's documentation: "Serializable isolation / Savepoints / Transactional DDL".
    @event.listens_for(engine, "connect")
    def connect(connection, record):
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection):
        connection.exec_driver_sql("BEGIN")


@pytest.fixture(scope="session", autouse=True)
def disposed():
    yield
    engine.dispose()


@pytest.fixture
def realtime():
    return app_realtime
"""

CREATE_SAVEPOINT = """
@pytest.fixture
def realtime_connection():
    with engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()


@pytest.fixture
def session(realtime_connection):
    with Session(bind=realtime_connection, join_transaction_mode="create_savepoint") as session:
        yield session
"""

AFTER_TRANSACTION_END = """
@pytest.fixture
def realtime_connection():
    with engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()


@pytest.fixture
def session(realtime_connection):
    session = Session(bind=realtime_connection)
    nested = realtime_connection.begin_nested()

    @event.listens_for(session, "after_transaction_end")
    def end_savepoint(session, transaction):
        nonlocal nested
        if not nested.is_active:
            nested = realtime_connection.begin_nested()

    yield session
    session.close()
"""

TESTS = """
import pytest

from sqla_realtime.testing import Refusal
from tests.support.models import Page, Project


@pytest.fixture
def project(session):
    session.add(Project(id=5))
    session.commit()


@pytest.mark.parametrize("time", [1, 2])
def test_it(time, project, session, realtime_recorder, realtime_client):
    realtime_recorder.assert_nothing_published()
    ada = realtime_client(user="ada")
    assert ada.subscribe("projects/5/pages") == []
    session.add(Page(id=1, project_id=5, title="a"))
    session.flush()
    realtime_recorder.assert_nothing_published()
    session.commit()
    realtime_recorder.assert_published(Page, type="create", id=1, record={"title": "a"})
    [change] = ada.next_commit()
    assert change["record"]["title"] == "a"
    session.get(Page, 1).title = "lost"
    session.rollback()
    session.get(Page, 1).title = "b"
    session.commit()
    assert [change.type for change in realtime_recorder.changes] == ["create", "update"]
    late = realtime_client(user="late")
    assert [row["title"] for row in late.subscribe("projects/5/pages")] == ["b"]
    with pytest.raises(Refusal) as caught:
        realtime_client().subscribe("projects/5/pages")
    assert caught.value.code == "forbidden"
"""


# What the documentation takes for granted, on a file whose transactions begin when they should.
PRELUDE = """
from sqlalchemy import create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

engine = create_engine("sqlite:///docs.db")

@event.listens_for(engine, "connect")
def connect(connection, record):
    connection.isolation_level = None

@event.listens_for(engine, "begin")
def begin(connection):
    connection.exec_driver_sql("BEGIN")
"""

DISPOSED = """
@pytest.fixture(scope="session", autouse=True)
def disposed():
    yield
    engine.dispose()
"""


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run the suite with the plugin, whether this checkout is installed or not, in a process of its own."""
    pytester._monkeypatch.setenv("PYTHONPATH", str(ROOT))
    installed = entry_points(group="pytest11", name="sqla_realtime")
    plugin = [] if installed else ["-p", "sqla_realtime.pytest_plugin"]
    return pytester.runpytest_subprocess(*plugin, "-W", "error", *arguments)


def conftest(url: str, *more: str) -> str:
    return CONFTEST.format(url=url) + "\n".join(more)


@pytest.mark.parametrize("recipe", [CREATE_SAVEPOINT, AFTER_TRANSACTION_END], ids=["create_savepoint", "after_transaction_end"])
def test_a_suite_that_rolls_everything_back(engine: Engine, pytester: pytest.Pytester, recipe: str) -> None:
    pytester.makeconftest(conftest(engine.url.render_as_string(hide_password=False), recipe))
    pytester.makepyfile(TESTS)
    run(pytester).assert_outcomes(passed=2)


def test_a_suite_that_commits_for_real(sqlite: Engine, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(conftest(str(sqlite.url)))
    pytester.makepyfile("""
        from conftest import Session
        from tests.support.models import Page

        def test_writes(realtime_recorder, realtime_client):
            client = realtime_client("ada")
            client.subscribe("projects/1/pages")
            with Session.begin() as session:
                session.add(Page(id=1, project_id=1, title="a"))
            realtime_recorder.assert_published(Page, id=1)
            assert len(client.next_commit()) == 1

        def test_afterwards(realtime_recorder, realtime_client, realtime):
            realtime_recorder.assert_nothing_published()
            assert len(realtime_client("ada").subscribe("projects/1/pages")) == 1

        def test_nothing_listens_any_more(realtime):
            assert not realtime._hooks._taps.wants("projects/{project_id}/pages")
    """)
    run(pytester).assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("", "*the fixture `realtime` is not defined by your tests.*"),
        (
            "import pytest\n@pytest.fixture\ndef realtime(): return 7",
            "*the fixture `realtime` returned 7, which is no Realtime.*",
        ),
    ],
)
@pytest.mark.parametrize("use", ["realtime_recorder", "realtime_client"])
def test_a_suite_without_a_realtime_is_told_what_to_write(pytester: pytest.Pytester, more: str, reason: str, use: str) -> None:
    pytester.makeconftest(more)
    pytester.makepyfile(f"def test_it({use}): {use}()")
    done = run(pytester)
    assert sum(done.parseoutcomes().values()) == 1
    assert "passed" not in done.parseoutcomes()
    done.stdout.fnmatch_lines([reason, "Write into conftest.py:", "def realtime():", "*[[]no-realtime[]]*"])
    done.stdout.no_fnmatch_line("*Traceback*")


def test_the_tests_of_the_documentation_pass(pytester: pytest.Pytester) -> None:
    """Its code runs as a page in the tests of the house; here its tests run, too."""
    text = (ROOT / "docs" / "testing.md").read_text("utf-8")
    application, *sections = (
        "\n".join(re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)) for section in text.split("\n## ")
    )
    for number, section in enumerate(sections):
        folder = pytester.mkdir(str(number))
        (folder / "test_docs.py").write_text("\n".join([PRELUDE, application, section, DISPOSED]))
        run(pytester, str(folder)).assert_outcomes(passed=[1, 2, 2][number])
        Path("docs.db").unlink()


def test_suites_that_do_not_use_it_are_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")
    run(pytester, "--strict-markers", "--strict-config").assert_outcomes(passed=1)


def test_what_the_fixtures_are_for_is_listed(pytester: pytest.Pytester) -> None:
    listed: Any = run(pytester, "--fixtures").stdout
    for name in ("realtime", "realtime_connection", "realtime_recorder", "realtime_client"):
        listed.fnmatch_lines([f"{name} -- *"])


def test_pytest_finds_it_once_the_package_is_installed() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert setup["options.entry_points"]["pytest11"].split() == ["sqla_realtime", "=", "sqla_realtime.pytest_plugin"]
