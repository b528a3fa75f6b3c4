"""nchan, the C publish-subscribe module of nginx: nchan.py CHANNELS FOLDER, where nchan.sh has unpacked it.

nginx is told by POST what to publish, so this process only hands requests on; it is not counted, and leaves the server's
core. A burst goes out in one write of so many requests on a connection that stays.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from pathlib import Path

from benchmarks.fanout.peers.control import announce, control, message

CONFIG = """
load_module {module};
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log crit;
events {{ worker_connections 30000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        tcp_nodelay on;
        location ~ ^/pub/(\\d+)$ {{ nchan_publisher; nchan_channel_id $1; nchan_store_messages off; }}
        location ~ ^/(\\d+)$ {{ nchan_subscriber websocket; nchan_channel_id $1; }}
    }}
}}
"""


async def started(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to nginx, once it listens."""
    for _ in range(500):
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
    raise SystemExit("nginx does not listen")


def children(pid: int) -> list[str]:
    """The processes that a process has started."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


async def main(channels: int, root: Path, folder: str) -> None:
    """Serve for ever."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    module = root / "usr/lib/nginx/modules/ngx_nchan_module.so"
    config = Path(folder) / "nginx.conf"
    config.write_text(CONFIG.format(module=module, folder=folder, port=port))
    nginx = await asyncio.create_subprocess_exec(root / "usr/sbin/nginx", "-p", folder, "-c", config)
    reader, writer = await started(port)
    published = 0

    async def publish(burst: int, stamp: int) -> None:
        nonlocal published
        text, parts = message(stamp).encode(), []
        for _ in range(burst):
            parts.append(b"POST /pub/%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (published % channels, len(text)))
            parts.append(text)
            published += 1
        writer.write(b"".join(parts))

    async def discard() -> None:
        while await reader.read(65536):
            pass
        os._exit(1)

    workers = children(nginx.pid)
    task = asyncio.create_task(discard())
    if hasattr(os, "sched_setaffinity"):
        taken = os.sched_getaffinity(0)
        os.sched_setaffinity(0, set(range(os.cpu_count() or 1)) - taken or taken)
    announce(port, await control(publish), *map(int, workers))
    await task


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        # Its worker is nobody, who must find the folder.
        Path(folder).chmod(0o755)
        asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), folder))
