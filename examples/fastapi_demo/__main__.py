"""python -m examples.fastapi_demo: serves the demo on 127.0.0.1; the first line of output is its URL.

PORT moves it. WORKERS says how many processes answer; one of them broadcasts for all.
"""

from __future__ import annotations

import asyncio
import os

import uvicorn
from sqlalchemy import MetaData

from examples.common import HOST, realtime_port
from examples.fastapi_demo.models import Base, engine


async def prepare(*tables: MetaData) -> None:
    """Make the tables, before there are workers who would all do it."""
    async with engine.begin() as connection:
        # Readers and a writer then work at the same time; the file remembers it.
        await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        for each in tables:
            await connection.run_sync(each.create_all)
    await engine.dispose()


def main() -> None:
    """Serve until Ctrl+C or SIGTERM."""
    port = int(os.environ.get("PORT", "5000"))
    os.environ["REALTIME_PORT"] = str(realtime_port(port))
    from examples.fastapi_demo.live import realtime  # which reads that

    asyncio.run(prepare(Base.metadata, realtime.metadata))
    print(f"http://{HOST}:{port}", flush=True)
    print("Open it in two windows. Ctrl+C stops it.", flush=True)
    workers = int(os.environ.get("WORKERS", "2"))
    uvicorn.run("examples.fastapi_demo.app:app", host=HOST, port=port, workers=workers)


if __name__ == "__main__":
    main()
