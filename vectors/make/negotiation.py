"""Requests that offer subprotocols and extensions (RFC 6455 4.2.2, 9.1, RFC 7692 7.1)."""
from .case import OPEN
from .http import request
from .server import accept, offer


def subprotocols(cases):
    section, settings = "RFC 6455 4.2.2", {"subprotocols": ["superchat", "chat"]}
    for word, offered, chosen in (
        ("one", "chat", "chat"),
        ("other", "superchat", "superchat"),
        ("both", "chat, superchat", ["chat", "superchat"]),
        ("unknown-too", "mqtt, chat", "chat"),
        ("none-known", "mqtt", None),
        ("case", "Chat", None),
        ("longer", "chats", None),
        ("tight", "mqtt,superchat", "superchat"),
        ("tabs", "mqtt\t,\tchat", "chat"),
        ("tokens", "a.b-c_d!#$%&'*+^`|~", None),
    ):
        also = (
            [{"refuse": [400], "why": "a server may insist on one"}]
            if chosen is None
            else [{"accept": accept(), "events": [], "end": OPEN, "why": "a server may choose none"}]
        )
        cases.takes(
            f"subprotocol/{word}",
            section,
            f"offered: {offered}",
            request(Sec_WebSocket_Protocol=offered),
            settings,
            subprotocol=chosen,
            also=also,
        )
    cases.takes(
        "subprotocol/two-fields",
        "RFC 6455 11.3.4",
        "offered in two fields",
        request(more=[("Sec-WebSocket-Protocol", "mqtt"), ("Sec-WebSocket-Protocol", "chat")]),
        settings,
        subprotocol="chat",
    )
    cases.takes(
        "subprotocol/not-offered",
        section,
        "none offered, so none is named",
        request(),
        settings,
        also=[{"refuse": [400], "why": "a server may insist on one"}],
    )
    cases.takes(
        "subprotocol/none-supported",
        section,
        "offered to a server that has none",
        request(Sec_WebSocket_Protocol="chat"),
        subprotocol=None,
    )
    for word, offered in (
        ("space", "chat superchat"),
        ("slash", "a/b"),
        ("quoted", '"chat"'),
        ("at", "a@b"),
        ("latin-1", "ch\xe4t"),
        ("brackets", "[chat]"),
        ("empty", ""),
        ("comma", ","),
        ("semicolon", "chat; v=1"),
        ("equals", "a=b"),
    ):
        cases.refuses(
            f"subprotocol-grammar/{word}",
            "RFC 6455 4.3",
            f"no list of tokens: {offered!r}",
            request(Sec_WebSocket_Protocol=offered),
            settings={"subprotocols": ["superchat"]},
            lax="nothing of it is supported",
        )


def deflate(cases):
    """The offers that are good are listed: an answer agrees with one of them, or there is none (RFC 7692 5.1)."""
    on, name = {"deflate": True}, "permessage-deflate"
    good = {
        "plain": (name, [offer()]),
        "server-takeover": (f"{name}; server_no_context_takeover", [offer(False)]),
        "client-takeover": (f"{name}; client_no_context_takeover", [offer(True, False)]),
        "takeover": (f"{name}; client_no_context_takeover; server_no_context_takeover", [offer(False, False)]),
        "client-bits": (f"{name}; client_max_window_bits", [offer(client_bits=True)]),
        "browser": (f"{name}; client_max_window_bits", [offer(client_bits=True)]),
        "quoted": (f'{name}; server_max_window_bits="10"', [offer(server_bits=10)]),
        "tight": (f"{name};server_max_window_bits=10;client_max_window_bits=12", [offer(server_bits=10, client_bits=12)]),
        "spaces": (f"{name} ; server_max_window_bits = 10", [offer(server_bits=10)]),
        "two": (f"{name}; server_max_window_bits=9, {name}", [offer(server_bits=9), offer()]),
        "unknown-first": (f"x-other, {name}", [offer()]),
        "unknown-last": (f"{name}, x-other; a=b", [offer()]),
        "bad-first": (f"{name}; nonsense, {name}; client_max_window_bits", [offer(client_bits=True)]),
        "twice-bad": (f"{name}; server_max_window_bits=99, {name}; server_max_window_bits=07, {name}", [offer()]),
        "draft": ("x-webkit-deflate-frame, permessage-deflate", [offer()]),
    }
    for bits in range(8, 16):
        good[f"server-bits-{bits}"] = (f"{name}; server_max_window_bits={bits}", [offer(server_bits=bits)])
        good[f"client-bits-{bits}"] = (f"{name}; client_max_window_bits={bits}", [offer(client_bits=bits)])
    for word, (offered, offers) in good.items():
        cases.takes(
            f"deflate/{word}",
            "RFC 7692 7.1",
            f"offered: {offered}",
            request(Sec_WebSocket_Extensions=offered),
            on,
            deflate=offers,
        )
    cases.takes(
        "deflate/two-fields",
        "RFC 6455 9.1",
        "offers in two fields",
        request(more=[("Sec-WebSocket-Extensions", "x-other"), ("Sec-WebSocket-Extensions", name)]),
        on,
        deflate=[offer()],
    )
    bad = {
        "unknown": "nonsense",
        "unknown-value": "nonsense=1",
        "server-bits-none": "server_max_window_bits",
        "server-bits-7": "server_max_window_bits=7",
        "server-bits-16": "server_max_window_bits=16",
        "server-bits-zero": "server_max_window_bits=010",
        "server-bits-word": "server_max_window_bits=ten",
        "server-bits-0": "server_max_window_bits=0",
        "client-bits-7": "client_max_window_bits=7",
        "client-bits-16": "client_max_window_bits=16",
        "client-bits-zero": "client_max_window_bits=09",
        "client-bits-word": "client_max_window_bits=x",
        "takeover-value": "server_no_context_takeover=1",
        "client-takeover-value": "client_no_context_takeover=true",
        "takeover-twice": "server_no_context_takeover; server_no_context_takeover",
        "client-takeover-twice": "client_no_context_takeover; client_no_context_takeover",
        "server-bits-twice": "server_max_window_bits=10; server_max_window_bits=10",
        "client-bits-twice": "client_max_window_bits; client_max_window_bits",
        "large": "server_max_window_bits=4294967306",
        "sign": "server_max_window_bits=+10",
        "fraction": "client_max_window_bits=10.0",
    }
    for word, parameter in bad.items():
        cases.takes(
            f"deflate-declined/{word}",
            "RFC 7692 7.1",
            f"an offer to be declined: {parameter}",
            request(Sec_WebSocket_Extensions=f"{name}; {parameter}"),
            on,
            also=[{"refuse": [400], "why": "some take a bad parameter for a bad request"}],
        )
    for word, offered in (
        ("other", "x-other"),
        ("prefix", "permessage-deflate2"),
        ("old", "x-webkit-deflate-frame"),
        ("others", "foo, bar; baz=2"),
    ):
        cases.takes(
            f"deflate-declined/{word}",
            "RFC 6455 9.1",
            f"extensions that nobody has: {offered}",
            request(Sec_WebSocket_Extensions=offered),
            on,
        )
    cases.takes(
        "deflate-declined/off", "RFC 6455 9.1", "a server without compression", request(Sec_WebSocket_Extensions=name)
    )
    for word, offered in (
        ("space", "a b"),
        ("semicolon", "a;"),
        ("two-semicolons", "a;;b"),
        ("first", ";a"),
        ("no-name", "=a"),
        ("no-value", "a; b="),
        ("two-equals", "a; b=c=d"),
        ("open-quote", 'a; b="c'),
        ("quoted-space", 'a; b="c d"'),
        ("quoted-empty", 'a; b=""'),
        ("slash", "a/b"),
        ("empty", ""),
        ("comma", ","),
        ("quoted-name", '"a"'),
        ("latin-1", "\xe4"),
    ):
        cases.refuses(
            f"extension-grammar/{word}",
            "RFC 6455 9.1",
            f"no list of extensions: {offered!r}",
            request(Sec_WebSocket_Extensions=offered),
            settings=on,
        )
