"""Text that is UTF-8, and text that is not (RFC 6455 8.1, RFC 3629)."""
from .case import Cases, both, fail
from .frames import later
from .wire import BINARY, CONTINUATION, FIN, PING, TEXT, close_payload, CLOSE

GOOD = {
    "ascii": "Hello", "empty": "", "nul": "\0", "del": "\x7f", "two-first": "\x80", "two-last": "\u07ff", "three-first": "\u0800",
    "before-surrogates": "\ud7ff", "behind-surrogates": "\ue000", "replacement": "\ufffd", "bom": "\ufeffa",
    "noncharacter": "\ufffe\uffff", "plane-end": "\U0001ffff", "four-first": "\U00010000", "last": "\U0010ffff", "kosme": "κόσμε",
    "mixed": "grüße, 世界 🌍", "combining": "e\u0301", "emoji": "👩‍👩‍👧‍👦", "controls": "\r\n\t\x1b", "private": "\ue123\U000f0000",
}

BAD = {
    "lone-continuation": b"\x80", "lone-continuation-last": b"\xbf", "continuations": b"\x80\xbf\x80",
    "all-continuations": bytes(range(0x80, 0xC0)), "ff": b"\xff", "fe": b"\xfe", "fe-ff": b"\xfe\xfe\xff\xff",
    "f5": b"\xf5\x80\x80\x80", "f8": b"\xf8\x88\x80\x80\x80", "fc": b"\xfc\x84\x80\x80\x80\x80", "c0": b"\xc0\x80", "c1": b"\xc1\xbf",
    "slash-in-2": b"\xc0\xaf", "slash-in-3": b"\xe0\x80\xaf", "slash-in-4": b"\xf0\x80\x80\xaf", "slash-in-5": b"\xf8\x80\x80\x80\xaf",
    "overlong-2-last": b"\xc1\xbf", "overlong-3-last": b"\xe0\x9f\xbf", "overlong-4-last": b"\xf0\x8f\xbf\xbf",
    "surrogate-first": b"\xed\xa0\x80", "surrogate-high-last": b"\xed\xaf\xbf", "surrogate-low-first": b"\xed\xb0\x80",
    "surrogate-last": b"\xed\xbf\xbf", "surrogate-pair": b"\xed\xa0\x80\xed\xb0\x80", "too-large": b"\xf4\x90\x80\x80",
    "two-cut": b"\xc3", "three-cut-1": b"\xe2", "three-cut-2": b"\xe2\x82", "four-cut-1": b"\xf0", "four-cut-2": b"\xf0\x9f",
    "four-cut-3": b"\xf0\x9f\x8c", "two-then-ascii": b"\xc3a", "three-then-ascii": b"\xe2\x82a", "four-then-ascii": b"\xf0\x9f\x8ca",
    "two-then-lead": b"\xc3\xc3\xa4", "three-then-lead": b"\xe2\xe2\x82\xac", "four-then-lead": b"\xf0\x9f\xc3\xa4",
    "latin-1": "grüße".encode("latin-1"), "utf-16": "Hi€".encode("utf-16-le") + b"\xd8", "kosme-surrogate": "κόσμε".encode() + b"\xed\xa0\x80edited",
}


def bad_at(data):
    """The first byte that cannot continue what is before it, or the end."""
    for at in range(len(data) + 1):
        try:
            data[:at].decode()
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data":
                return at - 1
    return len(data)


def good(cases):
    for word, text in GOOD.items():
        data = text.encode()
        for peer, name in both(f"good/{word}"):
            cases.stream(name, "RFC 6455 5.6", f"a text: {word}", peer.text(data))
        if len(data) > 1:
            for cut in range(1, min(len(data), 13)):
                for peer, name in list(both(f"good-cut/{word}-{cut}"))[cut % 2:][:1]:
                    cases.stream(name, "RFC 6455 5.6", "a fragment may end inside a character", peer.text(
                        data, [cut], [[(PING, b"")]] if cut % 3 == 0 else ()))
        for peer, name in list(both(f"good-bytes/{word}"))[len(data) % 2:][:1]:
            if data:
                cases.stream(name, "RFC 6455 5.6", "a fragment for each byte", peer.text(data, range(1, len(data))))


def bad(cases):
    section = "RFC 6455 8.1"
    for word, data in BAD.items():
        for peer, name in both(f"bad/{word}"):
            peer.frame(FIN | TEXT, data)
            cases.stream(name, section, f"a text that is not UTF-8: {word}", peer, fail(1007))
        for peer, name in both(f"bad-behind/{word}"):
            peer.text("fine").frame(FIN | TEXT, "ä€🌍".encode() + data + b"end")
            cases.stream(name, section, f"within a longer text, behind one that is right: {word}", peer, fail(1007))
        for peer, name in list(both(f"bad-fragments/{word}"))[len(data) % 2:][:1]:
            for at in range(len(data)):
                peer.frame(CONTINUATION if at else TEXT, data[at:at + 1])
            peer.frame(FIN | CONTINUATION)
            cases.stream(name, section, f"a fragment for each byte: {word}", peer, fail(1007))
        at = bad_at(data)
        if at < len(data):
            for peer, name in list(both(f"bad-early/{word}"))[at % 2:][:1]:
                peer.frame(TEXT, data[:at + 1])
                cases.stream(name, section, "the message goes on, but nothing can make it right", peer, fail(1007), also=[later()])
        for peer, name in list(both(f"binary/{word}"))[len(data) % 2:][:1]:
            cases.stream(name, "RFC 6455 5.6", "in a binary message any bytes are right", peer.binary(data))
        for peer, name in list(both(f"ping/{word}"))[len(data) % 2:][:1]:
            cases.stream(name, "RFC 6455 5.5.2", "in a ping any bytes are right", peer.ping(data))
        for peer, name in list(both(f"reason/{word}"))[len(data) % 2:][:1]:
            peer.frame(FIN | CLOSE, close_payload(1000, data))
            cases.stream(name, "RFC 6455 5.5.1", "a close reason that is not UTF-8", peer, fail(1007), also=[fail(1002)])
    for peer, name in both("next-message"):
        peer.frame(FIN | BINARY, b"\xc3").tell(BINARY, b"\xc3").frame(FIN | TEXT, b"\xa4")
        cases.stream(f"next-message/binary-then-text/{peer.role}", section, "a character does not begin in another message", peer,
                     fail(1007))
    for word, data in BAD.items():
        assert bad_at(data) <= len(data) and not valid(data), word


def valid(data):
    try:
        data.decode()
        return True
    except UnicodeDecodeError:
        return False


def make():
    cases = Cases("utf8")
    good(cases)
    bad(cases)
    return cases.cases
