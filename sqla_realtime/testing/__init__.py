"""For your own tests: a Recorder of everything that is published, and a RealtimeClient that is told it, both in memory.

Neither opens a port or needs ``start()``, and both forget everything when they are closed. ``docs/testing.md`` shows them.
"""

from sqla_realtime.testing.client import RealtimeClient, Refusal
from sqla_realtime.testing.recorder import Recorder

__all__ = ["RealtimeClient", "Recorder", "Refusal"]
