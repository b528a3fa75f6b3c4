"""All that makes the notes live: which columns leave the house, to which channel, and who may join it."""

from __future__ import annotations

from pydantic import BaseModel

from examples.common import secret_in
from examples.fastapi_demo.models import FOLDER, Note, Session
from sqla_realtime import Realtime, signed_in


class NoteOut(BaseModel, from_attributes=True):
    """What anybody is sent of a Note: browsers by the channel, and whoever asks a route."""

    id: int
    title: str
    edited_by: str
    worker: int


# The log is in the database: whichever worker commits, the one that broadcasts hears of it. The secret signs tokens.
realtime = Realtime(broker="database", secret=secret_in(FOLDER), development=True)
realtime.publish(Note, schema=NoteOut, channel="notes", join=signed_in)
realtime.enable(Session)
