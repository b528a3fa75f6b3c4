"""Leads from the loop to the application: its look-up of users, its rules and its database, each in a worker thread."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy import Engine
from sqlalchemy.orm import Mapper, Session

from sqla_realtime.errors import LogUnsuitable, NotEnabled
from sqla_realtime.hub.doors import Doorkeeper, Ending, Guest, Handshake, Place, Refused
from sqla_realtime.protocol.codes import ErrorCode
from sqla_realtime.schema.aliases import Aliases
from sqla_realtime.schema.assembly import Assembly
from sqla_realtime.schema.registry import Channel, Registry
from sqla_realtime.schema.rules import anyone
from sqla_realtime.server.tokens import Identity, verify
from sqla_realtime.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

NO_SUCH_CHANNEL = "There is no such channel, or it is not for you."
_PROFILE = "See the log: the fields of presence= are attributes of what identify() returns."


@dataclass(slots=True)
class Application:
    """What the server needs of the application around it.

    ``scope`` wraps everything that runs in a worker thread, such as a framework's application context. ``session_cookie``
    reads who a request's session cookie belongs to, None for nobody. ``identify`` turns an Identity into the
    application's own user. ``session`` makes the Session that snapshots are read with.
    """

    scope: Callable[[], AbstractContextManager[Any]] = nullcontext
    session_cookie: Callable[[Handshake], Identity | None] | None = None
    identify: Callable[[Identity], Any] | None = None
    session: Callable[[], Session] | None = None

    def engine(self, mappers: Iterable[Mapper[Any]]) -> Engine:
        """The engine of the one database where the rows of these mappers are. Raises NotEnabled, and LogUnsuitable where they
        are in several."""
        if self.session is None:
            raise NotEnabled
        with self.scope(), self.session() as session:
            binds = [session.get_bind(mapper) for mapper in mappers] or [session.get_bind()]
            engines = dict.fromkeys(bind.engine for bind in binds)
        if len(engines) > 1:
            raise LogUnsuitable(
                reason="published models are in several databases, and a transaction is in one of them",
                remedy="Make a Realtime for each database.",
            )
        return next(iter(engines))


class Workers:
    """A few threads in which the application's code runs, inside its scope."""

    def __init__(self, application: Application, threads: int, name: str) -> None:
        self._application = application
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, work: Callable[..., T], /, *arguments: Any, **named: Any) -> T:
        """The result of ``work``, without blocking the loop for it. Raises nothing but what derives from Exception, such as
        Ending."""

        def scoped() -> T:
            try:
                with self._application.scope():
                    return work(*arguments, **named)
            except BaseException as error:
                # A StopIteration never leaves a future, and a SystemExit would be the whole server's.
                if isinstance(error, Exception) and not isinstance(error, StopIteration):
                    raise
                raise RuntimeError(f"The application raised {type(error).__name__}.") from error

        try:
            future = asyncio.get_running_loop().run_in_executor(self._pool, scoped)
        except RuntimeError as error:
            # Threads take no more work from the moment when the interpreter begins to end, which is before it ends us.
            raise Ending from error
        return await future

    def close(self) -> None:
        """Take no more work."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class ApplicationDoorkeeper(Doorkeeper):
    """Asks the application's own functions. An exception in one of them is a refusal, and logged."""

    def __init__(self, registry: Registry, settings: Settings, application: Application, workers: Workers) -> None:
        self._registry = registry
        self._aliases = Aliases(registry)
        self._settings = settings
        self._application = application
        self._workers = workers

    async def identify(self, handshake: Handshake, token: str | None) -> Guest:
        if token is None:
            return await self._guest(await self._cookie(handshake), None)
        return await self._guest(*verify(self._settings.secret, self._settings.algorithm, token))

    async def review(self, handshake: Handshake, guest: Guest) -> Guest:
        # A session may have ended on the server meanwhile; what a token says it says until its end.
        identity = await self._cookie(handshake) if guest.expires is None else guest.identity
        found = await self._guest(identity, guest.expires)
        return found if found.id is not None else replace(found, id=guest.id)

    async def _cookie(self, handshake: Handshake) -> Identity | None:
        if self._application.session_cookie is None or "cookie" not in handshake.headers:
            return None
        return await self._workers.run(self._application.session_cookie, handshake)

    async def _guest(self, identity: Identity | None, expires: float | None) -> Guest:
        if identity is None:
            return Guest(None, expires)
        user = identity if self._application.identify is None else await self._ask(self._application.identify, identity)
        return Guest(user, expires, identity.id, identity)

    def find(self, channel: str) -> Place | None:
        found = self._registry.declared(channel)
        if found is None:
            return None
        assembly = found.assembly
        return Place(
            pattern=found.pattern.text,
            rows=bool(found.publications),
            open=found.rule is anyone,
            ruled=found.rule is not None,
            members=assembly is not None and assembly.shown is not None,
            events=assembly is not None and bool(assembly.events),
        )

    def meant(self, name: str) -> Sequence[str]:
        if self._registry.declared(name) is not None:
            return (name,)
        return self._aliases.channels(name) or self._aliases.channels(f"/{name}") or (name,)

    async def admit(self, user: Any, channel: str) -> str:
        return await self._permit(user, self._registry.joinable(channel))

    async def profile(self, user: Any, channel: str) -> str:
        try:
            return await self._workers.run(self._assembly(channel).profile, user)
        except (Ending, Refused):
            raise
        except Exception:  # the application's own attributes may raise anything
            log.exception("What is shown of a member of %s could not be read off the user. [presence-failed]", channel)
            raise Refused(ErrorCode.PRESENCE_FAILED, "What is shown of a member could not be read.", _PROFILE) from None

    async def event(self, channel: str, name: str, data: str) -> str:
        assembly = self._assembly(channel)
        if name not in assembly.events:
            known = f"Declared are: {', '.join(assembly.events) or 'none'}."
            raise Refused(ErrorCode.UNKNOWN_EVENT, "There is no such event in this channel.", known)
        try:
            return await self._workers.run(assembly.event, name, data)
        except Ending:
            raise
        except ValidationError as error:
            # What was sent stays out of it: it may be long, and its sender knows it.
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(map(str, first["loc"])) or "data"
            raise Refused(ErrorCode.INVALID_EVENT, f"{place}: {first['msg']}") from None
        except Exception:  # so may its models' validators
            log.exception("The model of event %r of %s failed. [presence-failed]", name, channel)
            raise Refused(ErrorCode.PRESENCE_FAILED, "The event could not be checked.") from None

    def _assembly(self, channel: str) -> Assembly:
        found = self._registry.declared(channel)
        if found is None or found.assembly is None:
            raise Refused(ErrorCode.NO_PRESENCE, "This channel has rows and nothing else.")
        return found.assembly

    async def permit(self, user: Any, channel: str) -> None:
        """The same for channels without rows too. Raises Refused."""
        await self._permit(user, self._registry.declared(channel))

    async def _permit(self, user: Any, found: Channel | None) -> str:
        if found is None:
            raise Refused(ErrorCode.FORBIDDEN, NO_SUCH_CHANNEL, "No published pattern matches this name.")
        if found.rule is None:
            raise Refused(ErrorCode.FORBIDDEN, NO_SUCH_CHANNEL, _no_rule(found))
        try:
            allowed = await self._ask(found.rule, user, **found.values)
        except Ending:
            raise
        except Exception:
            log.exception("The rule of %s raised, so nobody is admitted. [rule-failed]", found.pattern.text)
            allowed = False
        if allowed is not True:
            if allowed is not False and allowed is not None:
                log.error("The rule of %s must return True or False. [rule-failed]", found.pattern.text)
            raise Refused(ErrorCode.FORBIDDEN, NO_SUCH_CHANNEL, "Its rule did not return True for this user.")
        return found.pattern.text

    async def _ask(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
        if inspect.iscoroutinefunction(function):
            return await _tamed(function(*arguments, **named))
        answer = await self._workers.run(function, *arguments, **named)
        return await _tamed(answer) if inspect.isawaitable(answer) else answer


async def _tamed(awaitable: Awaitable[T]) -> T:
    """Its result. Raises nothing but what derives from Exception, unless this task itself is cancelled."""
    try:
        return await awaitable
    except (SystemExit, KeyboardInterrupt, asyncio.CancelledError) as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise RuntimeError(f"The application raised {type(error).__name__}.") from error


def _no_rule(channel: Channel) -> str:
    parameters = "".join(f", {name}" for name in channel.pattern.placeholders)
    return (
        "It has no rule, so nobody may join. Add one:\n"
        f'@realtime.channel("{channel.pattern.text}")\ndef may_join(user{parameters}) -> bool: ...'
    )
