"""What the handlers of Juggernaut share: the codec, the channels' other names, and who polls or is about to."""

from __future__ import annotations

import math
import re

from sqla_realtime.hub.doors import Handshake
from sqla_realtime.protocol.juggernaut import Juggernaut, Label, label
from sqla_realtime.protocol.messages import Hello
from sqla_realtime.protocol.v1_messages import CONNECTION
from sqla_realtime.schema.aliases import Aliases
from sqla_realtime.schema.publication import Publication
from sqla_realtime.transports.juggernaut.gone import Gone
from sqla_realtime.transports.juggernaut.talk import PollReader, Reader, Talk
from sqla_realtime.transports.lobby import Lobby
from sqla_realtime.transports.mailbox import Mailbox
from sqla_realtime.transports.sessions import Sessions

TRANSPORTS = "websocket,xhr-polling,jsonp-polling"
# Where a session is known, as its name ends.
_VIA = re.compile(r".*-([0-9]{1,5})-([0-9]{1,2})")


class Switchboard:
    """Loop thread only. ``sessions`` are those of who polls."""

    def __init__(self, lobby: Lobby, aliases: Aliases) -> None:
        self.lobby = lobby
        self.codec = Juggernaut(self._label)
        self.sessions = Sessions(lobby, via_of)
        self._gone = Gone(lobby.house.hub)
        self._aliases = aliases
        self._labels: dict[Publication, Label] = {}
        # Sessions that were handed out and not begun, the oldest first.
        self._expected: dict[str, None] = {}

    def handshake(self) -> str:
        """The text that a client begins with: its session, how often it hears something, and when it gives up otherwise."""
        session = self.reader().id
        if self.lobby.siblings is not None:
            session += "-" + self.lobby.siblings.via.replace(".", "-")
        if len(self._expected) >= self.lobby.settings.unadmitted:
            del self._expected[next(iter(self._expected))]
        self._expected[session] = None
        interval = self.lobby.settings.ping_interval
        return f"{session}:{math.ceil(interval)}:{math.ceil(2 * interval)}:{TRANSPORTS}"

    def expects(self, session: str) -> bool:
        """Whether a session was handed out and has not begun; from now on it has."""
        known = session in self._expected
        self._expected.pop(session, None)
        return known

    def reader(self) -> Reader:
        """A connection on a stream."""
        return Reader(self.codec, self.lobby.settings.queue_bytes, self._gone)

    def talk(self, reader: Reader, handshake: Handshake) -> Talk:
        """The conversation of a connection that has just been made."""
        return Talk(self.lobby.house, reader, handshake, self._aliases.channels)

    def begin(self, talk: Talk, session: str) -> None:
        """From now on this is the session's; who it is its cookie says."""
        talk.take(Hello(connection=session if CONNECTION.fullmatch(session) else None))

    def open(self, session: str, handshake: Handshake) -> Mailbox:
        """A session begins to be polled."""
        box = PollReader(self.codec, self.lobby.settings.queue_bytes, self._gone)
        talk = self.talk(box, handshake)
        self.sessions.open(session, talk, box)
        self.begin(talk, session)
        return box

    def _label(self, channel: str, cls: str) -> Label | None:
        found = self._aliases.of(channel, cls)
        if found is None:
            return None
        publication, name = found
        if publication not in self._labels:
            self._labels[publication] = label_of(publication, name)
        return self._labels[publication]._replace(channel=name)


def via_of(session: str) -> str | None:
    """Which process has handed out a session, None where its name does not say."""
    found = _VIA.fullmatch(session)
    return None if found is None else ".".join(found.groups())


def label_of(publication: Publication, name: str) -> Label:
    """How a publication's changes are spelled in a channel of this name."""
    fields = publication.fields
    keyed = {fields.attributes.get(key) for key in fields.keys} == {"id"} and len(fields.keys) == 1
    kinds = {info.serialization_alias or name: info.annotation for name, info in fields.schema.model_fields.items()}
    return label(name, fields.spelled, keyed=keyed, number=kinds.get("id") is int and "id" not in fields.text)
