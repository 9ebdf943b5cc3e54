"""Responses, and what a client makes of them (RFC 6455 4.1, RFC 7692 7.1)."""

from base64 import b64decode

from .case import CLOSED, OPEN, Cases, Peer
from .server import LAX, offer
from .http import KEY, accept_of, response
from .wire import CLIENT, deflated, head, parts_of

ASKED = {"subprotocols": [], "deflate": None}
FAILED = {"events": [], "end": {"fail": None}}


class Client(Cases):
    def opens(self, name, section, note, text, asked=None, subprotocol=None, deflate=False, also=(), behind=None):
        peer = behind or Peer(name, CLIENT).text("Hello")
        told = {
            "open": {"subprotocol": subprotocol, "deflate": deflate},
            "events": peer.events,
            "end": CLOSED if any("close" in event for event in peer.events) else OPEN,
        }
        self.add(
            name,
            section,
            note,
            told,
            also,
            client={**ASKED, **(asked or {}), "key": KEY},
            input=head(text) + parts_of(peer.input),
        )

    def fails(self, name, section, note, text, asked=None, lax=None):
        also = [{"open": {"subprotocol": None, "deflate": False}, "events": [], "end": OPEN, "why": lax}] if lax else ()
        self.add(name, section, note, FAILED, also, client={**ASKED, **(asked or {}), "key": KEY}, input=head(text))

    def rejected(self, name, section, note, text, status):
        self.add(
            name,
            section,
            note,
            {"reject": status},
            [{**FAILED, "why": "some only say that it is no 101"}],
            client={**ASKED, "key": KEY},
            input=head(text),
        )


def opened(cases):
    section = "RFC 6455 4.1"
    cases.opens(
        "open/sample",
        "RFC 6455 1.2",
        "the response of the RFC",
        response(Sec_WebSocket_Protocol="chat"),
        {"subprotocols": ["chat", "superchat"]},
        "chat",
    )
    values = {
        "upgrade-case": {"Upgrade": "WebSocket"},
        "upgrade-capitals": {"Upgrade": "WEBSOCKET"},
        "connection-case": {"Connection": "upgrade"},
        "connection-list": {"Connection": "keep-alive, Upgrade"},
        "connection-list-first": {"Connection": "Upgrade, keep-alive"},
        "accept-spaces": {"Sec_WebSocket_Accept": f"  {accept_of(KEY)}  "},
        "accept-tab": {"Sec_WebSocket_Accept": f"\t{accept_of(KEY)}"},
        "cookie": {"Set_Cookie": "a=b"},
        "server": {"Server": "x/1"},
        "date": {"Date": "Tue, 15 Nov 1994 08:12:31 GMT"},
        "empty": {"X_Empty": ""},
        "long": {"X_Long": "x" * 2000},
        "latin-1": {"X_Name": "gr\xfc\xdfe"},
    }
    for word, changed in values.items():
        cases.opens(f"open-field/{word}", section, f"a field as it may be: {word}", response(**changed))
    lines = response().split("\r\n")
    for word, change in (("lower", str.lower), ("upper", str.upper)):
        changed = [
            lines[0],
            *(f"{change(line.split(': ', 1)[0])}: {line.split(': ', 1)[1]}" if line else line for line in lines[1:]),
        ]
        cases.opens(f"open-names/{word}", section, "names of fields in any case of letters", "\r\n".join(changed))
    cases.opens("open-names/reversed", section, "fields in any order", "\r\n".join([lines[0], *lines[-3:0:-1], "", ""]))
    cases.opens("open-names/tight", section, "no space behind the colons", response().replace(": ", ":"))
    cases.opens(
        "open-names/two-connections",
        section,
        "Connection in two fields",
        response(Connection=None, more=[("Connection", "keep-alive"), ("Connection", "Upgrade")]),
    )
    for word, first in (
        ("no-reason", "HTTP/1.1 101 "),
        ("no-reason-no-space", "HTTP/1.1 101"),
        ("other-reason", "HTTP/1.1 101 Web Socket Protocol Handshake"),
        ("latin-1-reason", "HTTP/1.1 101 \xe4"),
    ):
        cases.opens(
            f"open-status/{word}",
            "RFC 9112 4",
            f"the first line {first!r}",
            response(first),
            also=[{**FAILED, "why": "RFC 9112 4 asks for the space"}] if word == "no-reason-no-space" else (),
        )
    for word, interim in (
        ("100", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("103", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        ("three", "HTTP/1.1 100 Continue\r\n\r\n" * 3),
    ):
        cases.opens(
            f"interim/{word}",
            "RFC 9110 15.2",
            "interim responses come first, and are passed over",
            interim + response(),
            also=[
                {**FAILED, "why": "few clients know them"},
                {"reject": int(interim[9:12]), "why": "few clients know them"},
            ],
        )
    for word, what in (
        ("ping", lambda peer: peer.ping(b"p")),
        ("close", lambda peer: peer.close(1001, "busy")),
        ("nothing", lambda peer: peer),
        ("many", lambda peer: peer.text("a", [0]).binary(b"b" * 300).pong()),
    ):
        name = f"frames-behind/{word}"
        cases.opens(name, "RFC 6455 4.2.2", "a server may send at once", response(), behind=what(Peer(name, CLIENT)))


def failed(cases):
    section = "RFC 6455 4.1"
    for name in ("Upgrade", "Connection", "Sec_WebSocket_Accept"):
        cases.fails(f"missing/{name.lower()}", section, f"no {name.replace('_', '-')}", response(**{name: None}))
        cases.fails(f"empty/{name.lower()}", section, f"an empty {name.replace('_', '-')}", response(**{name: ""}))
    for word, value in (
        ("other", "h2c"),
        ("longer", "websockets"),
        ("shorter", "websocke"),
        ("spaced", "web socket"),
        ("quoted", '"websocket"'),
    ):
        cases.fails(f"upgrade/{word}", section, f"Upgrade: {value}", response(Upgrade=value))
    cases.fails(
        "upgrade/list",
        section,
        "Upgrade is a list, which is no match for one value",
        response(Upgrade="websocket, h2c"),
        lax="HTTP has a list there",
    )
    for word, value in (
        ("close", "close"),
        ("keep-alive", "keep-alive"),
        ("longer", "Upgrades"),
        ("joined", "keep-alive Upgrade"),
    ):
        cases.fails(f"connection/{word}", section, f"Connection: {value}", response(Connection=value))
    good = accept_of(KEY)
    values = {
        "other-key": accept_of("AQIDBAUGBwgJCgsMDQ4PEA=="),
        "case": good.swapcase(),
        "first-letter": good[0].upper() + good[1:],
        "no-padding": good[:-1],
        "two-padding": good + "=",
        "cut": good[:10],
        "key": KEY,
        "of-decoded-key": accept_of(b64decode(KEY).decode()),
        "twice-in-one": f"{good}, {good}",
        "quoted": f'"{good}"',
        "hex": "b37a4f2cc0624f1690f64606cf385945b2bec4ea",
        "url-alphabet": good.replace("+", "-"),
        "space-inside": good[:5] + " " + good[5:],
    }
    for word, value in values.items():
        cases.fails(f"accept/{word}", section, f"not the answer to the key: {word}", response(Sec_WebSocket_Accept=value))
    cases.fails(
        "accept/twice",
        "RFC 6455 11.3.3",
        "the answer twice",
        response(more=[("Sec-WebSocket-Accept", good)]),
        lax="the must is the server's",
    )
    cases.fails(
        "accept/two-different",
        "RFC 6455 11.3.3",
        "two answers, the first wrong",
        response(Sec_WebSocket_Accept="x" * 27 + "=", more=[("Sec-WebSocket-Accept", good)]),
    )
    for first in (
        "HTTP/1.0 101 Switching Protocols",
        "HTTP/2 101 x",
        "HTTP/1 101 x",
        "http/1.1 101 x",
        "HTTP/1.1 1010 x",
        "HTTP/1.1 10 x",
        "HTTP/1.1 abc x",
        "HTTP/1.1  101 x",
        "ICY 101 OK",
        "101 Switching Protocols",
        "HTTP/1.1",
    ):
        cases.fails(
            f"status-line/{first.replace('/', '-').replace(' ', '_')}",
            "RFC 9112 4",
            f"no status line for a 101: {first!r}",
            response(first),
        )
    text = response()
    for word, broken in (
        ("space-before-colon", text.replace("Upgrade:", "Upgrade :", 1)),
        ("no-colon", text.replace("Upgrade: websocket", "Upgrade websocket")),
        ("no-name", text.replace("\r\nUpgrade", "\r\n: x\r\nUpgrade", 1)),
        ("nul", text.replace("\r\nUpgrade", "\r\nX: a\0b\r\nUpgrade", 1)),
        ("space-in-name", text.replace("\r\nUpgrade", "\r\nX Y: a\r\nUpgrade", 1)),
        ("smtp", "220 mail.example.com ESMTP\r\n\r\n"),
        ("html", "<html><body>It works!</body></html>\r\n\r\n"),
        ("frame", "\x81\x05Hello\r\n\r\n"),
    ):
        cases.fails(
            f"malformed/{word}",
            "RFC 9112 2",
            f"a head that breaks HTTP's grammar: {word}",
            broken,
            lax=LAX if word == "space-before-colon" else None,
        )
    cases.fails(
        "malformed/bare-lf", "RFC 9112 2.2", "lines that end with a line feed alone", text.replace("\r\n", "\n"), lax=LAX
    )
    cases.fails(
        "malformed/folded",
        "RFC 9112 5.2",
        "a field over two lines",
        text.replace("\r\nUpgrade", "\r\nX: a\r\n b\r\nUpgrade", 1),
        lax=LAX,
    )


def rejected(cases):
    for status in (200, 204, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 426, 429, 500, 502, 503):
        more = [("Location", "ws://other.example/")] if 300 < status < 400 else []
        more += [("Content-Length", "0")] if status != 204 else []
        text = response(f"HTTP/1.1 {status} x", more, Upgrade=None, Connection=None, Sec_WebSocket_Accept=None)
        cases.rejected(f"reject/{status}", "RFC 6455 4.1", f"the status {status} instead of 101", text, status)
    cases.rejected(
        "reject/looks-like-101",
        "RFC 6455 4.1",
        "all fields of a 101, and the status 200",
        response("HTTP/1.1 200 OK", [("Content-Length", "0")]),
        200,
    )
    cases.rejected(
        "reject/body",
        "RFC 6455 4.1",
        "a body",
        response(
            "HTTP/1.1 403 Forbidden", [("Content-Length", "5")], Upgrade=None, Connection=None, Sec_WebSocket_Accept=None
        )
        + "Sorry",
        403,
    )


def subprotocols(cases):
    section, asked = "RFC 6455 4.1", {"subprotocols": ["chat", "superchat"]}
    for name in ("chat", "superchat"):
        cases.opens(
            f"subprotocol/{name}",
            section,
            "one of those that were asked for",
            response(Sec_WebSocket_Protocol=name),
            asked,
            name,
        )
    cases.opens(
        "subprotocol/none",
        section,
        "none of those that were asked for",
        response(),
        asked,
        also=[{**FAILED, "why": "a client may insist on one, as browsers do"}],
    )
    for word, value in (
        ("other", "mqtt"),
        ("case", "Chat"),
        ("both", "chat, superchat"),
        ("longer", "chats"),
        ("empty", ""),
        ("quoted", '"chat"'),
    ):
        cases.fails(
            f"subprotocol-wrong/{word}",
            section,
            f"not what was asked for: {value!r}",
            response(Sec_WebSocket_Protocol=value),
            asked,
        )
    cases.fails(
        "subprotocol-wrong/unasked", section, "one although none was asked for", response(Sec_WebSocket_Protocol="chat")
    )
    cases.fails(
        "subprotocol-wrong/twice",
        "RFC 6455 11.3.4",
        "two fields",
        response(more=[("Sec-WebSocket-Protocol", "chat"), ("Sec-WebSocket-Protocol", "superchat")]),
        asked,
    )


def extensions(cases):
    section, name = "RFC 7692 7.1", "permessage-deflate"
    hello = lambda word: Peer(word, CLIENT).text("Hello", compressed=deflated(b"Hello"))
    agreed = {
        "plain": (offer(), name),
        "takeover": (offer(), f"{name}; server_no_context_takeover"),
        "client-takeover": (offer(), f"{name}; client_no_context_takeover"),
        "both": (offer(), f"{name}; client_no_context_takeover; server_no_context_takeover"),
        "unasked-server-bits": (offer(), f"{name}; server_max_window_bits=10"),
        "asked-takeover": (offer(False), f"{name}; server_no_context_takeover"),
        "client-takeover-left-out": (offer(True, False), name),
        "server-bits": (offer(server_bits=12), f"{name}; server_max_window_bits=12"),
        "server-bits-less": (offer(server_bits=12), f"{name}; server_max_window_bits=9"),
        "client-bits": (offer(client_bits=True), f"{name}; client_max_window_bits=12"),
        "client-bits-left-out": (offer(client_bits=True), name),
        "client-bits-number": (offer(client_bits=12), f"{name}; client_max_window_bits=12"),
        "client-bits-less": (offer(client_bits=12), f"{name}; client_max_window_bits=10"),
        "client-bits-number-left-out": (offer(client_bits=12), name),
        "client-bits-15": (offer(client_bits=True), f"{name}; client_max_window_bits=15"),
        "all": (
            offer(False, False, 10, 11),
            f"{name}; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=11",
        ),
        "quoted": (offer(server_bits=12), f'{name}; server_max_window_bits="12"'),
        "spaces": (offer(server_bits=12), f"{name} ; server_max_window_bits = 12"),
    }
    for word, (asked, answer) in agreed.items():
        cases.opens(
            f"deflate/{word}",
            section,
            f"agreed on: {answer}",
            response(Sec_WebSocket_Extensions=answer),
            {"deflate": asked},
            deflate=True,
            behind=hello(f"deflate/{word}"),
        )
    cases.opens(
        "deflate/declined", section, "declined, so messages are plain", response(), {"deflate": offer(client_bits=True)}
    )
    wrong = {
        "takeover-left-out": (offer(False), name),
        "server-bits-left-out": (offer(server_bits=12), name),
        "server-bits-more": (offer(server_bits=12), f"{name}; server_max_window_bits=13"),
        "client-bits-unasked": (offer(), f"{name}; client_max_window_bits=12"),
        "client-bits-more": (offer(client_bits=10), f"{name}; client_max_window_bits=11"),
        "client-bits-no-value": (offer(client_bits=True), f"{name}; client_max_window_bits"),
        "server-bits-7": (offer(), f"{name}; server_max_window_bits=7"),
        "server-bits-16": (offer(), f"{name}; server_max_window_bits=16"),
        "server-bits-none": (offer(), f"{name}; server_max_window_bits"),
        "server-bits-zero": (offer(), f"{name}; server_max_window_bits=09"),
        "client-bits-16": (offer(client_bits=True), f"{name}; client_max_window_bits=16"),
        "client-bits-7": (offer(client_bits=True), f"{name}; client_max_window_bits=7"),
        "takeover-value": (offer(), f"{name}; server_no_context_takeover=1"),
        "takeover-twice": (offer(), f"{name}; server_no_context_takeover; server_no_context_takeover"),
        "client-takeover-value": (offer(), f"{name}; client_no_context_takeover=0"),
        "bits-twice": (offer(), f"{name}; server_max_window_bits=10; server_max_window_bits=11"),
        "unknown": (offer(), f"{name}; nonsense"),
        "twice": (offer(), f"{name}, {name}"),
        "other": (offer(), "x-other"),
        "other-too": (offer(), f"{name}, x-other"),
        "unasked": (None, name),
        "other-unasked": (None, "x-other"),
        "grammar": (offer(), f"{name};"),
        "grammar-space": (offer(), f"{name} nonsense"),
        "empty": (offer(), ""),
        "comma": (offer(), ","),
        "case": (offer(), f"{name}; Server_No_Context_Takeover"),
    }
    for word, (asked, answer) in wrong.items():
        section = (
            "RFC 6455 9.1"
            if "other" in word or "grammar" in word or word in ("unasked", "empty", "comma")
            else "RFC 7692 7.1"
        )
        cases.fails(
            f"deflate-wrong/{word}",
            section,
            f"not what was offered: {answer}",
            response(Sec_WebSocket_Extensions=answer),
            {"deflate": asked},
        )


def make():
    cases = Client("handshakes-client")
    for section in (opened, failed, rejected, subprotocols, extensions):
        section(cases)
    return cases.cases
