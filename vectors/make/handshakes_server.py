"""Requests, and what a server answers (RFC 6455 4.2, RFC 7692 5.1, 7.1)."""
import base64

from .case import CLOSED, OPEN, Cases, Peer
from .http import KEY, accept_of, request
from .wire import SERVER, head, noise, parts_of

ANY = {"subprotocols": [], "deflate": False, "origins": None}
LAX = "HTTP lets a recipient take it"


def accept(key=KEY, subprotocol=None, deflate=()):
    """A response that accepts: its key, the subprotocols of which it names one, and the offers of which it takes one or none."""
    named = subprotocol if isinstance(subprotocol, list) else [subprotocol]
    return {"key": accept_of(key), "subprotocol": named, "deflate": list(deflate)}


class Server(Cases):
    def takes(self, name, section, note, text, settings=None, key=KEY, subprotocol=None, deflate=(), also=(), behind=None):
        peer = behind or Peer(name, SERVER)
        told = {"accept": accept(key, subprotocol, deflate), "events": peer.events,
                "end": CLOSED if any("close" in event for event in peer.events) else OPEN}
        self.add(name, section, note, told, also, server={**ANY, **(settings or {})},
                 input=head(text) + (parts_of(peer.input) if peer.input else []))

    def refuses(self, name, section, note, text, statuses=(400,), settings=None, lax=None, key=KEY, version=None):
        """Any of the statuses, with the `version` that is spoken if it is about that; `lax` is why it may be taken instead."""
        also = [{"accept": accept(key), "events": [], "end": OPEN, "why": lax}]
        told = {"refuse": list(statuses), **({"version": version} if version else {})}
        self.add(name, section, note, told, also if lax else (), server={**ANY, **(settings or {})},
                 input=head(text))


def accepted(cases):
    section = "RFC 6455 4.2.1"
    cases.takes("accept/sample", "RFC 6455 1.2", "the request of the RFC", request(
        Origin="http://example.com", Sec_WebSocket_Protocol="chat, superchat"), {"subprotocols": ["chat"]}, subprotocol="chat")
    for at in range(12):
        key = base64.b64encode(noise(f"key/{at}", 16)).decode()
        cases.takes(f"accept-key/{at}", "RFC 6455 4.2.2", "the answer to a key", request(Sec_WebSocket_Key=key), key=key)
    for word, key in (("zeros", "A" * 22 + "=="), ("ones", "/" * 21 + "w=="), ("plus", "+" * 21 + "g==")):
        cases.takes(f"accept-key/{word}", "RFC 6455 4.2.2", "the answer to a key", request(Sec_WebSocket_Key=key), key=key)
    values = {
        "upgrade-case": {"Upgrade": "WebSocket"}, "upgrade-capitals": {"Upgrade": "WEBSOCKET"}, "upgrade-list": {"Upgrade": "h2c, websocket"},
        "connection-case": {"Connection": "upgrade"}, "connection-capitals": {"Connection": "UPGRADE"},
        "connection-list": {"Connection": "keep-alive, Upgrade"}, "connection-list-first": {"Connection": "Upgrade, keep-alive"},
        "connection-tight": {"Connection": "keep-alive,Upgrade"}, "connection-empty-members": {"Connection": ", ,Upgrade,,"},
        "host-port": {"Host": "server.example.com:8080"}, "host-ipv6": {"Host": "[::1]:9001"}, "host-ipv4": {"Host": "127.0.0.1"},
        "host-case": {"Host": "Server.Example.COM"}, "origin": {"Origin": "http://example.com"}, "origin-null": {"Origin": "null"},
        "version-spaces": {"Sec_WebSocket_Version": " 13 "}, "key-spaces": {"Sec_WebSocket_Key": f"  {KEY}  "},
        "key-tab": {"Sec_WebSocket_Key": f"\t{KEY}\t"}, "upgrade-spaces": {"Upgrade": "  websocket  "},
        "cookie": {"Cookie": "a=b; c=d"}, "authorization": {"Authorization": "Basic dXNlcjpwYXNz"}, "unknown": {"X_Unknown": "whatever"},
        "empty-unknown": {"X_Empty": ""}, "long-unknown": {"X_Long": "x" * 2000}, "user-agent": {"User_Agent": "Mozilla/5.0 (X11)"},
        "latin-1": {"X_Name": "gr\xfc\xdfe"}, "content-length-0": {"Content_Length": "0"}, "pragma": {"Pragma": "no-cache", "Cache_Control": "no-cache"},
    }
    for word, changed in values.items():
        cases.takes(f"accept-field/{word}", section, f"a field as it may be: {word}", request(**changed))
    lower = request().split("\r\n")
    for word, change in (("lower", str.lower), ("upper", str.upper)):
        lines = [lower[0], *(f"{change(line.split(': ', 1)[0])}: {line.split(': ', 1)[1]}" if line else line for line in lower[1:])]
        cases.takes(f"accept-names/{word}", section, "names of fields in any case of letters", "\r\n".join(lines))
    cases.takes("accept-names/reversed", section, "fields in any order", "\r\n".join([lower[0], *lower[-3:0:-1], "", ""]))
    cases.takes("accept-names/tight", section, "no space behind the colons", request().replace(": ", ":"))
    cases.takes("accept-names/two-connections", section, "Connection in two fields", request(
        Connection=None, more=[("Connection", "keep-alive"), ("Connection", "Upgrade")]))
    for word, target in (("root", "/"), ("query", "/chat?room=7&x=%20"), ("percent", "/a%20b/%E4"), ("deep", "/a/b/c/../d"), ("empty-query", "/?"),
                         ("colon", "/a:b@c"), ("absolute", "http://server.example.com/chat"), ("absolute-bare", "http://server.example.com")):
        cases.takes(f"accept-target/{word}", section, f"the target {target}", request(f"GET {target} HTTP/1.1"))
    cases.takes("accept-more/many-fields", section, "fifty fields of no concern", request(more=[(f"X-{at}", "y") for at in range(50)]))


def frames_behind(cases):
    section = "RFC 6455 4.1"
    for word, what in (("text", lambda peer: peer.text("at once")), ("ping", lambda peer: peer.ping(b"p")),
                       ("close", lambda peer: peer.close(1000)), ("two", lambda peer: peer.text("a", [0]).binary(b"b"))):
        name = f"frames-behind/{word}"
        why = "a client must wait for the response before it sends any data"
        cases.takes(name, section, "frames right behind the request, which it is no must to take", request(),
                    behind=what(Peer(name, SERVER)), also=[{"refuse": [400], "why": why},
                                                           {"accept": accept(), "events": [], "end": OPEN, "why": why}])


def refused(cases):
    section = "RFC 6455 4.2.1"
    for method in ("POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "get", "GETS", "BREW"):
        cases.refuses(f"method/{method}", section, f"the method {method}", request(f"{method} /chat HTTP/1.1"), (405, 400, 501))
    for version in ("HTTP/1.0", "HTTP/0.9"):
        cases.refuses(f"http-version/{version[5:]}", section, version, request(f"GET /chat {version}"), (505, 400, 426))
    for version in ("HTTP/2.0", "HTTP/1", "HTTP/1.10", "http/1.1", "HTTP/x.y", "HTTP 1.1", "FTP/1.1", ""):
        cases.refuses(f"http-version/{version.replace('/', '-').replace(' ', '_') or 'none'}", section, f"not a version of HTTP: {version!r}",
                      request(f"GET /chat {version}".rstrip()), (400, 505))
    missing = {"Host": (400,), "Upgrade": (426, 400), "Connection": (426, 400), "Sec_WebSocket_Key": (400,), "Sec_WebSocket_Version": (426, 400)}
    for name, statuses in missing.items():
        cases.refuses(f"missing/{name.lower()}", section, f"no {name.replace('_', '-')}", request(**{name: None}), statuses)
        cases.refuses(f"empty/{name.lower()}", section, f"an empty {name.replace('_', '-')}", request(**{name: ""}), statuses)
    for word, value in (("other", "h2c"), ("longer", "websockets"), ("shorter", "websocke"), ("spaced", "web socket"), ("quoted", '"websocket"')):
        cases.refuses(f"upgrade/{word}", section, f"Upgrade: {value}", request(Upgrade=value), (426, 400))
    for word, value in (("close", "close"), ("keep-alive", "keep-alive"), ("longer", "Upgrades"), ("joined", "keep-alive Upgrade"),
                        ("semicolon", "keep-alive; Upgrade")):
        cases.refuses(f"connection/{word}", section, f"Connection: {value}", request(Connection=value), (426, 400))
    for value in ("12", "14", "8", "7", "0", "9", "25", "99", "100", "199", "255"):
        cases.refuses(f"version/{value}", "RFC 6455 4.4", f"Sec-WebSocket-Version: {value}, so the answer says which is spoken",
                      request(Sec_WebSocket_Version=value), (426, 400), version="13")
    for value in ("013", "13.0", "+13", "1 3", "thirteen", "-13", "0xd", "13, 8", "256", "1313"):
        cases.refuses(f"version-grammar/{value.replace(' ', '_').replace(',', '')}", "RFC 6455 4.3", f"Sec-WebSocket-Version: {value}",
                      request(Sec_WebSocket_Version=value), (426, 400))
    cases.refuses("version/twice", "RFC 6455 11.3.5", "the version twice", request(more=[("Sec-WebSocket-Version", "13")]), (426, 400))
    keys = {
        "short": KEY[:-1], "no-padding": KEY[:-2], "15-bytes": base64.b64encode(bytes(15)).decode(), "17-bytes": base64.b64encode(bytes(17)).decode(),
        "18-bytes": base64.b64encode(bytes(18)).decode(), "url-alphabet": "_" * 21 + "w==", "url-alphabet-minus": "-" * 21 + "w==",
        "space-inside": KEY[:5] + " " + KEY[6:], "stars": "*" * 22 + "==", "one-letter": "A", "padding-only": "==", "padding-first": "==" + KEY[:-2],
        "24-letters": "A" * 24, "three-padding": "A" * 21 + "===", "long": "A" * 1000,
    }
    for word, key in keys.items():
        cases.refuses(f"key/{word}", section, f"a key that is not 16 bytes in base64: {word}", request(Sec_WebSocket_Key=key))
    cases.refuses("key/stray-bits", "RFC 4648 3.5", "a last letter with bits that no encoder sets", request(Sec_WebSocket_Key=KEY[:-3] + "R=="),
                  lax="a decoder may ignore them", key=KEY[:-3] + "R==")
    cases.refuses("key/twice", "RFC 6455 11.3.1", "the key twice", request(more=[("Sec-WebSocket-Key", KEY)]))
    cases.refuses("host/twice", "RFC 9112 3.2", "Host twice", request(more=[("Host", "server.example.com")]))
    for word, host in (("list", "a, b"), ("path", "a/b"), ("space", "a b"), ("at", "user@a")):
        cases.refuses(f"host/{word}", "RFC 9112 3.2", f"Host: {host}", request(Host=host), lax="not every server looks at Host")


def malformed(cases):
    section, good = "RFC 9112 2.2", request()
    lines = {
        "space-before-colon": good.replace("Upgrade:", "Upgrade :", 1), "space-before-field": good.replace("\r\nHost", "\r\n Host"),
        "no-colon": good.replace("Upgrade: websocket", "Upgrade websocket"), "no-name": good.replace("\r\nHost", "\r\n: x\r\nHost"),
        "nul": good.replace("\r\nHost", "\r\nX-Nul: a\0b\r\nHost"), "control": good.replace("\r\nHost", "\r\nX-Control: a\x01b\r\nHost"),
        "cr-inside": good.replace("\r\nHost", "\r\nX-Cr: a\rb\r\nHost"), "bad-name": good.replace("\r\nHost", "\r\nX(Y): a\r\nHost"),
        "space-in-name": good.replace("\r\nHost", "\r\nX Y: a\r\nHost"), "two-spaces": good.replace("GET /chat", "GET  /chat"),
        "space-in-target": good.replace("/chat", "/ch at"), "no-target": good.replace("GET /chat", "GET"), "only-method": good.replace("GET /chat HTTP/1.1", "GET"),
        "nothing-first": "\r\n\r\n" + good, "tls": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\0" * 30 + "\r\n\r\n", "binary-name": good.replace("Host", "H\xf6st"),
    }
    lax = {"control", "nothing-first", "two-spaces"}
    for word, text in lines.items():
        cases.refuses(f"malformed/{word}", section, f"a head that breaks HTTP's grammar: {word}", text, lax=LAX if word in lax else None)
    cases.refuses("malformed/bare-lf", section, "lines that end with a line feed alone", good.replace("\r\n", "\n"), lax=LAX)
    cases.refuses("malformed/one-bare-lf", section, "one line that ends with a line feed alone", good.replace("\r\nUpgrade", "\nUpgrade"), lax=LAX)
    cases.refuses("malformed/folded", "RFC 9112 5.2", "a field over two lines", good.replace("\r\nUpgrade", "\r\nX-Long: a\r\n b\r\nUpgrade"), lax=LAX)
    for word, more in (("length", [("Content-Length", "5")]), ("chunked", [("Transfer-Encoding", "chunked")]),
                       ("two-lengths", [("Content-Length", "0"), ("Content-Length", "5")]), ("length-sign", [("Content-Length", "-1")])):
        cases.refuses(f"body/{word}", "RFC 9112 6", "a request with a body, or what may be one", request(more=more),
                      lax="RFC 6455 says nothing of bodies; what is behind the head would be read in two ways")


def origins(cases):
    allowed = {"origins": ["http://example.com", "https://app.example.com:8443"]}
    for word, origin in (("listed", "http://example.com"), ("listed-port", "https://app.example.com:8443")):
        cases.takes(f"origin/{word}", "RFC 6455 10.2", f"the origin {origin}, which is listed", request(Origin=origin), allowed)
    cases.takes("origin/none", "RFC 6455 10.2", "no origin: not a browser", request(), allowed,
                also=[{"refuse": [403], "why": "a server may want one"}])
    for word, origin in (("other", "http://evil.example"), ("scheme", "https://example.com"), ("port", "http://example.com:81"),
                         ("subdomain", "http://a.example.com"), ("prefix", "http://example.com.evil.example"), ("null", "null"), ("empty", ""),
                         ("path", "http://example.com/"), ("suffix", "http://notexample.com")):
        cases.refuses(f"origin/{word}", "RFC 6455 10.2", f"the origin {origin!r}, which is not listed", request(Origin=origin), (403,), allowed)
    cases.refuses("origin/twice", "RFC 6454 7.3", "two origins", request(more=[("Origin", "http://example.com"), ("Origin", "http://evil.example")]),
                  (403, 400), allowed)


def subprotocols(cases):
    section, settings = "RFC 6455 4.2.2", {"subprotocols": ["superchat", "chat"]}
    for word, offered, chosen in (("one", "chat", "chat"), ("other", "superchat", "superchat"), ("both", "chat, superchat", ["chat", "superchat"]),
                                  ("unknown-too", "mqtt, chat", "chat"), ("none-known", "mqtt", None), ("case", "Chat", None), ("longer", "chats", None),
                                  ("tight", "mqtt,superchat", "superchat"), ("tabs", "mqtt\t,\tchat", "chat"), ("tokens", "a.b-c_d!#$%&'*+^`|~", None)):
        also = [{"refuse": [400], "why": "a server may insist on one"}] if chosen is None else [
            {"accept": accept(), "events": [], "end": OPEN, "why": "a server may choose none"}]
        cases.takes(f"subprotocol/{word}", section, f"offered: {offered}", request(Sec_WebSocket_Protocol=offered), settings, subprotocol=chosen,
                    also=also)
    cases.takes("subprotocol/two-fields", "RFC 6455 11.3.4", "offered in two fields", request(
        more=[("Sec-WebSocket-Protocol", "mqtt"), ("Sec-WebSocket-Protocol", "chat")]), settings, subprotocol="chat")
    cases.takes("subprotocol/not-offered", section, "none offered, so none is named", request(), settings, also=[
        {"refuse": [400], "why": "a server may insist on one"}])
    cases.takes("subprotocol/none-supported", section, "offered to a server that has none", request(Sec_WebSocket_Protocol="chat"), subprotocol=None)
    for word, offered in (("space", "chat superchat"), ("slash", "a/b"), ("quoted", '"chat"'), ("at", "a@b"), ("latin-1", "ch\xe4t"), ("brackets", "[chat]"),
                          ("empty", ""), ("comma", ","), ("semicolon", "chat; v=1"), ("equals", "a=b")):
        cases.refuses(f"subprotocol-grammar/{word}", "RFC 6455 4.3", f"no list of tokens: {offered!r}", request(Sec_WebSocket_Protocol=offered),
                      settings={"subprotocols": ["superchat"]}, lax="nothing of it is supported")


def offer(server_takeover=True, client_takeover=True, server_bits=None, client_bits=None):
    return {"server_no_context_takeover": not server_takeover, "client_no_context_takeover": not client_takeover,
            "server_max_window_bits": server_bits, "client_max_window_bits": client_bits}


def deflate(cases):
    """The offers that are good are listed: an answer agrees with one of them, or there is none (RFC 7692 5.1)."""
    on, name = {"deflate": True}, "permessage-deflate"
    good = {
        "plain": (name, [offer()]), "server-takeover": (f"{name}; server_no_context_takeover", [offer(False)]),
        "client-takeover": (f"{name}; client_no_context_takeover", [offer(True, False)]),
        "takeover": (f"{name}; client_no_context_takeover; server_no_context_takeover", [offer(False, False)]),
        "client-bits": (f"{name}; client_max_window_bits", [offer(client_bits=True)]),
        "browser": (f"{name}; client_max_window_bits", [offer(client_bits=True)]),
        "quoted": (f'{name}; server_max_window_bits="10"', [offer(server_bits=10)]),
        "tight": (f"{name};server_max_window_bits=10;client_max_window_bits=12", [offer(server_bits=10, client_bits=12)]),
        "spaces": (f"{name} ; server_max_window_bits = 10", [offer(server_bits=10)]),
        "two": (f"{name}; server_max_window_bits=9, {name}", [offer(server_bits=9), offer()]),
        "unknown-first": (f"x-other, {name}", [offer()]), "unknown-last": (f"{name}, x-other; a=b", [offer()]),
        "bad-first": (f"{name}; nonsense, {name}; client_max_window_bits", [offer(client_bits=True)]),
        "twice-bad": (f"{name}; server_max_window_bits=99, {name}; server_max_window_bits=07, {name}", [offer()]),
        "draft": ("x-webkit-deflate-frame, permessage-deflate", [offer()]),
    }
    for bits in range(8, 16):
        good[f"server-bits-{bits}"] = (f"{name}; server_max_window_bits={bits}", [offer(server_bits=bits)])
        good[f"client-bits-{bits}"] = (f"{name}; client_max_window_bits={bits}", [offer(client_bits=bits)])
    for word, (offered, offers) in good.items():
        cases.takes(f"deflate/{word}", "RFC 7692 7.1", f"offered: {offered}", request(Sec_WebSocket_Extensions=offered), on, deflate=offers)
    cases.takes("deflate/two-fields", "RFC 6455 9.1", "offers in two fields", request(
        more=[("Sec-WebSocket-Extensions", "x-other"), ("Sec-WebSocket-Extensions", name)]), on, deflate=[offer()])
    bad = {
        "unknown": "nonsense", "unknown-value": "nonsense=1", "server-bits-none": "server_max_window_bits", "server-bits-7": "server_max_window_bits=7",
        "server-bits-16": "server_max_window_bits=16", "server-bits-zero": "server_max_window_bits=010", "server-bits-word": "server_max_window_bits=ten",
        "server-bits-0": "server_max_window_bits=0", "client-bits-7": "client_max_window_bits=7", "client-bits-16": "client_max_window_bits=16",
        "client-bits-zero": "client_max_window_bits=09", "client-bits-word": "client_max_window_bits=x", "takeover-value": "server_no_context_takeover=1",
        "client-takeover-value": "client_no_context_takeover=true", "takeover-twice": "server_no_context_takeover; server_no_context_takeover",
        "client-takeover-twice": "client_no_context_takeover; client_no_context_takeover",
        "server-bits-twice": "server_max_window_bits=10; server_max_window_bits=10", "client-bits-twice": "client_max_window_bits; client_max_window_bits",
        "large": "server_max_window_bits=4294967306", "sign": "server_max_window_bits=+10", "fraction": "client_max_window_bits=10.0",
    }
    for word, parameter in bad.items():
        cases.takes(f"deflate-declined/{word}", "RFC 7692 7.1", f"an offer to be declined: {parameter}", request(
            Sec_WebSocket_Extensions=f"{name}; {parameter}"), on, also=[{"refuse": [400], "why": "some take a bad parameter for a bad request"}])
    for word, offered in (("other", "x-other"), ("prefix", "permessage-deflate2"), ("old", "x-webkit-deflate-frame"), ("others", "foo, bar; baz=2")):
        cases.takes(f"deflate-declined/{word}", "RFC 6455 9.1", f"extensions that nobody has: {offered}", request(Sec_WebSocket_Extensions=offered), on)
    cases.takes("deflate-declined/off", "RFC 6455 9.1", "a server without compression", request(Sec_WebSocket_Extensions=name))
    for word, offered in (("space", "a b"), ("semicolon", "a;"), ("two-semicolons", "a;;b"), ("first", ";a"), ("no-name", "=a"), ("no-value", "a; b="),
                          ("two-equals", "a; b=c=d"), ("open-quote", 'a; b="c'), ("quoted-space", 'a; b="c d"'), ("quoted-empty", 'a; b=""'), ("slash", "a/b"),
                          ("empty", ""), ("comma", ","), ("quoted-name", '"a"'), ("latin-1", "\xe4")):
        cases.refuses(f"extension-grammar/{word}", "RFC 6455 9.1", f"no list of extensions: {offered!r}", request(Sec_WebSocket_Extensions=offered),
                      settings=on)


def make():
    cases = Server("handshakes-server")
    for section in (accepted, frames_behind, refused, malformed, origins, subprotocols, deflate):
        section(cases)
    return cases.cases
