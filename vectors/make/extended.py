"""Header lists of an extended CONNECT over HTTP/2 and HTTP/3 (RFC 8441, RFC 9220): those of requests and of responses."""

from .case import Cases

REQUEST = {
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":scheme": "https",
    ":authority": "server.example.com",
    ":path": "/chat",
    "sec-websocket-version": "13",
    "origin": "https://server.example.com",
}


def changed(fields, changes, more=()):
    fields = {**fields, **changes}
    return [[name, value] for name, value in fields.items() if value is not None] + [list(field) for field in more]


def requests(cases):
    def add(name, section, note, expect, changes=(), more=(), also=()):
        cases.add(
            f"request/{name}", section, note, expect, also, headers=changed(REQUEST, dict(changes), more), role="server"
        )

    taken = {
        "sample": {"sec-websocket-protocol": "chat, superchat"},
        "plain": {},
        "http": {":scheme": "http", "origin": None},
        "no-origin": {"origin": None},
        "root": {":path": "/"},
        "query": {":path": "/chat?a=b"},
        "port": {":authority": "server.example.com:8443", "origin": None},
        "ipv6": {":authority": "[::1]:8443", "origin": None},
        "extensions": {"sec-websocket-extensions": "permessage-deflate; client_max_window_bits"},
        "unknown": {"x-unknown": "a"},
        "cookie": {"cookie": "a=b"},
        "content-length-0": {"content-length": "0"},
        "user-agent": {"user-agent": "x"},
        "key-ignored": {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="},
    }
    for word, changes in taken.items():
        add(word, "RFC 8441 5", f"a request as it may be: {word}", {"taken": True}, changes)
    refused = {
        "method-get": ("RFC 8441 4", {":method": "GET"}, [405, 400]),
        "method-post": ("RFC 8441 4", {":method": "POST"}, [405, 400]),
        "no-method": ("RFC 9113 8.3.1", {":method": None}, [400]),
        "no-protocol": ("RFC 8441 4", {":protocol": None}, [426, 400, 501]),
        "protocol-other": ("RFC 9220 3", {":protocol": "connect-udp"}, [426, 400, 501]),
        "no-scheme": ("RFC 8441 4", {":scheme": None}, [400]),
        "no-path": ("RFC 8441 4", {":path": None}, [400]),
        "empty-path": ("RFC 9113 8.3.1", {":path": ""}, [400]),
        "no-authority": ("RFC 8441 4", {":authority": None}, [400]),
        "user-info": ("RFC 9113 8.3.1", {":authority": "a@b"}, [400]),
        "no-version": ("RFC 8441 5", {"sec-websocket-version": None}, [426, 400]),
        "version-8": ("RFC 8441 5", {"sec-websocket-version": "8"}, [426, 400]),
        "version-013": ("RFC 8441 5", {"sec-websocket-version": "013"}, [426, 400]),
        "subprotocol": ("RFC 6455 4.3", {"sec-websocket-protocol": "a b"}, [400]),
        "extensions": ("RFC 6455 9.1", {"sec-websocket-extensions": "a;"}, [400]),
        "body": ("RFC 9110 8.6", {"content-length": "5"}, [400]),
        "origin": ("RFC 6455 10.2", {"origin": "https://evil.example"}, [403]),
        "connection": ("RFC 9113 8.2.2", {"connection": "upgrade"}, [400]),
        "upgrade": ("RFC 9113 8.2.2", {"upgrade": "websocket"}, [400]),
        "transfer-encoding": ("RFC 9113 8.2.2", {"transfer-encoding": "chunked"}, [400]),
        "status": ("RFC 9113 8.3", {":status": "200"}, [400]),
        "unknown-pseudo": ("RFC 9113 8.3", {":unknown": "a"}, [400]),
    }
    for word, (section, changes, statuses) in refused.items():
        add(f"refused-{word}", section, f"a request to be refused: {word}", {"refuse": statuses}, changes)
    for name in (":path", ":method", ":protocol", ":scheme", ":authority"):
        add(f"refused-twice-{name[1:]}", "RFC 9113 8.3", f"{name} twice", {"refuse": [400]}, more=[(name, REQUEST[name])])


def responses(cases):
    def add(name, section, note, expect, fields, asked=()):
        cases.add(
            f"response/{name}",
            section,
            note,
            expect,
            headers=[list(field) for field in fields],
            role="client",
            client={"subprotocols": ["chat"], "deflate": None, **dict(asked)},
        )

    for status in ("200", "204", "299"):
        add(f"status-{status}", "RFC 8441 5", f":status {status}", {"taken": True}, [(":status", status)])
    for status in ("100", "101", "199", "300", "302", "400", "403", "500", "20", "2000", "", "abc"):
        add(f"status-{status or 'empty'}", "RFC 8441 5", f":status {status!r}", {"taken": False}, [(":status", status)])
    add("none", "RFC 9113 8.3.2", "no status", {"taken": False}, [])
    add("twice", "RFC 9113 8.3.2", "the status twice", {"taken": False}, [(":status", "200"), (":status", "200")])
    add(
        "request",
        "RFC 9113 8.3.2",
        "a pseudo-header field of requests",
        {"taken": False},
        [(":status", "200"), (":path", "/")],
    )
    add(
        "subprotocol",
        "RFC 8441 5",
        "one that was asked for",
        {"taken": True},
        [(":status", "200"), ("sec-websocket-protocol", "chat")],
    )
    add(
        "subprotocol-other",
        "RFC 6455 4.1",
        "one that was not",
        {"taken": False},
        [(":status", "200"), ("sec-websocket-protocol", "mqtt")],
    )
    add(
        "extension-other",
        "RFC 6455 4.1",
        "an extension that was not offered",
        {"taken": False},
        [(":status", "200"), ("sec-websocket-extensions", "mux")],
    )
    add("server", "RFC 8441 5", "a field of no concern", {"taken": True}, [(":status", "200"), ("server", "x")])


def make():
    cases = Cases("handshakes-extended")
    requests(cases)
    responses(cases)
    return cases.cases
