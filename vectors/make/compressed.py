"""Compressed frames (RFC 7692): what zlib makes, what can be made by hand, and what does not inflate."""
import zlib

from .case import CLOSED, OPEN, Cases, both, fail
from .wire import (BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, RSV1, RSV2, RSV3, SERVER, TEXT, Bits, close_payload,
                   deflated, noise)

ZLIB_SAYS = "368f707c"  # CRC of what the zlib makes that the committed file was made with


def fingerprint():
    """Other builds of zlib compress otherwise, and as well: their file is another one."""
    streams = (deflated(noise("fingerprint", 400).hex().encode(), level=level) for level in range(10))
    return f"{zlib.crc32(b''.join(streams)):08x}"


def agreed(role, takeover=True, bits=15):
    """What was negotiated: the sender of these frames keeps its window between messages, or not, and has one of so many bits."""
    sender, other = ("client", "server") if role == SERVER else ("server", "client")
    return {"deflate": {f"{sender}_no_context_takeover": not takeover, f"{other}_no_context_takeover": False,
                        f"{sender}_max_window_bits": bits, f"{other}_max_window_bits": 15}}


WORDS = b" ".join(b"%d green bottles hanging on the wall," % count for count in range(99, 80, -1))
BODIES = {
    "short": b"Hello", "one": b"a", "repeated": b"ab" * 500, "words": WORDS, "zeros": bytes(5000),
    "numbers": b"".join(b"%d," % (at * at) for at in range(400)), "utf8": "grüße, 世界 🌍 ".encode() * 30,
}


def samples(cases):
    """RFC 7692 7.2.3, byte for byte."""
    hello, section = b"Hello", "RFC 7692 7.2.3"
    whole = bytes.fromhex("f248cdc9c90700")
    table = {
        "7.2.3.1-one-block": ("one compressed block", lambda peer: peer.text(hello, compressed=whole)),
        "7.2.3.1-fragments": ("the same in two fragments", lambda peer: peer.text(hello, [3], compressed=whole)),
        "7.2.3.2-again": ("the window shared by two messages", lambda peer: peer.text(hello, compressed=whole).text(
            hello, compressed=bytes.fromhex("f200110000"))),
        "7.2.3.3-stored": ("a block without compression", lambda peer: peer.text(
            hello, compressed=bytes.fromhex("000500faff48656c6c6f00"))),
        "7.2.3.4-final": ("a block that says it is the last", lambda peer: peer.text(
            hello, compressed=bytes.fromhex("f348cdc9c9070000"))),
        "7.2.3.5-two-blocks": ("two blocks in one message", lambda peer: peer.text(
            hello, compressed=bytes.fromhex("f24805000000ffffcac9c90700".replace("0500000000", "05000000")))),
    }
    for word, (note, what) in table.items():
        for peer, name in both(f"samples/{word}"):
            what(peer)
            cases.stream(name, section, note, peer, **agreed(peer.role))


def by_zlib(cases):
    for word, body in BODIES.items():
        for level in range(10):
            for peer, name in list(both(f"level/{word}-{level}"))[level % 2:][:1]:
                kind = BINARY if level % 3 else TEXT
                peer.message(kind, body, compressed=deflated(body, level=level))
                cases.stream(name, "RFC 7692 7.2.2", f"{word}, compressed with level {level}", peer, **agreed(peer.role, False))
        for strategy, which in ((zlib.Z_FILTERED, "filtered"), (zlib.Z_HUFFMAN_ONLY, "huffman"), (zlib.Z_RLE, "rle"),
                                (zlib.Z_FIXED, "fixed")):
            for peer, name in list(both(f"strategy/{word}-{which}"))[strategy % 2:][:1]:
                peer.binary(body, compressed=deflated(body, strategy=strategy))
                cases.stream(name, "RFC 7692 7.2.2", f"{word}, by zlib's strategy {which}", peer, **agreed(peer.role))
    far = noise("far", 100).hex().encode()
    for bits in range(9, 16):
        body = far + bytes((1 << bits) - 500) + far
        for takeover in (False, True):
            for peer, name in both(f"window/{bits}{'-takeover' if takeover else ''}"):
                codec = zlib.compressobj(6, zlib.DEFLATED, -bits)
                for _ in range(2):
                    codec = codec if takeover else zlib.compressobj(6, zlib.DEFLATED, -bits)
                    peer.binary(body, compressed=deflated(body, codec))
                cases.stream(name, "RFC 7692 7.1.2", f"a window of {bits} bits", peer, **agreed(peer.role, takeover, bits))


def takeover(cases):
    for peer, name in both("takeover/three"):
        codec = zlib.compressobj(9, zlib.DEFLATED, -15)
        for at in range(3):
            text = b"the same words as before, number %d" % at
            peer.text(text, compressed=deflated(text, codec))
        cases.stream(name, "RFC 7692 7.2.2", "each message refers to those before it", peer, **agreed(peer.role))
    for peer, name in both("takeover/plain-between"):
        codec = zlib.compressobj(9, zlib.DEFLATED, -15)
        peer.text(WORDS, compressed=deflated(WORDS, codec)).text("plain").ping(b"p").binary(b"plain too")
        peer.text(WORDS, compressed=deflated(WORDS, codec))
        cases.stream(name, "RFC 7692 6", "messages that are not compressed come between, and change no window", peer,
                     **agreed(peer.role))
    for peer, name in both("takeover/empty-between"):
        codec = zlib.compressobj(9, zlib.DEFLATED, -15)
        for body in (WORDS, b"", WORDS, b"", b""):
            peer.binary(body, compressed=deflated(body, codec))
        cases.stream(name, "RFC 7692 7.2.3.6", "empty messages come between", peer, **agreed(peer.role))
    for peer, name in both("takeover/none"):
        for at in range(3):
            peer.text(WORDS, compressed=deflated(WORDS))
        cases.stream(name, "RFC 7692 7.1.1", "each message stands for itself", peer, **agreed(peer.role, False))
    for peer, name in both("takeover/none-but-used"):
        codec = zlib.compressobj(9, zlib.DEFLATED, -15)
        peer.text(WORDS, compressed=deflated(WORDS, codec))
        told = list(peer.events)
        peer.text(WORDS, compressed=deflated(WORDS, codec))
        cases.stream(name, "RFC 7692 7.1.1", "the second message refers to the first, which was agreed not to happen", peer, fail(),
                     events=told, also=[{"events": peer.events, "end": OPEN, "why": "the must is the sender's; a receiver may keep the window"}],
                     **agreed(peer.role, False))


def by_hand(cases):
    section = "RFC 7692 7.2.1"
    made = {
        "empty": (b"", Bits().flushed()),
        "empty-fixed": (b"", Bits().fixed().end().flushed()),
        "empty-final": (b"", Bits().fixed(True).end().flushed()),
        "empty-payload": (b"", b""),
        "stored": (b"stored", Bits().stored(b"stored").flushed()),
        "stored-empty-first": (b"x", Bits().stored(b"").fixed().literals(b"x").end().flushed()),
        "stored-many": (b"abc", Bits().stored(b"a").stored(b"b").stored(b"c").flushed()),
        "stored-final": (b"last", Bits().stored(b"last", True).flushed()),
        "fixed": (b"fixed \x00\x8f\x90\xff", Bits().fixed().literals(b"fixed \x00\x8f\x90\xff").end().flushed()),
        "two-fixed": (b"ab", Bits().fixed().literals(b"a").end().fixed().literals(b"b").end().flushed()),
        "kinds": (b"ab" + b"ab" * 30, Bits().stored(b"ab").fixed().literals(b"ab" * 30).end().flushed()),
        "many-empty-blocks": (b"z", Bits().stored(b"").stored(b"").fixed().end().fixed().literals(b"z").end().stored(b"").flushed()),
    }
    for distance in (1, 2, 3, 4, 5, 7, 9, 16, 17, 33, 100, 255, 256, 257, 500):
        start = noise(f"copy/{distance}", max(distance, 3))
        body = bytearray(start)
        for _ in range(3):
            body.append(body[-distance])
        made[f"copy-{distance}"] = (bytes(body), Bits().fixed().literals(start).copy(distance).end().flushed())
    for word, (body, wire) in made.items():
        assert zlib.decompressobj(-15).decompress(wire + b"\x00\x00\xff\xff") == body or "final" in word, word
        for peer, name in both(f"block/{word}"):
            cases.stream(name, section, f"blocks written by hand: {word}", peer.binary(body, compressed=wire),
                         **agreed(peer.role, False))


def fragments(cases):
    wire = deflated(WORDS)
    shapes = {
        "halves": ([len(wire) // 2], ()), "first-byte": ([1], ()), "last-byte": ([len(wire) - 1], ()), "empty-first": ([0], ()),
        "empty-last": ([len(wire)], ()), "bytes": (range(1, len(wire)), ()), "empty-middle": ([5, 5, 5], ()),
        "ping": ([7], ([(PING, b"plain")],)), "pings": ([7, 9], ([(PING, b"1"), (PONG, b"2")], [(PING, b"3")])),
    }
    for word, (cuts, between) in shapes.items():
        for peer, name in both(f"fragments/{word}"):
            peer.text(WORDS, list(cuts), between, compressed=wire)
            cases.stream(name, "RFC 7692 7.2.2", f"a compressed message in fragments: {word}", peer, **agreed(peer.role))
    text = "ä€🌍".encode() * 3
    wire = Bits().stored(text).flushed()
    for cut in range(5, 5 + 10):
        for peer, name in list(both(f"fragments/character-{cut}"))[cut % 2:][:1]:
            cases.stream(name, "RFC 7692 7.2.2", "a fragment ends inside a character", peer.text(text, [cut], compressed=wire),
                         **agreed(peer.role))


def bits(cases):
    wire, section = deflated(b"Hello"), "RFC 7692 6"
    wrong = {
        "ping": [(FIN | RSV1 | PING, b"x")], "pong": [(FIN | RSV1 | PONG, b"x")], "close": [(FIN | RSV1 | CLOSE, close_payload(1000))],
        "continuation": [(TEXT, b"a"), (FIN | RSV1 | CONTINUATION, b"b")],
        "continuation-compressed": [(RSV1 | TEXT, wire[:3]), (FIN | RSV1 | CONTINUATION, wire[3:])],
        "rsv2": [(FIN | RSV2 | TEXT, b"a")], "rsv3": [(FIN | RSV3 | TEXT, b"a")], "rsv12": [(FIN | RSV1 | RSV2 | TEXT, wire)],
        "rsv13": [(FIN | RSV1 | RSV3 | BINARY, wire)], "rsv123": [(FIN | RSV1 | RSV2 | RSV3 | BINARY, wire)],
        "opcode": [(FIN | RSV1 | 0x3, wire)], "inside": [(RSV1 | TEXT, wire[:3]), (FIN | RSV1 | TEXT, wire)],
        "plain-inside": [(RSV1 | TEXT, wire[:3]), (FIN | TEXT, b"a")],
        "continuation-first": [(FIN | RSV1 | CONTINUATION, wire)],
    }
    for word, frames in wrong.items():
        for peer, name in both(f"bits/{word}"):
            for first, payload in frames:
                peer.frame(first, payload)
            cases.stream(name, section, f"reserved bits where none may be, or frames where none may: {word}", peer, fail(1002),
                         **agreed(peer.role))
    for peer, name in both("bits/plain"):
        peer.text("plain").binary(b"plain", [2]).text(b"Hello", compressed=wire).close(1000)
        cases.stream(name, section, "messages may go plain although compression was agreed on", peer, CLOSED, **agreed(peer.role))
    for peer, name in both("bits/plain-looks-compressed"):
        cases.stream(name, section, "without RSV1 nothing is inflated", peer.binary(wire), **agreed(peer.role))


def corrupt(cases):
    broken = {
        "reserved-block": b"\x07", "reserved-block-later": Bits().fixed().literals(b"a").end().put(0, 1).put(3, 2).bytes(),
        "stored-complement": Bits().stored(b"hello", complement=5).flushed(),
        "distance-code-30": Bits().fixed().literals(b"abc").literal(257).code(30, 5).end().flushed(),
        "distance-code-31": Bits().fixed().literals(b"abc").literal(257).code(31, 5).end().flushed(),
        "length-code-286": Bits().fixed().literals(b"abc").literal(286).code(0, 5).end().flushed(),
        "length-code-287": Bits().fixed().literals(b"abc").literal(287).code(0, 5).end().flushed(),
        "too-far-back": Bits().fixed().literals(b"abc").copy(4).end().flushed(),
        "too-far-at-once": Bits().fixed().copy(1).end().flushed(),
        "far-too-far": Bits().fixed().literals(b"abc").copy(32768).end().flushed(),
        # Code lengths that no tree has: 19 codes of length 1.
        "oversubscribed": Bits().put(0, 1).put(2, 2).put(0, 5).put(0, 5).put(15, 4).put(int("1" * 57, 2), 57).flushed(),
        # More literals than there are (286 at most).
        "too-many-literals": Bits().put(0, 1).put(2, 2).put(31, 5).put(0, 5).put(0, 4).put(0, 200).flushed(),
        "noise": b"\xff" + noise("corrupt", 40),
    }
    for word, wire in broken.items():
        try:
            zlib.decompressobj(-15).decompress(wire + b"\x00\x00\xff\xff")
            raise AssertionError(f"{word} inflates")
        except zlib.error:
            pass
        for kind, what in ((BINARY, "binary"), (TEXT, "text")):
            for peer, name in list(both(f"corrupt/{word}-{what}")):
                peer.text("before").frame(FIN | RSV1 | kind, wire)
                cases.stream(name, "RFC 7692 7.2.2", f"what does not inflate: {word}; no RFC names a code", peer, fail(),
                             **agreed(peer.role, False))
    for word, wire in (("stored-cut", Bits().stored(b"hello").bytes()[:-2]), ("fixed-cut", Bits().fixed().literals(b"hello").bytes())):
        for peer, name in both(f"cut/{word}"):
            peer.frame(FIN | RSV1 | BINARY, wire)
            cases.stream(name, "RFC 7692 7.2.2", "the message ends inside a block", peer, fail(), also=[
                {"events": [{"binary": data.hex()}], "end": OPEN, "why": "to some an inflater that stops early is no fault"}
                for data in cut_outcomes(wire)], **agreed(peer.role, False))


def cut_outcomes(wire):
    """What an inflater that never asks whether the block had ended makes of it."""
    try:
        return [zlib.decompressobj(-15).decompress(wire + b"\x00\x00\xff\xff")]
    except zlib.error:
        return []


def text(cases):
    for word, data in (("lone", b"a\x80"), ("cut", "a€".encode()[:-1]), ("surrogate", b"\xed\xa0\x80"), ("overlong", b"\xc0\xaf"),
                       ("late", b"x" * 4000 + b"\xff")):
        for way, wire in (("zlib", deflated(data)), ("stored", Bits().stored(data).flushed())):
            for peer, name in both(f"utf8/{word}-{way}"):
                peer.frame(FIN | RSV1 | TEXT, wire)
                cases.stream(name, "RFC 6455 8.1", "a compressed text is checked once it is inflated", peer, fail(1007),
                             **agreed(peer.role))
        for peer, name in list(both(f"utf8/{word}-binary"))[:1]:
            cases.stream(name, "RFC 6455 5.6", "in a binary message any bytes are right", peer.binary(data, compressed=deflated(data)),
                         **agreed(peer.role))


def limits(cases):
    limit = {"message": 1000}
    for count, fits in ((999, True), (1000, True), (1001, False), (2000, False), (1 << 16, False), (1 << 24, False)):
        for kind, word in ((BINARY, "binary"), (TEXT, "text")):
            for peer, name in both(f"limit/{count}-{word}"):
                body = b"z" * count
                if fits:
                    peer.message(kind, body, compressed=deflated(body))
                else:
                    peer.frame(FIN | RSV1 | kind, deflated(body))
                cases.stream(name, "RFC 7692 8", f"{count} bytes, inflated, where 1000 are allowed", peer, OPEN if fits else fail(1009),
                             limits=limit, **agreed(peer.role))


def make():
    cases = Cases("compressed")
    for section in (samples, by_zlib, takeover, by_hand, fragments, bits, corrupt, text, limits):
        section(cases)
    return cases.cases
