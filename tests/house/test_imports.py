"""`import sqla_realtime` stays cheap, and offers exactly the public names: both are felt by every user."""

from __future__ import annotations

import functools
import json
import subprocess
import sys

# Public is what is listed here. A name that is added or removed also belongs in CHANGELOG.md.
PUBLIC = {
    "Broker",
    "Change",
    "Commit",
    "ConfigurationError",
    "DeclarationError",
    "Identity",
    "Position",
    "Publication",
    "Realtime",
    "RealtimeError",
    "Settings",
    "anyone",
    "signed_in",
}

# A server, a driver and a framework that not every process needs: a `flask` command or a script pays for none of them.
HEAVY = {"tornado", "psycopg", "flask"}

PROGRAM = """
import json, sys
import sqla_realtime
bare = sorted(sys.modules)
for name in sqla_realtime.__all__:
    getattr(sqla_realtime, name)
print(json.dumps({"all": list(sqla_realtime.__all__), "bare": bare, "taken": sorted(sys.modules)}))
"""


@functools.cache
def loaded() -> dict[str, list[str]]:
    """What a fresh interpreter has loaded after the import, and after taking each public name."""
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    answer: dict[str, list[str]] = json.loads(run.stdout)
    return answer


def heavy(modules: list[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules} & HEAVY


def test_the_public_names_are_these() -> None:
    names = loaded()["all"]
    assert len(names) == len(set(names)), "a name is listed twice"
    assert set(names) == PUBLIC


def test_the_import_loads_nothing_heavy() -> None:
    assert heavy(loaded()["bare"]) == set()


def test_taking_the_public_names_loads_nothing_heavy() -> None:
    assert heavy(loaded()["taken"]) == set()


def test_the_pytest_plugin_loads_nothing_that_pytest_does_not() -> None:
    # pytest loads it into every test run of an environment that has the package, whatever is tested there.
    program = (
        "import pytest, sys; before = set(sys.modules); import sqla_realtime.pytest_plugin; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert set(run.stdout.split()) <= {"sqla_realtime", *sys.stdlib_module_names}


def test_heavy_is_found() -> None:
    assert heavy(["json", "tornado.web", "psycopg_pool", "flask"]) == {"tornado", "flask"}


def test_applications_without_asyncio_need_no_greenlet() -> None:
    """SQLAlchemy 2.1 brings it along with an extra only, and imports nothing of asyncio without it."""
    program = """
import sys
sys.modules["greenlet"] = None
import sqla_realtime
from sqlalchemy.orm import sessionmaker
realtime = sqla_realtime.Realtime()
realtime.enable(sessionmaker())
try:
    realtime.enable(object())
except Exception as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert "[not-enableable]" in run.stdout
