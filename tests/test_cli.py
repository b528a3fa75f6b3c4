"""The command: what an application publishes, in words, and what it says when it is given something else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import inspect

from sqla_realtime import __version__
from sqla_realtime.cli import main
from tests.support.databases import new_engine

ROOT = Path(__file__).resolve().parents[1]

APPLICATION = """
from sqla_realtime import Realtime, signed_in
from tests.support.models import Page, PageOut

realtime = other = Realtime(port=0)
realtime.publish(Page, schema=PageOut, channel="projects/{project_id}/pages", join=signed_in)
number = 17
"""
SAYS = """\
Page on projects/{project_id}/pages (joined by rule signed_in)
    sends: id, project_id, title, size
    keeps: notes
"""


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an importable module with a Realtime."""
    name = "app_" + tmp_path.name.replace("-", "_")
    (tmp_path / f"{name}.py").write_text(APPLICATION)
    (tmp_path / f"{name}_broken.py").write_text("import no_such_module_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.mark.parametrize("attribute", ["", ":realtime", ":other"])
def test_check(application: str, attribute: str) -> None:
    result = CliRunner().invoke(main, ["check", application + attribute])
    assert (result.exit_code, result.output) == (0, SAYS)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("no_such_module_at_all", "No module named 'no_such_module_at_all'"),
        ("{}_broken", "No module named 'no_such_module_at_all'"),
        ("{}:nothing", "has no attribute 'nothing'"),
        ("{}:number", "is of type int, no Realtime"),
        ("", "Empty module name"),
        (":realtime", "Empty module name"),
        (".relative", "relative import"),
    ],
)
def test_what_is_no_realtime_is_a_usage_error(application: str, spec: str, reason: str) -> None:
    result = CliRunner().invoke(main, ["check", spec.format(application)])
    assert result.exit_code == 2
    assert reason in result.output
    assert "Traceback" not in result.output


def test_version() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert (result.exit_code, result.output) == (0, f"sqla-realtime, version {__version__}\n")


def test_the_command_runs_as_a_module_in_the_folder_of_the_application(application: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sqla_realtime", "check", application]
    environment = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, SAYS), done.stderr


def test_the_installed_command_finds_the_application_too(application: str, tmp_path: Path) -> None:
    """A console script does not have the current folder on its path by itself."""
    code = "import sys; from sqla_realtime.cli import main; sys.path.remove(''); sys.argv[0] = 'sqla-realtime'; main()"
    command = [sys.executable, "-c", code, "check", application]
    environment = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, SAYS), done.stderr


def test_a_log_of_one_process_cannot_be_served_by_another(application: str) -> None:
    result = CliRunner().invoke(main, ["serve", "--app", application])
    assert result.exit_code == 2
    assert "REALTIME_BROKER=database" in result.output


def test_what_keeps_the_server_from_starting_is_said_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unready.py").write_text('from sqla_realtime import Realtime\n\nrealtime = Realtime(broker="database")\n')
    monkeypatch.syspath_prepend(tmp_path)
    result = CliRunner().invoke(main, ["serve", "--app", "unready"])
    assert result.exit_code == 1
    assert "[not-enabled]" in result.output
    assert "Traceback" not in result.output


MIGRATED = """
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker
from sqla_realtime import Realtime

realtime = Realtime(broker="database")
realtime.enable(sessionmaker(create_engine({!r})))
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "mysql"])
def test_migrate_makes_the_tables_once_and_again(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with new_engine(kind, tmp_path) as engine:
        (tmp_path / f"migrated_{kind}.py").write_text(MIGRATED.format(engine.url.render_as_string(hide_password=False)))
        monkeypatch.syspath_prepend(tmp_path)
        said = f"realtime_log, realtime_tick are in {engine.url.render_as_string()}\n"
        for _ in range(2):
            result = CliRunner().invoke(main, ["migrate", "--app", f"migrated_{kind}"])
            assert (result.exit_code, result.output) == (0, said)
        assert {"realtime_log", "realtime_tick"} <= set(inspect(engine).get_table_names())
