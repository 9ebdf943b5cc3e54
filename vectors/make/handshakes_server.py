"""Requests, and what a server answers (RFC 6455 4.2, RFC 7692 5.1, 7.1)."""
import base64

from . import negotiation
from .case import OPEN, Peer
from .http import KEY, request
from .server import LAX, Server, accept
from .wire import SERVER, noise


def accepted(cases):
    section = "RFC 6455 4.2.1"
    cases.takes(
        "accept/sample",
        "RFC 6455 1.2",
        "the request of the RFC",
        request(Origin="http://example.com", Sec_WebSocket_Protocol="chat, superchat"),
        {"subprotocols": ["chat"]},
        subprotocol="chat",
    )
    for at in range(12):
        key = base64.b64encode(noise(f"key/{at}", 16)).decode()
        cases.takes(f"accept-key/{at}", "RFC 6455 4.2.2", "the answer to a key", request(Sec_WebSocket_Key=key), key=key)
    for word, key in (("zeros", "A" * 22 + "=="), ("ones", "/" * 21 + "w=="), ("plus", "+" * 21 + "g==")):
        cases.takes(f"accept-key/{word}", "RFC 6455 4.2.2", "the answer to a key", request(Sec_WebSocket_Key=key), key=key)
    values = {
        "upgrade-case": {"Upgrade": "WebSocket"},
        "upgrade-capitals": {"Upgrade": "WEBSOCKET"},
        "upgrade-list": {"Upgrade": "h2c, websocket"},
        "connection-case": {"Connection": "upgrade"},
        "connection-capitals": {"Connection": "UPGRADE"},
        "connection-list": {"Connection": "keep-alive, Upgrade"},
        "connection-list-first": {"Connection": "Upgrade, keep-alive"},
        "connection-tight": {"Connection": "keep-alive,Upgrade"},
        "connection-empty-members": {"Connection": ", ,Upgrade,,"},
        "host-port": {"Host": "server.example.com:8080"},
        "host-ipv6": {"Host": "[::1]:9001"},
        "host-ipv4": {"Host": "127.0.0.1"},
        "host-case": {"Host": "Server.Example.COM"},
        "origin": {"Origin": "http://example.com"},
        "origin-null": {"Origin": "null"},
        "version-spaces": {"Sec_WebSocket_Version": " 13 "},
        "key-spaces": {"Sec_WebSocket_Key": f"  {KEY}  "},
        "key-tab": {"Sec_WebSocket_Key": f"\t{KEY}\t"},
        "upgrade-spaces": {"Upgrade": "  websocket  "},
        "cookie": {"Cookie": "a=b; c=d"},
        "authorization": {"Authorization": "Basic dXNlcjpwYXNz"},
        "unknown": {"X_Unknown": "whatever"},
        "empty-unknown": {"X_Empty": ""},
        "long-unknown": {"X_Long": "x" * 2000},
        "user-agent": {"User_Agent": "Mozilla/5.0 (X11)"},
        "latin-1": {"X_Name": "gr\xfc\xdfe"},
        "content-length-0": {"Content_Length": "0"},
        "pragma": {"Pragma": "no-cache", "Cache_Control": "no-cache"},
    }
    for word, changed in values.items():
        cases.takes(f"accept-field/{word}", section, f"a field as it may be: {word}", request(**changed))
    lower = request().split("\r\n")
    for word, change in (("lower", str.lower), ("upper", str.upper)):
        lines = [
            lower[0],
            *(f"{change(line.split(': ', 1)[0])}: {line.split(': ', 1)[1]}" if line else line for line in lower[1:]),
        ]
        cases.takes(f"accept-names/{word}", section, "names of fields in any case of letters", "\r\n".join(lines))
    cases.takes("accept-names/reversed", section, "fields in any order", "\r\n".join([lower[0], *lower[-3:0:-1], "", ""]))
    cases.takes("accept-names/tight", section, "no space behind the colons", request().replace(": ", ":"))
    cases.takes(
        "accept-names/two-connections",
        section,
        "Connection in two fields",
        request(Connection=None, more=[("Connection", "keep-alive"), ("Connection", "Upgrade")]),
    )
    for word, target in (
        ("root", "/"),
        ("query", "/chat?room=7&x=%20"),
        ("percent", "/a%20b/%E4"),
        ("deep", "/a/b/c/../d"),
        ("empty-query", "/?"),
        ("colon", "/a:b@c"),
        ("absolute", "http://server.example.com/chat"),
        ("absolute-bare", "http://server.example.com"),
    ):
        cases.takes(f"accept-target/{word}", section, f"the target {target}", request(f"GET {target} HTTP/1.1"))
    cases.takes(
        "accept-more/many-fields",
        section,
        "fifty fields of no concern",
        request(more=[(f"X-{at}", "y") for at in range(50)]),
    )


def frames_behind(cases):
    section = "RFC 6455 4.1"
    for word, what in (
        ("text", lambda peer: peer.text("at once")),
        ("ping", lambda peer: peer.ping(b"p")),
        ("close", lambda peer: peer.close(1000)),
        ("two", lambda peer: peer.text("a", [0]).binary(b"b")),
    ):
        name = f"frames-behind/{word}"
        why = "a client must wait for the response before it sends any data"
        cases.takes(
            name,
            section,
            "frames right behind the request, which it is no must to take",
            request(),
            behind=what(Peer(name, SERVER)),
            also=[{"refuse": [400], "why": why}, {"accept": accept(), "events": [], "end": OPEN, "why": why}],
        )


def refused(cases):
    section = "RFC 6455 4.2.1"
    for method in ("POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "get", "GETS", "BREW"):
        cases.refuses(
            f"method/{method}", section, f"the method {method}", request(f"{method} /chat HTTP/1.1"), (405, 400, 501)
        )
    for version in ("HTTP/1.0", "HTTP/0.9"):
        cases.refuses(f"http-version/{version[5:]}", section, version, request(f"GET /chat {version}"), (505, 400, 426))
    for version in ("HTTP/2.0", "HTTP/1", "HTTP/1.10", "http/1.1", "HTTP/x.y", "HTTP 1.1", "FTP/1.1", ""):
        cases.refuses(
            f"http-version/{version.replace('/', '-').replace(' ', '_') or 'none'}",
            section,
            f"not a version of HTTP: {version!r}",
            request(f"GET /chat {version}".rstrip()),
            (400, 505),
        )
    missing = {
        "Host": (400,),
        "Upgrade": (426, 400),
        "Connection": (426, 400),
        "Sec_WebSocket_Key": (400,),
        "Sec_WebSocket_Version": (426, 400),
    }
    for name, statuses in missing.items():
        cases.refuses(f"missing/{name.lower()}", section, f"no {name.replace('_', '-')}", request(**{name: None}), statuses)
        cases.refuses(
            f"empty/{name.lower()}", section, f"an empty {name.replace('_', '-')}", request(**{name: ""}), statuses
        )
    for word, value in (
        ("other", "h2c"),
        ("longer", "websockets"),
        ("shorter", "websocke"),
        ("spaced", "web socket"),
        ("quoted", '"websocket"'),
    ):
        cases.refuses(f"upgrade/{word}", section, f"Upgrade: {value}", request(Upgrade=value), (426, 400))
    for word, value in (
        ("close", "close"),
        ("keep-alive", "keep-alive"),
        ("longer", "Upgrades"),
        ("joined", "keep-alive Upgrade"),
        ("semicolon", "keep-alive; Upgrade"),
    ):
        cases.refuses(f"connection/{word}", section, f"Connection: {value}", request(Connection=value), (426, 400))
    for value in ("12", "14", "8", "7", "0", "9", "25", "99", "100", "199", "255"):
        cases.refuses(
            f"version/{value}",
            "RFC 6455 4.4",
            f"Sec-WebSocket-Version: {value}, so the answer says which is spoken",
            request(Sec_WebSocket_Version=value),
            (426, 400),
            version="13",
        )
    for value in ("013", "13.0", "+13", "1 3", "thirteen", "-13", "0xd", "13, 8", "256", "1313"):
        cases.refuses(
            f"version-grammar/{value.replace(' ', '_').replace(',', '')}",
            "RFC 6455 4.3",
            f"Sec-WebSocket-Version: {value}",
            request(Sec_WebSocket_Version=value),
            (426, 400),
        )
    cases.refuses(
        "version/twice", "RFC 6455 11.3.5", "the version twice", request(more=[("Sec-WebSocket-Version", "13")]), (426, 400)
    )
    keys = {
        "short": KEY[:-1],
        "no-padding": KEY[:-2],
        "15-bytes": base64.b64encode(bytes(15)).decode(),
        "17-bytes": base64.b64encode(bytes(17)).decode(),
        "18-bytes": base64.b64encode(bytes(18)).decode(),
        "url-alphabet": "_" * 21 + "w==",
        "url-alphabet-minus": "-" * 21 + "w==",
        "space-inside": KEY[:5] + " " + KEY[6:],
        "stars": "*" * 22 + "==",
        "one-letter": "A",
        "padding-only": "==",
        "padding-first": "==" + KEY[:-2],
        "24-letters": "A" * 24,
        "three-padding": "A" * 21 + "===",
        "long": "A" * 1000,
    }
    for word, key in keys.items():
        cases.refuses(
            f"key/{word}", section, f"a key that is not 16 bytes in base64: {word}", request(Sec_WebSocket_Key=key)
        )
    cases.refuses(
        "key/stray-bits",
        "RFC 4648 3.5",
        "a last letter with bits that no encoder sets",
        request(Sec_WebSocket_Key=KEY[:-3] + "R=="),
        lax="a decoder may ignore them",
        key=KEY[:-3] + "R==",
    )
    cases.refuses("key/twice", "RFC 6455 11.3.1", "the key twice", request(more=[("Sec-WebSocket-Key", KEY)]))
    cases.refuses("host/twice", "RFC 9112 3.2", "Host twice", request(more=[("Host", "server.example.com")]))
    for word, host in (("list", "a, b"), ("path", "a/b"), ("space", "a b"), ("at", "user@a")):
        cases.refuses(
            f"host/{word}", "RFC 9112 3.2", f"Host: {host}", request(Host=host), lax="not every server looks at Host"
        )


def malformed(cases):
    section, good = "RFC 9112 2.2", request()
    lines = {
        "space-before-colon": good.replace("Upgrade:", "Upgrade :", 1),
        "space-before-field": good.replace("\r\nHost", "\r\n Host"),
        "no-colon": good.replace("Upgrade: websocket", "Upgrade websocket"),
        "no-name": good.replace("\r\nHost", "\r\n: x\r\nHost"),
        "nul": good.replace("\r\nHost", "\r\nX-Nul: a\0b\r\nHost"),
        "control": good.replace("\r\nHost", "\r\nX-Control: a\x01b\r\nHost"),
        "cr-inside": good.replace("\r\nHost", "\r\nX-Cr: a\rb\r\nHost"),
        "bad-name": good.replace("\r\nHost", "\r\nX(Y): a\r\nHost"),
        "space-in-name": good.replace("\r\nHost", "\r\nX Y: a\r\nHost"),
        "two-spaces": good.replace("GET /chat", "GET  /chat"),
        "space-in-target": good.replace("/chat", "/ch at"),
        "no-target": good.replace("GET /chat", "GET"),
        "only-method": good.replace("GET /chat HTTP/1.1", "GET"),
        "nothing-first": "\r\n\r\n" + good,
        "tls": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\0" * 30 + "\r\n\r\n",
        "binary-name": good.replace("Host", "H\xf6st"),
    }
    lax = {"control", "nothing-first", "two-spaces"}
    for word, text in lines.items():
        cases.refuses(
            f"malformed/{word}",
            section,
            f"a head that breaks HTTP's grammar: {word}",
            text,
            lax=LAX if word in lax else None,
        )
    cases.refuses("malformed/bare-lf", section, "lines that end with a line feed alone", good.replace("\r\n", "\n"), lax=LAX)
    cases.refuses(
        "malformed/one-bare-lf",
        section,
        "one line that ends with a line feed alone",
        good.replace("\r\nUpgrade", "\nUpgrade"),
        lax=LAX,
    )
    cases.refuses(
        "malformed/folded",
        "RFC 9112 5.2",
        "a field over two lines",
        good.replace("\r\nUpgrade", "\r\nX-Long: a\r\n b\r\nUpgrade"),
        lax=LAX,
    )
    for word, more in (
        ("length", [("Content-Length", "5")]),
        ("chunked", [("Transfer-Encoding", "chunked")]),
        ("two-lengths", [("Content-Length", "0"), ("Content-Length", "5")]),
        ("length-sign", [("Content-Length", "-1")]),
    ):
        cases.refuses(
            f"body/{word}",
            "RFC 9112 6",
            "a request with a body, or what may be one",
            request(more=more),
            lax="RFC 6455 says nothing of bodies; what is behind the head would be read in two ways",
        )


def origins(cases):
    allowed = {"origins": ["http://example.com", "https://app.example.com:8443"]}
    for word, origin in (("listed", "http://example.com"), ("listed-port", "https://app.example.com:8443")):
        cases.takes(
            f"origin/{word}", "RFC 6455 10.2", f"the origin {origin}, which is listed", request(Origin=origin), allowed
        )
    cases.takes(
        "origin/none",
        "RFC 6455 10.2",
        "no origin: not a browser",
        request(),
        allowed,
        also=[{"refuse": [403], "why": "a server may want one"}],
    )
    for word, origin in (
        ("other", "http://evil.example"),
        ("scheme", "https://example.com"),
        ("port", "http://example.com:81"),
        ("subdomain", "http://a.example.com"),
        ("prefix", "http://example.com.evil.example"),
        ("null", "null"),
        ("empty", ""),
        ("path", "http://example.com/"),
        ("suffix", "http://notexample.com"),
    ):
        cases.refuses(
            f"origin/{word}",
            "RFC 6455 10.2",
            f"the origin {origin!r}, which is not listed",
            request(Origin=origin),
            (403,),
            allowed,
        )
    cases.refuses(
        "origin/twice",
        "RFC 6454 7.3",
        "two origins",
        request(more=[("Origin", "http://example.com"), ("Origin", "http://evil.example")]),
        (403, 400),
        allowed,
    )


def make():
    cases = Server("handshakes-server")
    for section in (accepted, frames_behind, refused, malformed, origins, negotiation.subprotocols, negotiation.deflate):
        section(cases)
    return cases.cases
