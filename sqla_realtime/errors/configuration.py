"""What Settings, start() and init_app() raise: the mistake is in the configuration."""

from __future__ import annotations

from sqla_realtime.errors.base import RealtimeError


class ConfigurationError(RealtimeError):
    """A setting, or the moment of a call, that cannot work."""


class BadSetting(ConfigurationError):
    """A setting with a value it can't have, or one that does not exist."""

    code = "bad-setting"
    message = "Setting {name} from {source}: {reason}."
    fix = "{remedy}"


class WeakSecret(ConfigurationError):
    """A signing secret that can be guessed."""

    code = "weak-secret"
    message = "The realtime secret has {length} bytes; tokens signed with it could be forged."
    fix = 'Use at least 32 random bytes: python -c "import secrets; print(secrets.token_urlsafe(32))"'


class PortInUse(ConfigurationError):
    """The server's port is taken."""

    code = "port-in-use"
    message = (
        "Realtime could not listen on {host}:{port}: the port is in use, usually by a second worker or another app. "
        "Changes committed in this process may reach nobody."
    )
    fix = (
        "Run one worker (gunicorn -w 1) or let all share a log (REALTIME_BROKER=database), stop the other process, or set "
        "REALTIME_PORT to a free port."
    )


class PortOfSibling(PortInUse):
    """The port is taken, as far as anybody can tell by a process that broadcasts for all that share its log."""

    code = "port-of-sibling"
    message = "Another process listens on {host}:{port}, and this system does not let them share the port."
    fix = "If it has the same database, there is nothing to do: start() again when it has ended."


class GreenThreads(ConfigurationError):
    """start() in a process whose threads are greenlets."""

    code = "green-threads"
    message = (
        "{library} has patched the threads of this process, so no broadcaster can run in it. What it commits reaches "
        'browsers through the log, with broker="database".'
    )
    fix = "Run one beside it: sqla-realtime serve --app yourapp:realtime"


class NotEnabled(ConfigurationError):
    """start() before any enable(): nothing would ever be captured."""

    code = "not-enabled"
    message = "Realtime has no Session to listen to, so no commit would ever reach a browser."
    fix = "Call realtime.enable(Session), or realtime.init_app(app, db), before start()."


class AlreadyInitialised(ConfigurationError):
    """init_app() for an application that has a Realtime."""

    code = "already-initialised"
    message = "The Flask application {app!r} already has a Realtime."
    fix = 'Use that one: app.extensions["realtime"].'


class NoRealtime(ConfigurationError):
    """A test uses a fixture of the pytest plugin, which does not know the application's Realtime."""

    code = "no-realtime"
    message = "The fixtures of sqla_realtime need your Realtime, but the fixture `realtime` {reason}."
    fix = (
        "Write into conftest.py:\n\n@pytest.fixture\ndef realtime():\n    from yourapp import realtime\n\n    return realtime\n"
    )


class PusherMissing(ConfigurationError):
    """The relay is to run where Pusher's library is not installed."""

    code = "pusher-missing"
    message = "The relay sends with the library `pusher`, which can't be imported: {reason}."
    fix = 'pip install "sqla-realtime[relay]"'
