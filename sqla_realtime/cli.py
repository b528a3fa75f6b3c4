"""The ``sqla-realtime`` command: shows what an application publishes and what it keeps to itself, and runs its broadcaster."""

from __future__ import annotations

import os
import signal
import sys
import threading
from importlib import import_module

import click

from sqla_realtime import Realtime, __version__
from sqla_realtime.errors import RealtimeError


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


@main.command()
@click.option("--app", required=True, help="The application's Realtime, written module:realtime.")
def migrate(app: str) -> None:
    """Make the tables of the log in the application's database, and the triggers of watched ones, where they are missing."""
    realtime = _load(app)
    try:
        names = realtime.migrate()
    except RealtimeError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{', '.join(names)} are in {realtime.engine.url.render_as_string()}")


@main.command()
@click.option("--app", required=True, help="The application's Realtime, written module:realtime.")
@click.option("--host", help="Where to listen, instead of what is set.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on, instead of what is set.")
def serve(app: str, host: str | None, port: int | None) -> None:
    """Run the broadcaster of an application in a process of its own, until SIGTERM or Ctrl-C.

    The application's processes then only publish: they share broker="database", and none of them calls start().
    """
    realtime = _load(app)
    if not realtime.settings.broker == "database":
        raise click.UsageError(
            f'{app} has broker="{realtime.settings.broker}", whose log is that of one process: this one '
            'would hear of nothing. Set REALTIME_BROKER=database, or Realtime(broker="database").'
        )
    chosen = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    realtime.settings = realtime.settings.model_copy(update=chosen)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        realtime.start()
    except RealtimeError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Listening on http://{realtime.settings.host}:{realtime.port}{realtime.settings.base}")
    ended.wait()
    realtime.stop()


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
