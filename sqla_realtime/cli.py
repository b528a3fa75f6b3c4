"""The ``sqla-realtime`` command: shows what an application publishes, and what it keeps to itself."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from sqla_realtime import Realtime, __version__


@click.group()
@click.version_option(__version__, prog_name="sqla-realtime")
def main() -> None:
    """SQLAlchemy models, live in every browser."""


@main.command()
@click.argument("app")
def check(app: str) -> None:
    """Show the publications of APP, written module:realtime, with the columns that are sent and those that are not."""
    realtime = _load(app)
    for line in realtime.describe():
        click.echo(line)


def _load(spec: str) -> Realtime:
    module, _, name = spec.partition(":")
    # As python -m, flask and gunicorn do: the application is in the current folder.
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = getattr(import_module(module), name or "realtime")
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise click.BadParameter(f"{spec}: {error}") from error
    if not isinstance(found, Realtime):
        raise click.BadParameter(f"{spec} is of type {type(found).__name__}, no Realtime")
    return found
