"""Which changes survive a tree of savepoints, and what they amount to: pure decisions, no Session and no database.

A transaction is a stack of frames, one per open savepoint. Releasing a savepoint merges its frames into the one below,
rolling it back forgets them. Whatever is left when the transaction commits is its net effect. A savepoint that was set
before the tracker existed has no frame; rolling back to it forgets everything, which is right: all of it came later.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Kind = Literal["create", "update", "destroy"]

# So many touches of a transaction come with values: enough for what is done at once, and little memory.
ROOM = 20_000
# Shared by every touch of which nothing was known: a hundred thousand empty dictionaries would be 6 MB.
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(slots=True)
class Touch:
    """What happened to one row so far.

    ``subject`` is what the row was mapped by when it was first touched, opaque here. ``before`` are the values that its
    attributes had in the database before, where they are known; ``touched`` the attributes that may differ now, None
    for any of them. ``order`` sorts touches into the order in which they were made. ``kept`` is what the row may be told
    from without reading it: names of attributes, their values, and whether these are just what was stored. ``side``: nobody
    asked for it; the row was changed along with others.
    """

    kind: Kind
    subject: Any = None
    before: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    touched: frozenset[str] | None = None
    order: int = 0
    kept: tuple[tuple[str, ...], tuple[Any, ...], bool] | None = None
    side: bool = False


def compose(earlier: Touch | None, later: Touch) -> Touch | None:
    """What two touches of one row amount to; None where the row was never there, before or after."""
    if earlier is None:
        return later
    side = earlier.side and later.side
    if earlier.kind == "create":
        if later.kind == "destroy":
            return None
        return Touch("create", earlier.subject, earlier.before, _either(earlier, later), earlier.order, later.kept, side)
    kind: Kind = "destroy" if later.kind == "destroy" else "update"
    order = later.order if kind == "destroy" else earlier.order
    if earlier.touched is None:
        return Touch(kind, earlier.subject, earlier.before, None, order, later.kept, side)
    # What the later touch found is what was there before the transaction only where the earlier one did not touch it.
    found = {name: value for name, value in later.before.items() if name not in earlier.touched}
    return Touch(kind, earlier.subject, {**found, **earlier.before}, _either(earlier, later), order, later.kept, side)


def _either(earlier: Touch, later: Touch) -> frozenset[str] | None:
    return None if earlier.touched is None or later.touched is None else earlier.touched | later.touched


@dataclass(slots=True)
class _Frame:
    """One savepoint: the touches since the last mark, and those of before; what is in doubt since then, and before."""

    name: str = ""
    rows: dict[Hashable, Touch] = field(default_factory=dict)
    marked: dict[Hashable, Touch] = field(default_factory=dict)
    doubts: set[Any] = field(default_factory=set)
    told: set[Any] = field(default_factory=set)

    def forget(self, doubt: Callable[[Any], Hashable]) -> None:
        """Keep no row, and doubt what they belong to."""
        self.doubts.update(doubt(touch.subject) for touch in self.rows.values())
        self.told.update(doubt(touch.subject) for touch in self.marked.values())
        self.rows, self.marked = {}, {}


class Tracker:
    """The touches of one open transaction, by row key. Belongs to the thread that holds the transaction.

    ``limit`` is how many rows it remembers. A transaction that touches more is not told row by row: from then on its
    subjects are in doubt, the rows forgotten, and nothing grows any more. ``doubt`` says what is in doubt where rows of
    a subject are.
    """

    def __init__(self, limit: int = 100_000, doubt: Callable[[Any], Hashable] = lambda subject: subject) -> None:
        self._limit = limit
        self._doubt = doubt
        self._count = 0
        self._full = False
        self._frames: list[_Frame] = [_Frame()]

    def record(self, key: Hashable, touch: Touch) -> None:
        """Add a touch of the row ``key`` to the innermost savepoint."""
        frame = self._frames[-1]
        if self._full:
            frame.doubts.add(self._doubt(touch.subject))
        elif key in frame.rows:
            _lay(frame.rows, key, touch)
        else:
            frame.rows[key] = touch
            self._count += 1
            if self._count > self._limit and self._measure() > self._limit:
                self._full = True
                for each in self._frames:
                    each.forget(self._doubt)

    def doubt(self, subjects: Iterable[Hashable]) -> None:
        """Rows of these changed, or may have, and it is not known which."""
        self._frames[-1].doubts.update(subjects)

    @property
    def roomy(self) -> bool:
        """Whether so few rows are remembered that values may be kept with them."""
        return self._count < ROOM

    def doubts(self) -> set[Any]:
        """What is in doubt: rows may differ after the transaction without being among ``net``."""
        return {subject for frame in self._frames for subject in (*frame.doubts, *frame.told)}

    def savepoint(self, name: str) -> None:
        """A savepoint was set."""
        self._frames.append(_Frame(name))

    def release(self, name: str) -> None:
        """A savepoint was released, and with it every later one."""
        index = self._index(name)
        if index is None:
            return
        released = self._frames[index:]
        del self._frames[index:]
        for frame in released:
            self._merge(frame)

    def rollback(self, name: str) -> None:
        """The transaction was rolled back to a savepoint, which stays set."""
        index = self._index(name)
        if index is None:
            self._frames, self._full = [_Frame()], False
        else:
            del self._frames[index:]
            self._frames.append(_Frame(name))

    def net(self) -> dict[Hashable, Touch]:
        """Every row that may differ after the transaction."""
        layers = [*(frame.marked for frame in self._frames), *(frame.rows for frame in self._frames)]
        filled = [layer for layer in layers if layer]
        net = dict(filled[0]) if filled else {}
        for layer in filled[1:]:
            _add(net, layer)
        return net

    def mark(self) -> Tracker:
        """A Tracker of what came since the last mark. Nothing else is changed by it."""
        part = Tracker()
        for frame in self._frames:
            _add(part._frames[0].rows, frame.rows)
            _add(frame.marked, frame.rows)
            part._frames[0].doubts |= frame.doubts
            frame.told |= frame.doubts
            frame.rows, frame.doubts = {}, set()
        return part

    def __bool__(self) -> bool:
        return any(each.rows or each.marked or each.doubts or each.told for each in self._frames)

    def _merge(self, later: _Frame) -> None:
        # A mark is for all frames at once, so what any of them had before it is older than what any has had since.
        _add(self._frames[-1].marked, later.marked)
        _add(self._frames[-1].rows, later.rows)
        self._frames[-1].doubts |= later.doubts
        self._frames[-1].told |= later.told

    def _measure(self) -> int:
        """How many rows are remembered; counting along errs, but never below it."""
        self._count = sum(len(frame.rows) + len(frame.marked) for frame in self._frames)
        return self._count

    def _index(self, name: str) -> int | None:
        for index in range(len(self._frames) - 1, 0, -1):
            if self._frames[index].name == name:
                return index
        return None


def _add(rows: dict[Hashable, Touch], later: Mapping[Hashable, Touch]) -> None:
    for key, touch in later.items():
        _lay(rows, key, touch)


def _lay(rows: dict[Hashable, Touch], key: Hashable, touch: Touch) -> None:
    """Put a later touch on a row; a row that came and went leaves nothing."""
    whole = compose(rows.get(key), touch)
    if whole is None:
        rows.pop(key, None)
    else:
        rows[key] = whole
