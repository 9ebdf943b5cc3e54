"""The closing handshake (RFC 6455 5.5.1, 7): codes, reasons, and what comes around them."""
from .case import CLOSED, OPEN, Cases, both, fail
from .wire import BINARY, CLOSE, CONTINUATION, FIN, PING, RSV1, TEXT, close_payload, noise

# RFC 6455 7.4.1, and the ranges of 7.4.2 at their edges.
DEFINED = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011)
REGISTERED = (1012, 1013, 1014)  # by IANA, later
OPEN_RANGES = (3000, 3001, 3500, 3999, 4000, 4001, 4500, 4999)
NEVER = (1005, 1006, 1015)
UNUSED = (0, 1, 2, 255, 256, 500, 998, 999)
BEYOND = (5000, 5001, 9999, 10000, 32768, 65534, 65535)
RESERVED = (1004, 1016, 1017, 1099, 1100, 1500, 1999, 2000, 2001, 2500, 2998, 2999)


def codes(cases):
    for code in DEFINED + REGISTERED + OPEN_RANGES:
        for reason in ("", "why"):
            for peer, name in both(f"code/{code}{'-reason' if reason else ''}"):
                also = [{"events": [], "end": fail(1002), "why": "the registry has it; RFC 6455 does not"}]
                cases.stream(name, "RFC 6455 7.4", f"close with {code}", peer.close(code, reason), CLOSED,
                             also=also if code in REGISTERED else ())
    for code in NEVER + UNUSED + BEYOND + RESERVED:
        for peer, name in both(f"code-refused/{code}"):
            peer.close(code)
            taken = [{"events": peer.events, "end": CLOSED, "why": "reserved for what may be defined later"}]
            section = "RFC 6455 7.4.1" if code in NEVER else "RFC 6455 7.4.2"
            cases.stream(name, section, f"close with {code}, which is not for the wire", peer, fail(1002), events=[],
                         also=taken if code in RESERVED else ())


def payloads(cases):
    for peer, name in both("payload/empty"):
        cases.stream(name, "RFC 6455 5.5.1", "a close frame without a code", peer.close(), CLOSED)
    for byte in (0, 3, 255):
        for peer, name in both(f"payload/one-byte-{byte}"):
            peer.frame(FIN | CLOSE, bytes([byte]))
            cases.stream(name, "RFC 6455 5.5.1", "half of a code", peer, fail(1002))
    for reason in ("a", "x" * 122, "x" * 123, "ü" * 61, "€" * 41, "🌍" * 30, "\0", "two words", "\ufeff"):
        for peer, name in both(f"payload/reason-{reason[0].encode().hex()}-{len(reason.encode())}"):
            cases.stream(name, "RFC 6455 7.1.6", f"a reason of {len(reason.encode())} bytes", peer.close(1000, reason), CLOSED)
    for count in (124, 125, 1000):
        for peer, name in both(f"payload/too-long-{count}"):
            peer.frame(FIN | CLOSE, close_payload(1000, b"x" * count))
            cases.stream(name, "RFC 6455 5.5", f"a reason of {count} bytes makes a control frame too long", peer, fail(1002))
    for peer, name in both("payload/fragment"):
        peer.frame(CLOSE, close_payload(1000)).frame(FIN | CONTINUATION, b"")
        cases.stream(name, "RFC 6455 5.5", "a close frame in fragments", peer, fail(1002))
    for rsv in (1, 2, 3, 4, 5, 6, 7):
        for peer, name in both(f"payload/reserved-bits-{rsv}"):
            peer.frame(FIN | CLOSE | rsv << 4, close_payload(1000))
            cases.stream(name, "RFC 6455 5.2", "a close frame with reserved bits", peer, fail(1002))
    for peer, name in both("payload/wrong-mask"):
        peer.wrongly_masked(FIN | CLOSE, close_payload(1000))
        cases.stream(name, "RFC 6455 5.1", "a close frame with the mask of the other role", peer, fail(1002))


def around(cases):
    behind = {
        "text": lambda peer: peer.frame(FIN | TEXT, b"late"),
        "ping": lambda peer: peer.frame(FIN | PING, b"late"),
        "close": lambda peer: peer.frame(FIN | CLOSE, close_payload(1001)),
        "fragment": lambda peer: peer.frame(TEXT, b"late").frame(FIN | CONTINUATION, b"r"),
        "garbage": lambda peer: peer.raw(noise("garbage", 40)),
        "reserved-bits": lambda peer: peer.frame(FIN | TEXT | RSV1, b"x"),
        "wrong-mask": lambda peer: peer.wrongly_masked(FIN | TEXT, b"x"),
        "long": lambda peer: peer.frame(FIN | BINARY, b"z" * 70000),
    }
    for word, more in behind.items():
        for code in (1000, None):
            for peer, name in both(f"behind/{word}-{code or 'empty'}"):
                peer.close(code)
                more(peer)
                cases.stream(name, "RFC 6455 5.5.1", f"nothing is told of what comes behind a close frame: {word}", peer, CLOSED,
                             also=[{"events": peer.events, "end": fail(), "why": "nothing of it shows on the wire"}])
    for kind, word in ((TEXT, "text"), (BINARY, "binary")):
        for peer, name in both(f"inside/{word}"):
            peer.frame(kind, b"not whole").close(1001, "in the middle")
            cases.stream(name, "RFC 6455 5.4", "a close frame inside a message, which never ends", peer, CLOSED)
    for peer, name in both("before/messages"):
        peer.text("a").binary(b"b", [0]).ping(b"c").pong(b"d").close(1000)
        cases.stream(name, "RFC 6455 7.1.2", "messages and a ping, then the close frame, in one piece", peer, CLOSED)
    for peer, name in both("before/pings"):
        peer.ping(b"1").ping(b"2").close(1000)
        cases.stream(name, "RFC 6455 5.5.2", "a ping is answered unless a close frame has come", peer, CLOSED)


def own(cases):
    """The endpoint itself has sent a close frame with 1000 before anything comes."""
    given = {"sends": {"close": {"code": 1000, "reason": ""}}}
    why = "nobody has to process data behind its own close frame"
    for code in (1000, 1001, 1011, 3000, 4999, None):
        for peer, name in both(f"own/answer-{code or 'empty'}"):
            cases.stream(name, "RFC 6455 7.1.2", "the answer to a close frame ends it; both may close at once", peer.close(code),
                         CLOSED, **given)
    for peer, name in both("own/messages-first"):
        peer.text("still").binary(b"here", [2])
        told = list(peer.events)
        peer.close(1000)
        cases.stream(name, "RFC 6455 5.5.1", "messages come until the peer has closed too", peer, CLOSED, **given, also=[
            {"events": [event for event in peer.events if event not in told], "end": CLOSED, "why": why}])
    for peer, name in both("own/ping-first"):
        peer.ping(b"still there?").close(1000)
        cases.stream(name, "RFC 6455 5.5.2", "a ping behind the close frame of this end", peer, CLOSED, **given, also=[
            {"events": peer.events[1:], "end": CLOSED, "why": why}])
    for peer, name in both("own/open"):
        peer.text("still")
        cases.stream(name, "RFC 6455 7.1.3", "no answer yet", peer, OPEN, **given, also=[
            {"events": [], "end": OPEN, "why": why}])
    faults = {
        "reserved-bits": lambda peer: peer.frame(FIN | TEXT | RSV1, b"x"),
        "opcode": lambda peer: peer.frame(0x83, b"x"),
        "utf8": lambda peer: peer.frame(FIN | TEXT, b"\xff"),
        "half-a-code": lambda peer: peer.frame(FIN | CLOSE, b"\x03"),
        "wrong-mask": lambda peer: peer.wrongly_masked(FIN | TEXT, b"x"),
    }
    for word, fault in faults.items():
        for peer, name in both(f"own/fault-{word}"):
            fault(peer)
            cases.stream(name, "RFC 6455 7.1.7", "a fault behind the close frame of this end, which sends no other", peer,
                         fail(), **given)


def make():
    cases = Cases("closing")
    for section in (codes, payloads, around, own):
        section(cases)
    return cases.cases
