"""Every exception of the package: what happened, why, and the next keystroke, under a code that does not change.

::

    RealtimeError
    ├── DeclarationError        raised by publish(), channel(), enable(), watch(): the mistake is in the application's code
    │   ├── NotMapped               not-mapped
    │   ├── SchemaMissing           no-schema
    │   ├── SchemaMismatch          schema-mismatch
    │   ├── SchemaUnsendable        schema-unsendable
    │   ├── SecretColumn            secret-column
    │   ├── BadPattern              bad-pattern
    │   ├── UnknownPlaceholder      unknown-placeholder
    │   ├── BadParameterType        bad-parameter-type
    │   ├── BadWhere                bad-where
    │   ├── BadRoute                bad-route
    │   ├── OverlappingPatterns     overlapping-patterns
    │   ├── PublishedTwice          published-twice
    │   ├── BadRule                 bad-rule
    │   ├── RuleTwice               rule-twice
    │   ├── BadPresence             bad-presence
    │   ├── BadEvent                bad-event
    │   ├── NotEnableable           not-enableable
    │   └── NotWatchable            not-watchable
    ├── ConfigurationError      raised by Settings, start(), init_app(): the mistake is in the configuration
    │   ├── BadSetting              bad-setting
    │   ├── WeakSecret              weak-secret
    │   ├── PortInUse               port-in-use
    │   │   └── PortOfSibling           port-of-sibling
    │   ├── GreenThreads            green-threads
    │   ├── NotEnabled              not-enabled
    │   ├── AlreadyInitialised      already-initialised
    │   ├── NoRealtime              no-realtime, raised by the fixtures of the pytest plugin
    │   ├── PusherMissing           pusher-missing
    │   ├── LogMissing              log-missing
    │   ├── LogTooNew               log-too-new
    │   ├── LogForbidden            log-forbidden
    │   └── LogUnsuitable           log-unsuitable
    ├── PositionGone            position-gone, raised by Follower.follow(): the log no longer reaches back that far
    ├── LogUnwritable           log-unwritable, raised by the COMMIT of a transaction that can't be told
    └── LogUnreachable          log-unreachable, raised by start() where the log's database does not answer
"""

from __future__ import annotations

from sqla_realtime.errors.base import (
    RealtimeError,
)
from sqla_realtime.errors.configuration import (
    AlreadyInitialised,
    BadSetting,
    ConfigurationError,
    GreenThreads,
    NoRealtime,
    NotEnabled,
    PortInUse,
    PortOfSibling,
    PusherMissing,
    WeakSecret,
)
from sqla_realtime.errors.declaration import (
    BadEvent,
    BadParameterType,
    BadPattern,
    BadPresence,
    BadRoute,
    BadRule,
    BadWhere,
    DeclarationError,
    NotEnableable,
    NotMapped,
    NotWatchable,
    OverlappingPatterns,
    PublishedTwice,
    RuleTwice,
    SchemaMismatch,
    SchemaMissing,
    SchemaUnsendable,
    SecretColumn,
    UnknownPlaceholder,
)
from sqla_realtime.errors.log import (
    LogForbidden,
    LogMissing,
    LogTooNew,
    LogUnreachable,
    LogUnsuitable,
    LogUnwritable,
    PositionGone,
)

__all__ = [
    "AlreadyInitialised",
    "BadEvent",
    "BadParameterType",
    "BadPattern",
    "BadPresence",
    "BadRoute",
    "BadRule",
    "BadSetting",
    "BadWhere",
    "ConfigurationError",
    "DeclarationError",
    "GreenThreads",
    "LogForbidden",
    "LogMissing",
    "LogTooNew",
    "LogUnreachable",
    "LogUnsuitable",
    "LogUnwritable",
    "NoRealtime",
    "NotEnableable",
    "NotEnabled",
    "NotMapped",
    "NotWatchable",
    "OverlappingPatterns",
    "PortInUse",
    "PortOfSibling",
    "PositionGone",
    "PublishedTwice",
    "PusherMissing",
    "RealtimeError",
    "RuleTwice",
    "SchemaMismatch",
    "SchemaMissing",
    "SchemaUnsendable",
    "SecretColumn",
    "UnknownPlaceholder",
    "WeakSecret",
]
