"""Frames without an extension (RFC 6455 5): headers, lengths, masks, fragments, control frames, limits."""
from .case import CLOSED, OPEN, Cases, Peer, both, fail
from .wire import (
    BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, SAMPLE_KEY, SERVER, TEXT, close_payload, noise, number)

DATA = ((TEXT, "text"), (BINARY, "binary"))
CONTROL = ((PING, "ping"), (PONG, "pong"))
KNOWN = {CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG}
ANY_FORM = "the must is the sender's; a receiver may take any form"
LATER = "an endpoint may also see it only when more has come"


def later(events=()):
    """For a fault that shows before its frame is whole: whoever looks later is still waiting."""
    return {"events": list(events), "end": OPEN, "why": LATER}


def samples(cases):
    """RFC 6455 5.7, byte for byte."""
    for peer, name in both("samples", SAMPLE_KEY):
        def sample(which, note, what, peer=peer, name=name):
            what(own := Peer(name, peer.role, SAMPLE_KEY))
            cases.stream(f"samples/{which}/{peer.role}", "RFC 6455 5.7", note, own)
        sample("text", "a text in one frame", lambda to: to.text("Hello"))
        sample("fragments", "a text in two fragments", lambda to: to.text("Hello", [3]))
        sample("ping", "a ping", lambda to: to.ping(b"Hello"))
        sample("pong", "a pong that nobody asked for", lambda to: to.pong(b"Hello"))
        sample("256", "256 bytes in one frame", lambda to: to.binary(bytes(range(256))))
        sample("64k", "64 KiB in one frame", lambda to: to.binary(bytes(65536)))


def first_bytes(cases):
    """All 256 first bytes of a frame, outside of a message and as what follows its first fragment."""
    for first in range(256):
        fin, rsv, opcode = first & FIN, first & 0x70, first & 0x0F
        payload = close_payload(1000) if opcode == CLOSE else b"a"
        for begun in (False, True):
            for peer, name in both(f"first-byte{'-inside' if begun else ''}/{first:02x}"):
                if begun:
                    peer.frame(TEXT, b"x")
                peer.frame(first, payload)
                end = OPEN
                if rsv or opcode not in KNOWN or opcode >= CLOSE and not fin:
                    end = fail(1002)
                elif opcode == CLOSE:
                    peer.events.append({"close": {"code": 1000, "reason": ""}})
                    end = CLOSED
                elif opcode in (PING, PONG):
                    peer.tell(opcode, payload)
                elif begun != (opcode == CONTINUATION):
                    end = fail(1002)
                elif begun and fin:
                    peer.tell(TEXT, b"xa")
                elif fin:
                    peer.tell(opcode, payload)
                section = "RFC 6455 5.4" if end == fail(1002) and not rsv and opcode in (0, 1, 2) else "RFC 6455 5.2"
                note = f"FIN {fin >> 7}, reserved bits {rsv >> 4:03b}, opcode {opcode:X}" + (" inside a message" if begun else "")
                # A quarter is enough for one role where both have the same rule.
                if begun and peer.role == SERVER and first % 4:
                    continue
                cases.stream(name, section, note, peer, end)


def lengths(cases):
    for count in (0, 1, 2, 3, 4, 5, 124, 125, 126, 127, 128, 255, 256, 257, 65534, 65535, 65536, 65537, 131072):
        for kind, word in DATA:
            for peer, name in both(f"length/{count}-{word}"):
                payload = (b"abcd" * (count // 4 + 1))[:count]
                cases.stream(name, "RFC 6455 5.2", f"{count} bytes of {word}", peer.message(kind, payload))
    for form, counts in ((16, (0, 1, 5, 124, 125)), (64, (0, 1, 125, 126, 1000, 65535))):
        for count in counts:
            for kind, word in DATA:
                for peer, name in both(f"length-not-minimal/{form}-{count}-{word}"):
                    taken = Peer(name, peer.role).message(kind, b"a" * count, form=form)
                    cases.stream(name, "RFC 6455 5.2", f"{count} bytes announced in {form} bits: the shortest form is a must",
                                 taken, fail(1002), events=[], also=[
                                     {"events": taken.events, "end": OPEN, "why": ANY_FORM}])
    for length in (1 << 63, (1 << 64) - 1, (1 << 63) + 5):
        for kind, word in DATA:
            for peer, name in both(f"length-top-bit/{length:x}-{word}"):
                peer.frame(FIN | kind, b"abcde", announced=length)
                cases.stream(name, "RFC 6455 5.2", "a 64-bit length with its top bit set", peer, fail(1002),
                             also=[{"events": [], "end": fail(1009), "why": "to some it is only too long"}])


def limits(cases):
    limit = {"message": 1000, "frame": 600}
    for count, fits in ((599, True), (600, True), (601, False), (1 << 16, False), (1 << 40, False), ((1 << 63) - 1, False)):
        for peer, name in both(f"limit-frame/{count}"):
            if fits:
                peer.binary(b"z" * count)
            else:
                peer.frame(FIN | BINARY, b"z" * 8, announced=count)
            cases.stream(name, "RFC 6455 10.4", f"a frame of {count} bytes where 600 are allowed", peer,
                         OPEN if fits else fail(1009), also=() if fits else [later()], limits=limit)
    for parts in ((500, 500), (500, 501), (600, 400), (600, 401), (10,) * 100, (10,) * 100 + (1,), (0, 600, 0, 400, 0), (600, 600)):
        for kind, word in DATA:
            for peer, name in both(f"limit-message/{parts[0]}-{len(parts)}-{sum(parts)}-{word}"):
                for at, count in enumerate(parts):
                    last = at + 1 == len(parts)
                    peer.frame((CONTINUATION if at else kind) | (FIN if last else 0), b"m" * count, key=SAMPLE_KEY[:4]
                               if peer.role == SERVER else None)
                fits = sum(parts) <= 1000
                if fits:
                    peer.tell(kind, b"m" * sum(parts))
                cases.stream(name, "RFC 6455 10.4", f"{sum(parts)} bytes in {len(parts)} frames where 1000 are allowed", peer,
                             OPEN if fits else fail(1009), limits=limit)


def masks(cases):
    for peer, name in both("wrong-mask"):
        for first in (FIN | TEXT, FIN | BINARY, TEXT, BINARY, FIN | CLOSE, FIN | PING, FIN | PONG):
            for size in (0, 2, 125):
                own = Peer(f"{name}/{first:02x}-{size}", peer.role)
                own.wrongly_masked(first, close_payload(1000)[:size] if first == FIN | CLOSE else b"a" * size)
                cases.stream(f"wrong-mask/{first:02x}-{size}/{peer.role}", "RFC 6455 5.1",
                             "a frame with a mask" if peer.role != SERVER else "a frame without a mask", own, fail(1002))
        own = Peer(name, peer.role).text("before")
        own.wrongly_masked(FIN | TEXT, b"after")
        cases.stream(f"wrong-mask/second-frame/{peer.role}", "RFC 6455 5.1", "the first frame is right, the second is not", own,
                     fail(1002))
    keys = ("00000000", "ffffffff", "01020304", "00ff00ff", "80000001", "37fa213d")
    for at, key in enumerate(keys):
        for count in (1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129):
            if count % len(keys) != at and count > 5:
                continue
            name = f"mask/{key}-{count}"
            peer = Peer(name, SERVER, bytes.fromhex(key)).binary(noise(name, count))
            cases.stream(name, "RFC 6455 5.3", f"{count} bytes under the key {key}", peer)
    for cut in (1, 2, 3, 5, 6):
        name = f"mask/fragments-{cut}"
        cases.stream(name, "RFC 6455 5.3", "each frame has a key of its own, which begins anew", Peer(name, SERVER).binary(
            b"0123456789", [cut, cut + 1]))


def fragments(cases):
    shapes = {
        "two": ([3], ()), "three": ([1, 4], ()), "bytes": ([1, 2, 3, 4, 5], ()), "empty-first": ([0], ()),
        "empty-last": ([6], ()), "empty-middle": ([3, 3], ()), "many-empty": ([0, 0, 0, 3, 3, 3, 6, 6], ()),
        "ping-between": ([3], ([(PING, b"p")],)), "pong-between": ([3], ([(PONG, b"p")],)),
        "controls-between": ([2, 4], ([(PING, b"1"), (PONG, b"2")], [(PING, b""), (PING, b"4")])),
        "ping-125-between": ([1], ([(PING, b"q" * 125)],)),
        "pings-and-empty": ([0, 3, 3], ([(PING, b"a")], [(PING, b"b")], [(PING, b"c")])),
    }
    for word, (cuts, between) in shapes.items():
        for kind, what in DATA:
            for peer, name in both(f"fragments/{word}-{what}"):
                if between:
                    # The message is told of when it ends, behind what came between.
                    peer.message(kind, b"abcdef", cuts, between)
                else:
                    peer.message(kind, b"abcdef", cuts)
                peer.text("next")
                cases.stream(name, "RFC 6455 5.4", f"a {what} in fragments: {word}", peer)
    for kind, what in DATA:
        for peer, name in both(f"fragments/empty-{what}"):
            cases.stream(name, "RFC 6455 5.4", "a message of three empty frames", peer.message(kind, b"", [0, 0]))
    wrong = {
        "continuation-first": [(FIN | CONTINUATION, b"a")],
        "continuation-open-first": [(CONTINUATION, b"a")],
        "continuation-empty-first": [(FIN | CONTINUATION, b"")],
        "text-inside": [(TEXT, b"a"), (FIN | TEXT, b"b")],
        "text-inside-binary": [(BINARY, b"a"), (FIN | TEXT, b"b")],
        "binary-inside": [(TEXT, b"a"), (FIN | BINARY, b"b")],
        "fragment-inside": [(TEXT, b"a"), (CONTINUATION, b"b"), (TEXT, b"c")],
        "text-inside-behind-a-pong": [(BINARY, b"a"), (FIN | PONG, b""), (FIN | TEXT, b"b")],
        "empty-inside-empty": [(TEXT, b""), (FIN | TEXT, b"")],
    }
    for word, frames in wrong.items():
        for before in (False, True):
            for peer, name in both(f"fragments-wrong/{word}{'-second' if before else ''}"):
                if before:
                    peer.text("first", [2])
                for first, payload in frames:
                    peer.frame(first, payload)
                    if first == FIN | PONG:
                        peer.tell(PONG, payload)
                cases.stream(name, "RFC 6455 5.4", f"what no message allows: {word}", peer, fail(1002))


def controls(cases):
    for kind, word in CONTROL:
        for count in (0, 1, 2, 63, 64, 124, 125):
            for peer, name in both(f"control/{word}-{count}"):
                cases.stream(name, "RFC 6455 5.5", f"a {word} of {count} bytes", peer.control(kind, noise(name, count)))
        for count in (126, 127, 200, 65535, 65536):
            for peer, name in both(f"control-long/{word}-{count}"):
                peer.frame(FIN | kind, b"c" * count)
                cases.stream(name, "RFC 6455 5.5", f"a {word} of {count} bytes", peer, fail(1002))
        for form in (16, 64):
            for peer, name in both(f"control-long/{word}-form-{form}"):
                peer.frame(FIN | kind, b"five.", form=form).tell(kind, b"five.")
                cases.stream(name, "RFC 6455 5.5", f"a {word} of five bytes, announced in {form} bits", peer, fail(1002), events=[],
                             also=[{"events": peer.events, "end": OPEN, "why": ANY_FORM}])
        for inside in (False, True):
            for peer, name in both(f"control-fragment/{word}{'-inside' if inside else ''}"):
                if inside:
                    peer.frame(BINARY, b"a")
                peer.frame(kind, b"a").frame(FIN | CONTINUATION, b"b")
                cases.stream(name, "RFC 6455 5.5", f"a {word} in fragments", peer, fail(1002))
    for count in (2, 10, 100):
        for peer, name in both(f"control-many/{count}"):
            for at in range(count):
                peer.ping(str(at).encode())
            cases.stream(name, "RFC 6455 5.5.3", f"{count} pings: all or the newest are answered", peer.text("end"))


def parts(cases):
    """Streams that end within a frame: what was whole is told, and the rest is waited for."""
    for peer, name in both("part/whole", SAMPLE_KEY):
        whole = Peer(name, peer.role, SAMPLE_KEY).text("x" * 126).input
        for cut in (1, 2, 3, 4, 7, 8, 9, 50, len(whole) - 1):
            own = Peer(name, peer.role, SAMPLE_KEY).ping(b"first").raw(whole[:cut])
            cases.stream(f"part/{cut}/{peer.role}", "RFC 6455 6.2", f"a ping, and {cut} bytes of a text", own)
    early = {
        "opcode-3": bytes([0x83]), "opcode-f": bytes([0x8F]), "rsv2": bytes([0xA1]), "rsv3": bytes([0x91]),
        "fragmented-ping": bytes([0x09]), "continuation": bytes([0x80]),
    }
    for word, first in early.items():
        for peer, name in both(f"early/{word}"):
            peer.raw(first + bytes([0x85 if peer.role == SERVER else 0x05]))
            cases.stream(name, "RFC 6455 5.2", "two bytes of a frame are enough to see that it breaks a rule", peer, fail(1002),
                         also=[later()])
    for peer, name in both("early/long-ping"):
        peer.raw(bytes([0x89, 0xFE if peer.role == SERVER else 0x7E]))
        cases.stream(name, "RFC 6455 5.5", "two bytes of a ping say that it is too long", peer, fail(1002), also=[later()])
    for peer, name in both("early/mask"):
        peer.raw(bytes([0x81, 0x05 if peer.role == SERVER else 0x85]))
        cases.stream(name, "RFC 6455 5.1", "two bytes of a frame say that its mask is wrong", peer, fail(1002), also=[later()])
    for word, first in (("rsv", 0xF1), ("opcode", 0x8B), ("continuation", 0x80), ("mask", None)):
        for peer, name in both(f"after-a-fault/{word}"):
            peer.text("before").ping(b"p")
            peer.wrongly_masked(FIN | TEXT, b"x") if first is None else peer.frame(first, b"x")
            told = list(peer.events)
            peer.text("not to be told").ping(b"neither").close(1000)
            cases.stream(name, "RFC 6455 7.1.7", "what comes behind a fault is not processed", peer, fail(1002), events=told)


def mixtures(cases):
    """Honest streams of all kinds, as their names have them."""
    for at in range(40):
        for peer, name in both(f"mixture/{at}"):
            for step in range(3 + number(f"{name}/steps", 6)):
                pick = f"{name}/{step}"
                kind = number(pick, 5)
                size = (0, 1, 5, 125, 126, 300)[number(f"{pick}/size", 6)]
                if kind < 3:
                    cuts = sorted(number(f"{pick}/cut/{cut}", size + 1) for cut in range(number(f"{pick}/cuts", 4)))
                    between = [[(PING, noise(pick, 3))] if number(f"{pick}/ping/{cut}", 3) == 0 else [] for cut in cuts]
                    if kind == 0:
                        peer.text(noise(pick, size).hex()[:size], cuts, between)
                    else:
                        peer.binary(noise(pick, size), cuts, between)
                else:
                    peer.control((PING, PONG)[kind - 3], noise(pick, min(size, 125)))
            end = OPEN
            if at % 2:
                peer.close((1000, 1001, 3000, 4999)[at // 2 % 4], ("", "bye", "grüße")[at % 3])
                end = CLOSED
            cases.stream(name, "RFC 6455 5", "messages, fragments and control frames, all of them right", peer, end)


def make():
    cases = Cases("frames")
    for section in (samples, first_bytes, lengths, limits, masks, fragments, controls, parts, mixtures):
        section(cases)
    return cases.cases
