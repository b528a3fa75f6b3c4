"""Realtime, the composition root: what an application makes one of; it joins declarations, capture, log and server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Engine, MetaData, Table
from sqlalchemy.orm import sessionmaker

from sqla_realtime.brokers.base import Broker
from sqla_realtime.brokers.forks import watch as watch_forks
from sqla_realtime.brokers.tables import metadata
from sqla_realtime.capture.hooks import Hooks
from sqla_realtime.capture.origin import Author, writing
from sqla_realtime.capture.silence import silence
from sqla_realtime.capture.targets import resolve
from sqla_realtime.capture.watched import complete, watch
from sqla_realtime.carrier import carrier, make_broker
from sqla_realtime.errors import LogUnsuitable
from sqla_realtime.schema.assembly import Assembly
from sqla_realtime.schema.describe import describe
from sqla_realtime.schema.publication import Publication, Read
from sqla_realtime.schema.registry import Registry
from sqla_realtime.schema.route import Route
from sqla_realtime.schema.rules import Rule
from sqla_realtime.server.doors import Application
from sqla_realtime.server.lifecycle import Lifecycle
from sqla_realtime.server.tokens import sign
from sqla_realtime.settings import Settings

if TYPE_CHECKING:
    from flask import Flask

F = TypeVar("F", bound=Callable[..., Any])


class Realtime(Lifecycle):
    """Makes the SQLAlchemy models of an application live in browsers.

    Keyword arguments are settings (see Settings) and win over ``REALTIME_*`` in the environment. Declare with
    ``publish`` and ``channel``, attach with ``enable``, run with ``start`` and ``stop``. Every method may be called from
    any thread.
    """

    def __init__(self, **settings: Any) -> None:
        self._arguments = settings
        self.settings = Settings.load(settings)
        self._registry = Registry()
        self._application = Application()
        self._broker = self._make_broker()
        self._hooks = Hooks(self._registry, self._broker, self._wants, **self.settings.rows)
        self._runner = None
        self._lock = threading.RLock()
        watch_forks(self)

    def _make_broker(self) -> Broker:
        return make_broker(self.settings, lambda: self.engine, self._registry)

    @property
    def engine(self) -> Engine:
        """The engine of the database that has the published rows, which is where the log is for ``broker="database"``. Raises
        NotEnabled, and LogUnsuitable where there are several."""
        return self._application.engine(publication.mapper for publication in self._registry)

    @property
    def shares(self) -> bool:
        """Whether other processes write and read the same log."""
        return self._broker.shared

    @property
    def metadata(self) -> MetaData:
        """The tables of the log, for ``broker="database"``: ``realtime.metadata.create_all(engine)``."""
        return metadata

    def migrate(self) -> list[str]:
        """Make what the log needs and the database has not got yet: its tables, and the triggers of watched ones. Answers
        with the names of all these tables. Raises NotEnabled and LogUnsuitable, and what the database raises."""
        with self.engine.begin() as connection:
            metadata.create_all(connection)
            return [*metadata.tables, *complete(connection, self._registry)]

    def publish(
        self,
        model: type[Any],
        *,
        schema: type[BaseModel] | None = None,
        channel: str | Sequence[str],
        where: ColumnElement[bool] | None = None,
        route: Route | None = None,
        join: Rule | None = None,
        name: str | None = None,
        expose: Collection[str] = (),
        read: Read = "stored",
        alias: str | None = None,
    ) -> tuple[Publication, ...]:
        """Declare that committed rows of ``model`` are sent, as ``schema`` spells them, to the channels of a pattern,
        or of each pattern of a list. Answers with a Publication for each pattern.

        ``where`` narrows them to the rows for which it is true; a row that begins to satisfy it enters, one that ceases
        to leaves. ``route`` finds the channels where a pattern alone can't (see Route). ``join`` is the pattern's rule where
        ``anyone`` or ``signed_in`` will do. ``name`` is the rows' ``class`` on the wire, by default the model's. ``alias`` is
        the channels' name for Juggernaut and Pusher (docs/). ``expose`` are fields that look secret and are sent on purpose.

        ``read="attributes"`` is for hot tables: what a flush changed is told as the objects hold it then, and only what
        decides its channels is read before COMMIT. That is cheaper, and wrong where an object differs from its row: an
        attribute that another transaction has changed since it was loaded, a value that the database rounds, pads or has
        a trigger change, JSON that was changed in place. The schema must be one of plain columns. A column that a trigger
        changes must say so in its mapping, ``server_onupdate=FetchedValue()``: an UPDATE that shows in such columns alone
        is noticed by nothing else.

        Raises DeclarationError for all that can be wrong with it.
        """
        made = []
        for pattern in [channel] if isinstance(channel, str) else channel:
            publication = Publication(
                model, schema, pattern, where=where, route=route, name=name, expose=expose, read=read, alias=alias
            )
            with self._lock:
                self._registry.publish(publication)
                if join is not None:
                    self._registry.rule(pattern, join)
            self._hooks.watch(publication)
            made.append(publication)
        return tuple(made)

    def watch(self, *models: type[Any] | Table, without: Collection[str] = ()) -> None:
        """Have triggers put into the log what anybody writes into the tables of these models: raw SQL, other programs,
        cascades. PostgreSQL only. ``without`` are columns that are not to be in the log. ``create_all`` makes them with the
        tables, or a migration does (docs/processes.md). Raises LogUnsuitable, NotMapped and NotWatchable."""
        if not self.shares:
            raise LogUnsuitable(reason="triggers write into it", remedy='Say Realtime(broker="database"), then watch().')
        watch(models, without)

    def channel(
        self,
        pattern: str,
        *,
        presence: type[BaseModel] | None = None,
        events: Mapping[str, type[BaseModel]] | None = None,
    ) -> Callable[[F], F]:
        """Decorates the rule of who may join the channels of a pattern: ``rule(user, **parameters) -> bool``.

        It is called with the application's user (None for anonymous) and the pattern's typed parameters, in a worker
        thread, or awaited if it is a coroutine function. Whatever but True refuses.

        ``presence`` has the members of a channel told who is there; it is what they are shown of each other, read from the
        user's attributes. ``events`` are what they may say to each other, each with the model of its data
        (docs/presence.md). With one of them the channel needs no published rows. Raises DeclarationError.
        """
        assembly = None if presence is None and events is None else Assembly(pattern, presence, events)

        def decorate(rule: F) -> F:
            with self._lock:
                self._registry.rule(pattern, rule, assembly)
            return rule

        return decorate

    def identify(self, function: F) -> F:
        """Decorates the function that turns an Identity (from a token or the session cookie) into the application's user.

        It may return None for somebody who no longer exists. Without it rules are given the Identity itself.
        """
        self._application.identify = function
        return function

    def enable(self, target: Any, *, bind: Engine | None = None) -> None:
        """Listen to the Sessions that ``target`` makes: a sessionmaker, scoped_session, async_sessionmaker, a Session or
        AsyncSession class or instance, or Flask-SQLAlchemy's ``db``. Twice, or to targets that overlap, changes nothing.

        Snapshots are read in threads, with Sessions of the same kind; for async ones, with a plain engine on the same
        URL. A bare class does not know its database, and an async engine may need more than its URL says (connect_args,
        listeners), so give ``bind``. Raises NotEnableable.
        """
        resolved = resolve(target)
        with self._lock:
            self._hooks.enable(resolved)
            session = sessionmaker(bind) if bind is not None else resolved.session
            self._application.session = session or self._application.session

    def disable(self, target: Any) -> None:
        """Stop listening to a target. An open transaction is still told. Raises NotEnableable."""
        with self._lock:
            self._hooks.disable(resolve(target))

    def suppress(self) -> AbstractContextManager[None]:
        """``with realtime.suppress():`` what this thread, or this asyncio task, flushes and executes in the block is not
        told, for an import or a migration that browsers need not follow.

        Nothing at all is told: no change and no reset of a channel. Browsers keep the rows that they have until they load
        them anew; a later change that is told brings the whole row. What counts is when a change is sent to the
        database, so flush or commit inside the block. A transaction may be partly in it: the rest is told, and a row
        that was changed on both sides is told as it is stored. Tasks that are created in the block inherit it.

        For whole Sessions: ``Session(execution_options={"realtime": False})`` from SQLAlchemy 2.1 on, and with every
        version ``session.info["realtime"] = False``.
        """
        return silence(self._hooks)

    def origin(self, connection: str | None) -> AbstractContextManager[Author]:
        """``with realtime.origin(request.headers.get("X-Realtime-Connection")) as author:`` what this thread, or this
        asyncio task, commits in the block is that connection's own. Its browser is told so, nobody else is.

        ``author.position()`` is where the last of these commits is in the log, for the response's ``X-Realtime-Position``
        header; None where nothing published was committed, or the log takes too long. With Flask all this is done already.
        """
        return writing(self._broker, connection)

    def token(self, user_id: object, expires_in: float = 3600, **claims: Any) -> str:
        """A signed token by which a browser is this user, for so many seconds. Raises BadSetting without ``secret``."""
        return sign(self.settings.secret, self.settings.algorithm, user_id, expires_in, claims)

    def configure(self, config: Mapping[str, Any], **application: Any) -> None:
        """Take ``REALTIME_*`` settings from a framework's configuration, and what else the server needs of the
        application (see Application). Called by integrations, before ``start``. Raises ConfigurationError."""
        with self._lock:
            before, self.settings = self.settings, Settings.load(self._arguments, config)
            if carrier(self.settings) != carrier(before):
                self._broker.close()
                self._broker = self._make_broker()
                self._hooks.use(self._broker)
            self._broker.configure(self.settings.bounds, self.settings.commit_patience)
            self._application = replace(self._application, **application)

    def develop(self, development: bool) -> None:
        """Say whether the host runs in development, where the settings leave that open."""
        with self._lock:
            if self.settings.development is None:
                self.settings = self.settings.model_copy(update={"development": development})

    def init_app(self, app: Flask, db: Any = None) -> None:
        """Live with a Flask application: settings from its config, users from its session cookie, started by its first
        request. ``db`` is Flask-SQLAlchemy's, or anything else that ``enable`` takes."""
        from sqla_realtime.integrations.flask import init_app

        init_app(self, app, db)

    def describe(self) -> list[str]:
        """What is published, a line each: models, channels, rules, the columns that are sent and those that are not."""
        return describe(self._registry)
