"""When an enabled Session's changes are not told: inside a suppress() block, or because the Session itself says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from sqlalchemy.orm import Session

OPTION = "realtime"

# Whose blocks this thread, or this asyncio task, is in. SQLAlchemy's greenlets share the context of their task.
_blocks: ContextVar[tuple[object, ...]] = ContextVar("sqla_realtime_blocks", default=())


@contextmanager
def silence(owner: object) -> Iterator[None]:
    """Until the block ends, ``owner`` is told nothing by this thread or task, nor by tasks that begin in it."""
    before = _blocks.get()
    _blocks.set((*before, owner))
    try:
        yield
    finally:
        # Not by a token: a fixture or generator may be ended in another context than it began in.
        _blocks.set(before)


def is_silent(owner: object, session: Session) -> bool:
    """Whether what this Session does now is none of ``owner``'s business."""
    if owner in _blocks.get() or session.info.get(OPTION) is False:
        return True
    # Sessions have execution options since SQLAlchemy 2.1.
    options: Mapping[str, object] = getattr(session, "execution_options", {})
    return options.get(OPTION) is False
