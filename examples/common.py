"""What the examples share: this machine alone, a folder for each, a secret that is kept, and ports that stay the same."""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path

HOST = "127.0.0.1"


def demo_folder(demo: str) -> Path:
    """Where an example keeps what it keeps; a folder per port, so that two that run beside each other do not meet."""
    port = os.environ.get("PORT", "5000")
    folder = Path(os.environ.get("DEMO_FOLDER") or Path(__file__).parent / demo / "instance" / port).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def secret_in(folder: Path, name: str = "secret") -> str:
    """The secret that signs session cookies, or another one: made once and kept, so that a restart signs nobody out."""
    file = folder / name
    if not file.exists():
        draft = file.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(32))
        draft.replace(file)
    return file.read_text()


def realtime_port(port: int) -> int:
    """REALTIME_PORT if it is set; else one that follows from the page's, so that open windows find it after a restart;
    else, where that one is taken, any that is free."""
    if "REALTIME_PORT" in os.environ:
        return int(os.environ["REALTIME_PORT"])
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind((HOST, port + 3765 if port + 3765 < 2**16 else port - 3765))
        if probe.getsockname()[1] == 0:
            probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
