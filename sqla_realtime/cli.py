"""The ``sqla-realtime`` command: shows what an application publishes, and runs its broadcaster or its relay."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path

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
    realtime = _load_shared(app)
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


@main.command()
@click.option("--app", required=True, help="The application's Realtime, written module:realtime.")
@click.option("--pusher", "url", envvar="PUSHER_URL", required=True, help="https://KEY:SECRET@HOST/apps/ID, or PUSHER_URL.")
@click.option("--state", required=True, type=click.Path(path_type=Path), help="The file that keeps how far it has come.")
@click.option("--channel", "patterns", multiple=True, help="A published pattern, instead of all; may be repeated.")
def relay(app: str, url: str, state: Path, patterns: tuple[str, ...]) -> None:
    """Send what is committed to a server of Pusher's HTTP API too, in a process of its own, until SIGTERM or Ctrl-C."""
    from sqla_realtime.integrations.outlet import Outlet
    from sqla_realtime.integrations.relay import Receiver, Relay, State

    realtime = _load_shared(app)

    async def run() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(task.cancel) if task else None)
        made = Relay(realtime, Receiver(url), State(state), Outlet(realtime._registry, patterns))
        with suppress(asyncio.CancelledError):
            await made.run(click.echo)

    try:
        asyncio.run(run())
    except RealtimeError as error:
        raise click.ClickException(str(error)) from error
    finally:
        realtime.stop()


def _load_shared(spec: str) -> Realtime:
    """The same, for a process that has nothing but the log."""
    realtime = _load(spec)
    if not realtime.settings.broker == "database":
        raise click.UsageError(
            f'{spec} has broker="{realtime.settings.broker}", whose log is that of one process: this one '
            'would hear of nothing. Set REALTIME_BROKER=database, or Realtime(broker="database").'
        )
    return realtime


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
