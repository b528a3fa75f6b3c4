"""Whether this process's threads are greenlets: a loop that runs in one would be found running by all the others."""

from __future__ import annotations

import sys

# What patches threads, how it is asked, and by which name it calls them.
PATCHERS = (
    ("gevent", "gevent.monkey", "is_module_patched", "threading"),
    ("eventlet", "eventlet.patcher", "is_monkey_patched", "thread"),
)


def patched_by() -> str | None:
    """The library that has patched them, if any. Imports nothing."""
    for library, module, question, name in PATCHERS:
        ask = getattr(sys.modules.get(module), question, None)
        if ask is not None and ask(name):
            return library
    return None
