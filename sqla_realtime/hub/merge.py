"""Several commits as one: what a reader who lags behind is sent, so that rows that changed again meanwhile cost nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqla_realtime.commit import Change
from sqla_realtime.hub.frame import Frame
from sqla_realtime.protocol.codec import Codec
from sqla_realtime.protocol.messages import Missed


def merge(queue: Sequence[bytes], codec: Codec) -> list[bytes]:
    """The same messages with every run of consecutive commits made one, at the position of its last.

    A reader applies it whole like any other commit, and is where it would have been. A commit that is the reader's own
    stays alone, because it may choose to pass over its own.
    """
    merged: list[bytes] = []
    run: list[Missed] = []
    for data in queue:
        commit = data.commit if isinstance(data, Frame) else None
        if commit is not None and commit.origin is None:
            run.append(commit)
            continue
        merged += _one(run, codec)
        run = []
        merged.append(data)
    return merged + _one(run, codec)


def _one(run: Sequence[Missed], codec: Codec) -> list[bytes]:
    if not run:
        return []
    changes = net(change for commit in run for change in commit.changes)
    position = run[-1].position
    data = codec.commit(position, [codec.change(change) for change in changes])
    return [Frame(data, Missed(position, changes))]


def net(changes: Iterable[Change]) -> list[Change]:
    """What changes amount to, row by row, in the order of each row's last."""
    found: dict[tuple[str, str, str], Change] = {}
    for change in changes:
        key = change.channel, change.cls, change.id
        earlier = found.pop(key, None)
        found[key] = change if earlier is None else _after(earlier, change)
    return list(found.values())


def _after(earlier: Change, later: Change) -> Change:
    if later.type != "update" or earlier.type == "destroy":
        return later
    if earlier.type == "create":
        # The reader has not had the row before.
        return earlier._replace(record=later.record)
    return later._replace(changed=tuple(dict.fromkeys((*earlier.changed, *later.changed))))
