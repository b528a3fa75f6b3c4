"""Commands over POST: what the client of a one-way stream has to say, delivered to it in whichever process has it."""

from __future__ import annotations

from sqla_realtime.hub.doors import Refused
from sqla_realtime.protocol.codec import BadMessage
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.protocol.messages import Hello
from sqla_realtime.transports.family import VIA
from sqla_realtime.transports.gated import BodyHandler


class SendHandler(BodyHandler):
    """Whoever knows a connection's id may speak for it: the server made it up, or the client did, and nobody else is told."""

    async def post(self) -> None:
        """All of the messages are delivered, or none. Their answers come on the stream."""
        try:
            await self._deliver()
        except BadMessage as bad:
            self.refuse(Refused(bad.code, bad.message))
        except Refused as refused:
            self.refuse(refused)
        else:
            self.set_status(204)

    async def _deliver(self) -> None:
        body = self.body()
        command = self._lobby.codec.command(body)
        self.check_count(command.messages)
        for message in command.messages:
            if isinstance(message, Hello) and message.connection not in (None, command.connection):
                raise Refused(ErrorCode.INVALID_FIELD, "connection must be the one that the body names")
        if command.via is not None and VIA.fullmatch(command.via):
            await self.pass_on(command.via)
        conversation = self._lobby.find(command.connection)
        if conversation is None:
            raise Refused(ErrorCode.UNKNOWN_CONNECTION, "This server has no stream of that connection.")
        for message in command.messages:
            conversation.hear(message)
