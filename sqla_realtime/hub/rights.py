"""What one client may see, and until when: its token's end and renewal, and rules asked again while nothing is sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping

from sqla_realtime.hub.connection import Connection
from sqla_realtime.hub.doors import Guest, Handshake, Refused
from sqla_realtime.hub.house import House
from sqla_realtime.protocol.codes import CloseCode, ErrorCode
from sqla_realtime.protocol.messages import Leave, NeedsAuth

# Whether a channel of this name and pattern is one that has to be asked for again.
Concerned = Callable[[str, str], bool]

# So many doubts are told apart; more are one about everything.
DOUBTS = 64

# How often somebody is asked again because what was asked has been put in doubt meanwhile.
ROUNDS = 100


class Rights:
    """The rights of one connection. Loop thread only; a client's messages and its reviews take turns.

    Whoever awaits a look-up or a rule does so in ``rounds``, until its answers ``stand``: those that came from before a
    revocation count no more. ``ended``: nothing may be joined until a renewal.
    """

    __slots__ = (
        "_concerned", "_connection", "_doubts", "_handshake", "_house", "_hub", "_stranger", "_timer", "_void", "ended",
        "guest",
    )  # fmt: skip

    def __init__(self, house: House, connection: Connection, handshake: Handshake) -> None:
        self._house = house
        self._hub = house.hub
        self._connection = connection
        self._handshake = handshake
        self._timer: asyncio.TimerHandle | None = None
        # What has to be asked again: for some channels, and who the client is.
        self._concerned: list[Concerned] = []
        self._stranger = False
        # What has come in doubt in this round of asking, and whether that is all of it.
        self._doubts: list[Concerned] = []
        self._void = False
        self.guest: Guest | None = None
        self.ended = False

    def rounds(self) -> Iterator[None]:
        """Rounds of asking. The asker leaves the loop when what it was answered stands. Raises RuntimeError after too many."""
        for _ in range(ROUNDS):
            self._doubts.clear()
            self._void = False
            yield
        raise RuntimeError("Rights were put in doubt again and again while they were asked for. [rights-unsettled]")

    def stand(self, channels: Mapping[str, str]) -> bool:
        """Whether what was answered in this round about channels (name to pattern), and about the client, still holds."""
        return not self._void and not self._touch(self._doubts, channels)

    @staticmethod
    def _touch(doubts: list[Concerned], channels: Mapping[str, str]) -> list[str]:
        return [name for name, pattern in channels.items() if any(concerned(name, pattern) for concerned in doubts)]

    def begin(self, guest: Guest) -> None:
        """From now on the client is this guest, for as long as its token lasts."""
        self.close()
        self.guest = guest
        self.ended = False
        self._connection.user = guest.user
        if guest.expires is not None:
            left = max(0.0, guest.expires - time.time())
            self._timer = asyncio.get_running_loop().call_later(left, self._end)

    def close(self) -> None:
        """The client is gone: nothing will end that has not."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        """The token has expired: nothing is sent any more. The connection stays for a while, to be renewed."""
        self._void = True
        self.ended = True
        waiting = self._hub.waiting(self._connection)
        self._hub.close(self._connection)
        self._house.gathering.close(self._connection)
        self._settled()
        self._connection.tell(NeedsAuth(ErrorCode.TOKEN_EXPIRED))
        for name, number in waiting.items():
            self._house.refuse(self._connection, needs_auth(), name, number)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._house.patience, self._connection.close, CloseCode.TOKEN_EXPIRED)

    @property
    def in_doubt(self) -> bool:
        """Whether rules have to be asked again; nothing is sent until they have been."""
        return bool(self._concerned)

    def doubt(self, concerned: Concerned, *, stranger: bool = False) -> None:
        """Ask again for the channels that are concerned, and with ``stranger`` who the client is. What was answered until
        now counts no more, and from now on the connection is sent nothing; ``review`` does the asking."""
        _add(self._doubts, concerned)
        self._void = self._void or stranger
        if self.guest is None or self.ended:
            return
        if self._touch([concerned], self._house.joined(self._connection)):
            self._hub.hold(self._connection)
            self._house.gathering.hold(self._connection)
        elif not stranger:
            return
        _add(self._concerned, concerned)
        self._stranger = self._stranger or stranger

    async def review(self) -> None:
        """Ask for everything that is in doubt, then go on with what may be seen and leave the rest."""
        for _ in self.rounds():
            if not self.in_doubt or self.guest is None:
                return
            before = guest = self.guest
            if self._stranger:
                guest = await self._house.doorkeeper.review(self._handshake, guest)
            joined = self._house.joined(self._connection)
            refused = await self._ask(guest, self._touch(self._concerned, joined))
            if self._connection.close_code is not None:
                return
            if self.stand(joined):
                break
        self.guest = guest
        self._connection.user = guest.user
        self._settled()
        if guest.member != before.member and self._house.gathering.attended(self._connection):
            # To the others it is still who it was. It comes back as who it is.
            self._connection.close(CloseCode.RESTARTING)
            return
        self._expel(refused)
        for flight in self._hub.release(self._connection):
            self._house.snapshots.start(flight)
        self._house.gathering.release(self._connection)

    async def renew(self, token: str) -> None:
        """Go on with another token, if it is the same user's. Raises Refused, and then nothing has changed.

        The rules are asked with what the new token says, before it counts: as long as they take, the old one does.
        """
        assert self.guest is not None  # noqa: S101 - nobody renews what it does not have
        for _ in self.rounds():
            guest = await self._house.doorkeeper.identify(self._handshake, token)
            if guest.id != self.guest.id:
                raise Refused(ErrorCode.FORBIDDEN, "This token is another user's.", "Connect anew to change the user.")
            joined = self._house.joined(self._connection)
            refused = await self._ask(guest, [*joined])
            if self._connection.close_code is not None:
                return
            if self.stand(joined):
                break
        self.begin(guest)
        self._expel(refused)

    async def _ask(self, guest: Guest, names: list[str]) -> dict[str, Refused]:
        """Why a guest may not join some of these channels. Once all is void no answer matters."""
        refused = {}
        for name in names:
            if self._void or self._connection.close_code is not None:
                break
            try:
                await self._house.doorkeeper.admit(guest.user, name)
            except Refused as refusal:
                refused[name] = refusal
        return refused

    def _expel(self, refused: Mapping[str, Refused]) -> None:
        """Take the client out of channels that it may not see. It drops what it was in; what it waits for is answered."""
        attended, waiting = self._house.gathering.attended(self._connection), self._hub.waiting(self._connection)
        seen = self._hub.joined(self._connection).keys() - waiting.keys() | attended.keys()
        shown = tuple(name for name in refused if name in seen)
        self._hub.leave(self._connection, refused)
        self._house.gathering.leave(self._connection, refused)
        if shown:
            self._connection.tell(Leave(shown, ErrorCode.FORBIDDEN))
        for name in refused:
            if name in waiting:
                self._house.refuse(self._connection, refused[name], name, waiting[name])

    def _settled(self) -> None:
        self._concerned.clear()
        self._stranger = False


def everything(name: str, pattern: str) -> bool:
    """Every channel is concerned."""
    return True


def _add(doubts: list[Concerned], concerned: Concerned) -> None:
    if len(doubts) >= DOUBTS:
        doubts.clear()
        concerned = everything
    doubts.append(concerned)


def needs_auth() -> Refused:
    """The answer to whoever would join something without rights."""
    return Refused(ErrorCode.NEEDS_AUTH, "The token of this connection has expired.", "Send renew with a fresh token.")
