"""Writing to the log: inside the transaction, past everything that listens to it."""

from __future__ import annotations

from sqlalchemy import Engine, event, text

from sqla_realtime.brokers.journals import journal_of
from sqla_realtime.brokers.tables import metadata


def test_what_is_written_shares_the_transactions_fate_and_nobody_hears_of_it(engine: Engine) -> None:
    metadata.create_all(engine)
    journal = journal_of(engine.dialect.name)
    heard: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *call: heard.append(call[2]))
    for body, ends in (("one %s ? :x $1", "commit"), ("two", "rollback")):
        with engine.connect() as connection, connection.begin() as transaction:
            journal.write(connection, body, LookupError)
            getattr(transaction, ends)()
    assert [each for each in heard if each != "BEGIN"] == []
    with engine.connect() as connection:
        assert connection.execute(text("SELECT body FROM realtime_log")).scalars().all() == ["one %s ? :x $1"]
