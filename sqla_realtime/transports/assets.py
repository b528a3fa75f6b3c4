"""Serves the JavaScript client: a fixed set of modules read once from the package, with an ETag, to pages of any origin."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from tornado.web import HTTPError

from sqla_realtime.transports.quiet import QuietHandler


@dataclass(frozen=True, slots=True)
class Asset:
    """One module of the client and the strong validator of its bytes (RFC 9110 8.8.3)."""

    body: bytes
    etag: str


@cache
def assets() -> dict[str, Asset]:
    """The client's modules by file name."""
    folder = resources.files("sqla_realtime") / "client"
    found = {}
    for file in folder.iterdir():
        if file.name.endswith(".js"):
            body = file.read_bytes()
            found[file.name] = Asset(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
    return found


class AssetHandler(QuietHandler):
    """A look-up in a dictionary: there is no path to escape from."""

    def get(self, name: str) -> None:
        asset = assets().get(name)
        if asset is None:
            raise HTTPError(404)
        self.set_header("Content-Type", "text/javascript; charset=utf-8")
        self.set_header("Access-Control-Allow-Origin", "*")
        self.set_header("Cross-Origin-Resource-Policy", "cross-origin")
        self.set_header("Cache-Control", "no-cache")
        self.set_header("ETag", asset.etag)
        if self.check_etag_header():
            self.set_status(304)
        else:
            self.write(asset.body)

    head = get

    def compute_etag(self) -> None:
        """The ETag is the asset's own."""
