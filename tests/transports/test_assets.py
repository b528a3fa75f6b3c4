"""The client's modules over HTTP: validators, cross-origin headers, HEAD, and nothing else of the file system."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

import pytest

from sqla_realtime.transports.assets import assets
from tests.support.scene import Scene, live
from tests.support.wire import Wire

PATH = "/realtime/realtime.js"


def test_the_modules_are_those_of_the_package() -> None:
    assets.cache_clear()
    folder = resources.files("sqla_realtime") / "client"
    assert {"realtime.js", "connection.js", "collection.js", "codes.js"} <= set(assets())
    for name, asset in assets().items():
        assert asset.body == (folder / name).read_bytes()
    assert len({asset.etag for asset in assets().values()}) == len(assets())


def test_a_module_is_readable_from_every_page(scene: Callable[..., Scene]) -> None:
    with Wire(scene(development=False).port) as wire:
        for name, asset in assets().items():
            # Foreign pages too: what is served is no secret, and a script element asks without CORS.
            answer = wire.get(f"/realtime/{name}", Origin="https://pages.example")
            assert (answer.status, answer.body) == (200, asset.body)
            headers = answer.headers
            assert headers["etag"] == asset.etag
            assert headers["content-type"] == "text/javascript; charset=utf-8"
            assert headers["access-control-allow-origin"] == "*"
            assert headers["cross-origin-resource-policy"] == "cross-origin"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-cache"
            assert "server" not in headers
            assert "set-cookie" not in headers


def test_what_has_not_changed_is_not_sent_again(scene: Callable[..., Scene]) -> None:
    etag = assets()["realtime.js"].etag
    with Wire(scene().port) as wire:
        for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            answer = wire.get(PATH, If_None_Match=known)
            assert (answer.status, answer.body) == (304, b"")
            assert answer.headers["etag"] == etag
            assert answer.headers["access-control-allow-origin"] == "*"
        for known in ('"other"', "nonsense", "", '"'):
            assert wire.get(PATH, If_None_Match=known).status == 200


def test_head_is_get_without_the_body(scene: Callable[..., Scene]) -> None:
    with Wire(scene().port) as wire:
        got, head = wire.get(PATH), wire.get(PATH, method="HEAD")
        assert head.status == 200
        assert {**head.headers, "date": ""} == {**got.headers, "date": ""}
        assert int(head.headers["content-length"]) == len(got.body)
        # The connection is still in step.
        assert wire.get(PATH).body == got.body


def test_a_query_changes_nothing(scene: Callable[..., Scene]) -> None:
    with Wire(scene().port) as wire:
        assert wire.get(PATH + "?v=1.2.3").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_there_is_nothing_to_write(scene: Callable[..., Scene], method: str) -> None:
    with Wire(scene().port) as wire:
        assert wire.get(PATH, method=method).status == 405


@live
async def test_there_is_no_way_out_of_the_folder(scene: Callable[..., Scene]) -> None:
    made = scene()
    paths = [
        "package.json", "", ".", "..", "../realtime.py", "../realtime.js", "..%2frealtime.js", "%2e%2e/settings.py",
        "....//realtime.js", "/realtime.js", "//realtime.js", "./realtime.js", "realtime.js/", "realtime.js/..",
        "realtime.js%00", "%00realtime.js", "realtime%00.js", "realtime.js%00.js", "realtime.js%0a", "REALTIME.JS",
        "%72ealtime.js", "realtime.js;x", "realtime.map", "none.js", "%ff.js", "%c3%28.js", "%", "%zz.js",
        "..\\\\realtime.js", "C:realtime.js", "realtime%2ejs", "x" * 8000 + ".js",
    ]  # fmt: skip
    async with made.canary():
        with Wire(made.port) as wire:
            for path in paths:
                for method in ("GET", "HEAD"):
                    answer = wire.get(f"/realtime/{path}", method=method)
                    assert answer.status in (400, 404), path
                    assert b"Traceback" not in answer.body
        for line in (b"GET /realtime/\0.js HTTP/1.1", b"GET /realtime/realtime.js\0 HTTP/1.1", b"GET \0 HTTP/1.1"):
            with Wire(made.port) as wire:
                wire.send(line + b"\r\nHost: localhost\r\n\r\n")
                assert wire.answer().status == 400


def test_a_base_is_taken_literally(scene: Callable[..., Scene]) -> None:
    with Wire(scene(base="/live.v1/x").port) as wire:
        assert wire.get("/live.v1/x/realtime.js").status == 200
        assert wire.get("/liveXv1/x/realtime.js").status == 404
        assert wire.get("/liveXv1/x/ws").status == 404
        assert wire.get(PATH).status == 404
