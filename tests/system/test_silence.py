"""Nothing is heard of PostgreSQL: it is frozen, or the network swallows everything. Whoever asks is told so in time, and what
was committed meanwhile arrives, once, when it is over."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, aclosing, contextmanager, suppress

import psutil
import pytest
from sqlalchemy import Engine, create_engine, text

from sqla_realtime import Realtime
from sqla_realtime.brokers import reader
from sqla_realtime.errors import LogUnreachable
from sqla_realtime.server.broadcaster import Broadcaster
from tests.brokers.contract import commit, read, take
from tests.brokers.stage import DatabaseLog, opened
from tests.support.databases import postgres_engine, postgres_processes, postgres_url
from tests.support.models import Base
from tests.support.network import network
from tests.support.peer import Peer
from tests.support.scene import PAGES, Scene, eventually, live, refused

Make = Callable[..., Realtime]
# How long anybody has patience, in seconds.
SOON = 0.3


@pytest.fixture
def engine() -> Iterator[Engine]:
    with postgres_engine(pool_size=20) as engine:
        Base.metadata.create_all(engine)
        yield engine


@contextmanager
def frozen(*processes: psutil.Process) -> Iterator[None]:
    """They do nothing meanwhile."""
    try:
        for each in processes:
            with suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGSTOP)
        yield
    finally:
        for each in processes:
            with suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGCONT)


def server(engine: Engine) -> list[psutil.Process]:
    """All processes of a PostgreSQL."""
    with engine.connect() as connection:
        return postgres_processes(connection.execute(text("SHOW data_directory")).scalar_one())


def readers(engine: Engine) -> list[psutil.Process]:
    """The processes that work for those who read the log."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'sqla_realtime' AND datname = current_database()"
    with engine.connect() as connection:
        return [psutil.Process(pid) for pid in connection.execute(text(query)).scalars()]


@contextmanager
def frozen_reader(engine: Engine) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    """How to freeze what works for whoever reads the log, and that alone."""
    with ExitStack() as stack:

        def begin() -> None:
            stopped = readers(engine)
            assert stopped
            stack.enter_context(frozen(*stopped))

        yield engine.url.render_as_string(hide_password=False), begin, stack.close


@contextmanager
def cut_network(engine: Engine) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    """How to cut the network between readers and their database; writers are on the other side of it."""
    with network(engine.url) as (url, made):
        yield url.render_as_string(hide_password=False), made.cut, made.mend


@pytest.mark.parametrize("fault", [frozen_reader, cut_network])
def test_a_reader_that_hears_nothing_comes_back_and_misses_nothing(
    engine: Engine,
    fault: Callable[[Engine], contextmanager[tuple[str, Callable[[], None], Callable[[], None]]]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "RETRY_CAP", 0.05)
    news: list[bool] = []
    note = reader.Reader._note

    def noted(self: reader.Reader, error: Exception) -> None:
        news.append(self.failure is None)
        note(self, error)

    monkeypatch.setattr(reader.Reader, "_note", noted)

    async def scene(log: DatabaseLog, begin: Callable[[], None], end: Callable[[], None]) -> None:
        log.broker.configure(log.broker._bounds, patience=SOON)
        start = await log.broker.head()
        async with aclosing(log.broker.follow(start)) as entries:
            log.write(commit(0)).commit()
            await take(entries, 1)
            begin()
            log.write(commit(1)).commit()
            await eventually(lambda: isinstance(log.broker._running().failure, LogUnreachable))
            log.write(commit(2)).commit()
            if fault is cut_network:  # nobody else can connect there either
                with pytest.raises(LogUnreachable):
                    await log.broker.head()
                assert not await asyncio.to_thread(log.broker.settle, [log.broker.begin(commit(3))], SOON)
                end()
            assert [entry.commit for entry in await take(entries, 2)] == [commit(1), commit(2)]
            log.write(commit(3)).commit()
            assert [entry.commit for entry in await take(entries, 1)] == [commit(3)]
        assert await read(log.other(), start, 4) == [commit(number) for number in range(4)]

    with fault(engine) as (url, begin, end), opened(engine, url=url, deadline=SOON) as log:
        asyncio.run(scene(log, begin, end))
    # Once for each time that it was lost: a machine that others use may be late once more.
    assert caplog.text.count("[log-lost]") == sum(news) >= 1
    assert "LogUnreachable" in caplog.text


def shared(realtime: Make, **settings: object) -> Realtime:
    return realtime(broker="database", log_timeout=SOON, commit_patience=SOON, snapshot_timeout=SOON, **settings)


@contextmanager
def standby_away() -> Iterator[Callable[[], None]]:
    """The server waits at each COMMIT for a standby that is away, unless it is told not to. Call to have it wait no more."""
    with create_engine(postgres_url(), isolation_level="AUTOCOMMIT").connect() as connection, ExitStack() as stack:

        def wait_for(standby: str) -> None:
            connection.execute(text("SET synchronous_commit = local"))
            connection.execute(text(f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'"))
            connection.execute(text("SELECT pg_reload_conf()"))

        stack.callback(wait_for, "")
        wait_for("nobody")
        yield stack.close
    connection.engine.dispose()


def test_what_no_standby_has_yet_is_not_told_because_a_reader_came_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A boundary that waits for a standby is not given up with the connection that it was made on."""
    monkeypatch.setattr(reader, "RETRY_CAP", 0.05)

    async def scene(log: DatabaseLog, standby_is_there: Callable[[], None]) -> None:
        number = 0
        async with aclosing(log.broker.follow(await log.broker.head())) as entries:
            reading = asyncio.ensure_future(anext(entries))
            running = log.broker._running()
            # The server takes a moment until it waits.
            while not isinstance(running.failure, LogUnreachable):
                number += 1
                log.write(commit(number)).commit()
                with suppress(TimeoutError):
                    async with asyncio.timeout(3 * SOON):
                        await asyncio.shield(reading)
                    reading = asyncio.ensure_future(anext(entries))
            running.failure = None
            await eventually(lambda: running.failure is not None)
            assert not reading.done()
            standby_is_there()
            assert (await reading).commit == commit(number)
            log.write(commit(number + 1)).commit()
            assert [entry.commit for entry in await take(entries, 1)] == [commit(number + 1)]

    with (
        postgres_engine(connect_args={"options": "-c synchronous_commit=local"}) as engine,
        opened(engine, deadline=SOON) as log,
    ):
        asyncio.run(log.broker.head())
        with standby_away() as standby_is_there:
            asyncio.run(scene(log, standby_is_there))


def test_nor_does_whoever_closes_it_wait_for_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "PARTING", 0.1)
    with opened(engine) as log:
        asyncio.run(log.broker.head())
        running = log.broker._running()
        with frozen(*server(engine)):
            asked = running.ask(lambda journal, connection: journal.head(connection))
            log.broker.close()
            running._thread.join(20)
            assert not running._thread.is_alive()
            assert asked.cancelled()


def test_a_server_does_not_wait_for_ever_to_start(engine: Engine, realtime: Make) -> None:
    made = shared(realtime)
    made.metadata.create_all(engine)
    scene = Scene(made, engine)
    with frozen(*server(engine)), pytest.raises(LogUnreachable, match=r"0\.3 s.*\nLook whether the database runs"):
        made.start()
    scene.write()
    made.start()
    made.stop()


def test_neither_where_the_database_goes_away_while_it_starts(
    engine: Engine, realtime: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = shared(realtime)
    made.metadata.create_all(engine)
    scene = Scene(made, engine)
    scene.write()
    original = Broadcaster.open
    processes = server(engine)

    async def open_(broadcaster: Broadcaster, sockets: object) -> None:
        with frozen(*processes):
            await original(broadcaster, sockets)  # type: ignore[arg-type]

    monkeypatch.setattr(Broadcaster, "open", open_)
    with pytest.raises(LogUnreachable):
        made.start()
    monkeypatch.undo()
    made.start()


@live
async def test_whoever_comes_is_told_to_try_again_and_whoever_is_there_goes_on(engine: Engine, realtime: Make) -> None:
    made = shared(realtime, snapshot_share=0)
    made.metadata.create_all(engine)
    scene = Scene(made, engine)
    made.start()
    async with scene.canary() as bird, Peer(made.port) as late:
        await late.hello()
        with frozen(*server(engine)):
            answer = await refused(late, PAGES)
            assert answer["code"] == "snapshot-failed"
            await eventually(lambda: made._broker._running().failure is not None)  # type: ignore[attr-defined]
        scene.write()
        await bird.until(lambda message: "commit" in message)
        await late.subscribe(PAGES, number=2)
        assert late.rows[PAGES] == scene.rows()
