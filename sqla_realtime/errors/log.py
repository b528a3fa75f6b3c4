"""What the log of commits raises."""

from __future__ import annotations

from sqla_realtime.errors.base import RealtimeError
from sqla_realtime.errors.configuration import ConfigurationError


class PositionGone(RealtimeError):
    """The log no longer holds everything after the position; the reader must start from a snapshot."""

    code = "position-gone"
    message = "The log does not reach back to {position}."


class LogMissing(ConfigurationError):
    """The tables of the log are not in the database."""

    code = "log-missing"
    message = "The database has no log to write commits to: {reason}."
    fix = "Create its tables once: sqla-realtime migrate --app yourapp:realtime, or realtime.metadata.create_all(engine)."


class LogTooNew(ConfigurationError):
    """The log was made by a later version of this package."""

    code = "log-too-new"
    message = "The log has version {found}; this version of sqla_realtime knows {known}."
    fix = "Update sqla_realtime here as well: every process that shares a log has to know it."


class LogForbidden(ConfigurationError):
    """The log may not be read or written by whoever the connection belongs to, or through this connection."""

    code = "log-forbidden"
    message = "The database does not let this process keep its log: {reason}."
    fix = "{remedy}"


class LogUnsuitable(ConfigurationError):
    """A database that can't keep a log that processes share."""

    code = "log-unsuitable"
    message = 'broker="database": {reason}.'
    fix = "{remedy}"


class LogUnwritable(RealtimeError):
    """A commit could not be written to the log, so its transaction fails: readers would never hear of it."""

    code = "log-unwritable"
    message = "The transaction can't commit, because it could not be written to the log: {reason}."
    fix = "{remedy}"


class LogUnreachable(RealtimeError):
    """The database that has the log does not answer."""

    code = "log-unreachable"
    message = "The log has not answered for {patience} s."
    fix = "Look whether the database runs; the log is followed again as soon as it does."
