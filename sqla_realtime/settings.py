"""Every setting with its default, in one frozen class, and the order of their sources: argument, app config, environment."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from sqla_realtime.errors import BadSetting, WeakSecret
from sqla_realtime.history import Bounds

PREFIX = "REALTIME_"
MIN_SECRET = 32


def _split(value: object) -> object:
    """The environment has no lists: "a, b" is two items."""
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value


def _is_origin(text: str) -> bool:
    """Whether this is a serialised origin (RFC 6454 6.2) of a page."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and f"{parts.scheme}://{parts.netloc}" == text


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _parsed(value: object) -> object:
    """The environment has no objects either, but it can have JSON."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("it is no JSON") from None
    return value


class PusherApp(BaseModel, frozen=True, extra="forbid"):
    """An application as Pusher's clients and libraries know it. Whoever has the ``secret`` may say anything in its channels,
    and admit anybody to the private ones. ``client_events``: so may, to each other, the members of a private channel.
    ``watchlists``: whoever signs in may be told who else has. ``webhook`` is the URL that is told who comes and goes."""

    key: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    secret: Annotated[str, Field(min_length=16, repr=False)]
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    client_events: bool = False
    subscription_count: bool = False
    watchlists: bool = False
    webhook: Annotated[str | None, Field(pattern=r"^https?://", repr=False)] = None


class Settings(BaseModel, frozen=True, extra="forbid", str_strip_whitespace=True):
    """What can be set, with the defaults that suit one process on one machine. Sizes are bytes, times seconds."""

    # Where commits go: "memory" for one process, "database" for any number of them, which share the log in the database.
    broker: Literal["memory", "database"] = "memory"

    # Where the server listens. Loopback by default: a reverse proxy, or nobody, stands between it and the world.
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8765
    base: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_.~-]+)+$")] = "/realtime"
    # Where browsers find it, when that is not <host of the page>:<port><base>, such as "/realtime" behind a proxy.
    url: str | None = None
    # Whether the web framework's integration starts the server in processes that answer requests. Not where
    # `sqla-realtime serve` is to be the one: while it is being restarted, one of them would take its port.
    embedded: bool = True

    # Who may come in.
    secret: Annotated[str | None, Field(repr=False)] = None
    algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"
    allowed_origins: Names = ()
    allowed_hosts: Names = ()
    # Proxies whose X-Forwarded-For is believed, as addresses or networks, such as "127.0.0.1, 10.0.0.0/8".
    trusted_proxies: Names = ()
    # Trust pages on loopback addresses and explain refusals. None: on where the host framework runs its own server.
    development: bool | None = None

    # Applications for which Pusher's protocol is served, as JSON in the environment: [{"key": .., "secret": .., "id": ..}]
    pusher: Annotated[tuple[PusherApp, ...], BeforeValidator(_parsed), Field(repr=False)] = ()
    # How long, at most, whoever is in a channel stays there when the process is killed that it is connected to.
    presence_lease: Seconds = 30.0

    # How many may be here and come at once. docs/limits.md says of each what happens beyond.
    connections: Count = 10_000
    connections_per_address: Count = 1000
    unadmitted: Count = 1000
    handshake_rate: Rate = 500.0
    handshake_line: Count = 1000
    restart_window: Seconds = 2.0

    # What one client may use.
    hello_timeout: Seconds = 10.0
    ping_interval: Seconds = 25.0
    message_rate: Rate = 50.0
    message_burst: Count = 200
    max_message: Count = 16 * 1024
    max_header: Count = 16 * 1024
    max_headers: Count = 100
    # What one request of the transports that are plain HTTP may bring: bytes, and messages.
    max_body: Count = 64 * 1024
    max_messages: Count = 100
    # How long a long-poll without news is kept waiting for some.
    poll_wait: Seconds = 25.0
    max_errors: Count = 10
    subscriptions: Count = 100
    queue_bytes: Count = 1024 * 1024

    # What is kept for clients that come back.
    history_count: Count = 10_000
    history_bytes: Count = 64 * 1024 * 1024
    history_age: Seconds = 600.0

    # What snapshots may cost.
    snapshot_rows: Count = 10_000
    snapshot_threads: Count = 4
    snapshot_line: Count = 10_000
    snapshot_timeout: Seconds = 30.0
    # For how many seconds rows that were read serve, in a rush, whoever comes next, brought up to date from the log.
    snapshot_share: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0

    # How many rows one statement outside a flush may change and still be told row by row.
    statement_rows: Count = 1000
    # How many rows one transaction may touch and still be told row by row. Past it nothing more is remembered of them.
    transaction_rows: Count = 100_000

    # How long a COMMIT that has begun may keep later commits waiting for their place in the log.
    commit_patience: Seconds = 10.0

    # Where the log in the database is read, when the application's engine goes through a pooler: the server's own URL.
    log_url: Annotated[str | None, Field(repr=False)] = None
    # How long a connection that reads it may give no answer before another one is made.
    log_timeout: Seconds = 10.0

    @property
    def bounds(self) -> Bounds:
        """How much past is kept."""
        return Bounds(count=self.history_count, size=self.history_bytes, age=self.history_age)

    @property
    def rows(self) -> dict[str, int]:
        """How much is told row by row."""
        return {"statement_rows": self.statement_rows, "transaction_rows": self.transaction_rows}

    @classmethod
    def load(
        cls,
        arguments: Mapping[str, Any],
        config: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Settings:
        """The settings from their sources: an argument wins over ``REALTIME_*`` of ``config``, that over ``environ``.

        Raises BadSetting for a name that does not exist (not for the environment's, which others share) or a value
        that cannot be, and WeakSecret.
        """
        environ = os.environ if environ is None else environ
        sources: dict[str, tuple[str, Any]] = {}
        for name in cls.model_fields:
            if PREFIX + name.upper() in environ:
                sources[name] = (f"the environment variable {PREFIX}{name.upper()}", environ[PREFIX + name.upper()])
        for key, value in (config or {}).items():
            if key.startswith(PREFIX):
                sources[cls._known(key[len(PREFIX) :].lower(), "app.config", key)] = (f'app.config["{key}"]', value)
        for name, value in arguments.items():
            sources[cls._known(name, "Realtime()", name)] = (f"Realtime({name}=...)", value)
        settings = cls._build(sources)
        settings._check_secret()
        settings._check_origins()
        settings._check_proxies()
        settings._check_pusher()
        return settings

    @classmethod
    def _known(cls, name: str, source: str, spelled: str) -> str:
        if name in cls.model_fields:
            return name
        near = difflib.get_close_matches(name, cls.model_fields, n=1)
        remedy = f"Did you mean {near[0]!r}?" if near else "Known: " + ", ".join(cls.model_fields)
        raise BadSetting(name=spelled, source=source, reason="there is no such setting", remedy=remedy)

    @classmethod
    def _build(cls, sources: Mapping[str, tuple[str, Any]]) -> Settings:
        try:
            return cls(**{name: value for name, (_, value) in sources.items()})
        except ValidationError as error:
            # The value stays out of the message: it may be the secret.
            first = error.errors(include_url=False, include_input=False)[0]
            name = str(first["loc"][0])
            remedy = f"Its default is {cls.model_fields[name].default!r}."
            raise BadSetting(name=name, source=sources[name][0], reason=first["msg"], remedy=remedy) from None

    def _check_secret(self) -> None:
        if self.secret is not None and len(self.secret.encode()) < MIN_SECRET:
            raise WeakSecret(length=len(self.secret.encode()))
        # A key is at least as long as the hash (RFC 7518 3.2).
        least = int(self.algorithm.removeprefix("HS")) // 8
        if self.secret is not None and len(self.secret.encode()) < least:
            raise BadSetting(
                name="secret",
                source="settings",
                reason=f"{self.algorithm} needs at least {least} bytes, it has {len(self.secret.encode())}",
                remedy='python -c "import secrets; print(secrets.token_urlsafe(64))"',
            )

    def _check_origins(self) -> None:
        for origin in self.allowed_origins:
            if not _is_origin(origin):
                raise BadSetting(
                    name="allowed_origins",
                    source="settings",
                    reason=f"{origin!r} is not an origin",
                    remedy='Write scheme://host[:port] without a path, such as "https://app.example.com".',
                )

    def _check_pusher(self) -> None:
        for name in ("key", "id"):
            if len({getattr(app, name) for app in self.pusher}) < len(self.pusher):
                remedy = "Each application is found by either."
                raise BadSetting(name="pusher", source="settings", reason=f"two have the same {name}", remedy=remedy)

    def _check_proxies(self) -> None:
        for network in self.trusted_proxies:
            try:
                ip_network(network)
            except ValueError:
                raise BadSetting(
                    name="trusted_proxies",
                    source="settings",
                    reason=f"{network!r} is neither an address nor a network",
                    remedy='Write it as "10.0.0.7" or "10.0.0.0/8"; names are not looked up.',
                ) from None
