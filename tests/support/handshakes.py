"""Requests that want to be a WebSocket handshake and are not quite, as bytes, with the status that each must get."""

from __future__ import annotations

# In a cookie and in the query of most: nothing of it may come back, or into a log.
SECRET = "s3cret-of-a-client"  # noqa: S105
KEY = "dGhlIHNhbXBsZSBub25jZQ=="

_FIELDS = {
    "Host": "localhost:{port}",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "sqla-realtime.v1",
    "Cookie": f"session={SECRET}",
}


def request(*more: str, line: str = f"GET /realtime/ws?token={SECRET} HTTP/1.1", body: bytes = b"", **instead: str) -> bytes:
    """A good handshake but for what is said; names of fields are written with _ for -, an empty one is left out."""
    fields = _FIELDS | {name.replace("_", "-"): value for name, value in instead.items()}
    lines = [line, *(f"{name}: {value}" for name, value in fields.items() if value), *more]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def path(path: str) -> bytes:
    """A handshake with another target."""
    return request(line=f"GET {path}?token={SECRET} HTTP/1.1")


# The request, with {port} for the server's, and its status; 0 where the connection is ended without an answer.
MALFORMED: dict[str, tuple[bytes, int]] = {
    "no key": (request(Sec_WebSocket_Key=""), 400),
    "a short key": (request(Sec_WebSocket_Key="c2hvcnQ="), 400),
    "a key that is no base64": (request(Sec_WebSocket_Key="!" * 24), 400),
    "two keys": (request(f"Sec-WebSocket-Key: {KEY}"), 400),
    "no version": (request(Sec_WebSocket_Version=""), 426),
    "version 8": (request(Sec_WebSocket_Version="8"), 426),
    "two versions": (request("Sec-WebSocket-Version: 13"), 426),
    "POST": (request(line="POST /realtime/ws HTTP/1.1"), 400),
    "PUT": (request(line="PUT /realtime/ws HTTP/1.1"), 400),
    "another method": (request(line="FOO /realtime/ws HTTP/1.1"), 405),
    "CONNECT": (request(line="CONNECT /realtime/ws HTTP/1.1"), 405),
    "a method in lower case": (request(line="get /realtime/ws HTTP/1.1"), 405),
    "HTTP/1.0": (request(line="GET /realtime/ws HTTP/1.0"), 400),
    "HTTP/1.2": (request(line="GET /realtime/ws HTTP/1.2"), 400),
    "HTTP/9.9": (request(line="GET /realtime/ws HTTP/9.9"), 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /realtime/ws\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "no subprotocol": (request(Sec_WebSocket_Protocol=""), 400),
    "not an upgrade": (request(Connection="keep-alive"), 400),
    "no Connection": (request(Connection=""), 400),
    "an upgrade to something else": (request(Upgrade="h2c"), 426),
    "two upgrades": (request("Upgrade: websocket"), 426),
    "half an IPv6 origin": (request("Origin: http://[::1"), 403),
    "a foreign origin": (request("Origin: http://evil.example"), 403),
    "null": (request("Origin: null"), 403),
    "an empty origin": (request("Origin:"), 403),
    "two origins": (request("Origin: http://localhost", "Origin: http://localhost"), 403),
    "no host": (request(Host=""), 400),
    "two hosts": (request("Host: localhost"), 400),
    "a foreign host": (request(Host="evil.example"), 403),
    "a host with a user": (request(Host="u@localhost"), 400),
    "half an IPv6 host": (request(Host="[::1"), 403),
    "a host of two words": (request(Host="local host"), 400),
    "NUL in the path": (path("/realtime/ws\0"), 400),
    "an encoded NUL": (path("/realtime/ws%00"), 404),
    "an encoded NUL in a file": (path("/realtime/%00.js"), 404),
    "two dots": (path("/realtime/../realtime/ws"), 404),
    "encoded dots": (path("/realtime/%2e%2e/realtime/ws"), 404),
    "dots to a file": (path("/realtime/..%2f..%2f..%2fetc/passwd"), 404),
    "backslashes": (path("/realtime\\ws"), 404),
    "an absolute target": (path("http://evil.example/realtime/ws"), 404),
    "an absolute target of our own": (path("http://localhost:{port}/realtime/ws"), 404),
    "half an IPv6 target": (path("http://[::1/realtime/ws"), 404),
    "two slashes": (path("//realtime/ws"), 404),
    "an authority": (path("//[::1/realtime/ws"), 404),
    "no slash": (path("realtime/ws"), 404),
    "a star": (request(line="GET * HTTP/1.1"), 404),
    "a fragment": (path("/realtime/ws#x"), 404),
    "bytes in the path": (path("/realtime/ws\xff"), 404),
    "bytes that are no text, encoded": (path("/realtime/ws%ff%fe"), 404),
    "a space in the path": (path("/realtime/w s"), 400),
    "tabs": (request(line="GET\t/realtime/ws\tHTTP/1.1"), 400),
    "a long path": (request(line=f"GET /{SECRET * 1000} HTTP/1.1"), 0),
    "many headers": (request(*(f"X-{number}: {SECRET}" for number in range(200))), 431),
    "a flood of headers": (request(*(f"X-{number}: {SECRET}" for number in range(5000))), 0),
    "a flood of one header": (request(*["X: y"] * 5000), 0),
    "a long header": (request(f"X: {SECRET * 1000}"), 0),
    "a lone CR": (request(f"X: a\rCookie: {SECRET}"), 400),
    "a NUL in a header": (request(f"X: a\0{SECRET}"), 400),
    "a DEL in a header": (request(f"X: a\x7f{SECRET}"), 400),
    "a folded header": (request(f"X: a\r\n {SECRET}"), 400),
    "a space before the colon": (request(f"X : {SECRET}"), 400),
    "no colon": (request(f"Cookie {SECRET}"), 400),
    "a header without a name": (request(f": {SECRET}"), 400),
    "a name of bytes": (request(f"X\xe9: {SECRET}"), 400),
    "a body": (request("Content-Length: 5", body=b"12345"), 400),
    "a request in the body": (request("Content-Length: 26", body=b"GET /secret HTTP/1.1\r\n\r\n  "), 400),
    "an empty body in chunks": (request("Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "a length and chunks": (request("Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "two lengths": (request("Content-Length: 5", "Content-Length: 6", body=b"GET /"), 400),
    "chunks twice": (request("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "chunks of another kind": (request("Transfer-Encoding: xchunked"), 400),
    "no chunks": (request("Transfer-Encoding: identity"), 400),
    "a chunk without a size": (request("Transfer-Encoding: chunked", body=b"zz\r\n"), 400),
    "a chunk of less than nothing": (request("Transfer-Encoding: chunked", body=b"-1\r\n"), 400),
    **{f"length {text}": (request(f"Content-Length: {text}", body=b"GET /"), 400)
       for text in ("+5", "-1", "0x5", "1_0", "5 5", "", "99999999", "9" * 5000)},
    "a form": (request("Content-Type: multipart/form-data; boundary=", "Content-Length: 4", body=b"abcd"), 400),
    "zipped nonsense": (request("Content-Encoding: gzip", "Content-Length: 4", body=b"abcd"), 400),
}  # fmt: skip

# Offers of extensions, each declined and none a mistake.
OFFERS = (
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; server_max_window_bits=8",
    "permessage-deflate; server_max_window_bits=99",
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    "permessage-deflate, permessage-deflate; server_max_window_bits=x",
    "x-webkit-deflate-frame, bbf-usp-protocol",
    'permessage-deflate; server_max_window_bits="',
    "permessage-deflate*=x''y; a*0=b; a*1=c",
    "\xe9*=utf-8''%ff; x*=nonsense'%",
    "; ; ;",
    ",,,",
    "=" * 1000,
)
