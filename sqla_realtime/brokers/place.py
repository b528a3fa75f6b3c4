"""Which database a URL leads to, in words that are the same for all processes of one machine that use it."""

from __future__ import annotations

import os

from sqlalchemy import URL


def place_of(url: URL) -> str | None:
    """None where the URL does not say it: a database in memory, or one that the engine's own ``creator`` knows.

    Spelled differently it is another place: whoever shares too little is told so, who shares too much is not.
    """
    backend, database, query = url.get_backend_name(), url.database, dict(url.query)
    if backend == "sqlite":
        if not database or ":memory:" in database or query.get("mode") == "memory":
            return None
        return repr((backend, os.path.realpath(database)))
    if database is None and url.host is None and not query:
        return None
    return repr((backend, url.username, url.host, url.port, database, sorted(query.items())))
