"""Random transactions, each from a seed: inserts, updates, moves, key changes, deletes, savepoints, statements, rollbacks."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from tests.convergence.models import OWNERS, ROOMS, Note, Pair

Step = Callable[[Session, random.Random], None]
MOST = 40


def _add(session: Session, dice: random.Random) -> None:
    if len(session.scalars(select(Note.id)).all()) < MOST:
        key = dice.choice([None, dice.randrange(10_000, 99_999)])
        note = Note(room=dice.randrange(ROOMS), owner=dice.choice(OWNERS), public=dice.random() < 0.5, text=_text(dice))
        if key is not None:
            note.id = key
        session.add(note)


def _text(dice: random.Random) -> str:
    return dice.choice("abcdefgh") * dice.randrange(1, 40)


def _pick(session: Session, dice: random.Random) -> Note | None:
    keys = session.scalars(select(Note.id).order_by(Note.id)).all()
    return session.get(Note, dice.choice(keys)) if keys else None


def _change(session: Session, dice: random.Random) -> None:
    note = _pick(session, dice)
    if note is not None:
        name = dice.choice(["text", "text", "room", "owner", "public"])
        value = {"text": _text(dice), "room": dice.randrange(ROOMS), "owner": dice.choice(OWNERS), "public": not note.public}
        setattr(note, name, value[name])


def _rekey(session: Session, dice: random.Random) -> None:
    note = _pick(session, dice)
    if note is not None:
        note.id = dice.randrange(10_000, 99_999)


def _remove(session: Session, dice: random.Random) -> None:
    note = _pick(session, dice)
    if note is not None:
        session.delete(note)


def _several(session: Session, dice: random.Random) -> None:
    where = Note.room == dice.randrange(ROOMS)
    if dice.random() < 0.2:
        session.execute(delete(Note).where(where, Note.public.is_(True)))
    else:
        session.execute(update(Note).where(where).values(text=_text(dice), owner=dice.choice(OWNERS)))


def _raw(session: Session, dice: random.Random) -> None:
    """Nobody can follow this: readers are told to load anew."""
    if dice.random() < 0.3:
        session.execute(
            text("UPDATE note SET text = :text WHERE room = :room"), {"text": _text(dice), "room": dice.randrange(ROOMS)}
        )


def _inside(session: Session, dice: random.Random) -> None:
    with session.begin_nested() as savepoint:
        for _ in range(dice.randrange(1, 3)):
            dice.choice(STEPS[:4])(session, dice)
        session.flush()
        if dice.random() < 0.5:
            savepoint.rollback()


STEPS: list[Step] = [_add, _change, _rekey, _remove, _add, _change, _change, _several, _inside, _raw]


def transact(writers: Sequence[sessionmaker[Session]], dice: random.Random) -> str:
    """One transaction of one of these writers, and how it ended."""
    with dice.choice(writers)() as session:
        try:
            for _ in range(dice.randrange(1, 5)):
                dice.choice(STEPS)(session, dice)
                if dice.random() < 0.5:
                    session.flush()
            stamp = dice.randrange(2**31)
            for pair in session.scalars(select(Pair).order_by(Pair.id).with_for_update()):
                pair.stamp = stamp
            if dice.random() < 0.2:
                session.rollback()
                return "rolled back"
            session.commit()
        except (DBAPIError, StaleDataError):
            with suppress(DBAPIError):
                session.rollback()
            return "failed"
    return "committed"


def play(writers: Sequence[sessionmaker[Session]], seed: object, count: int, threads: int) -> dict[str, int]:
    """So many transactions in so many threads; how many ended how."""
    counts: dict[str, int] = {}
    lock = threading.Lock()

    def work(dice: random.Random) -> None:
        for _ in range(count // threads):
            ended = transact(writers, dice)
            with lock:
                counts[ended] = counts.get(ended, 0) + 1

    workers = [threading.Thread(target=work, args=(random.Random(f"{seed}/{number}"),)) for number in range(threads)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    return counts
