"""Frame streams made from seeds, good and bad, and what an echo makes of them.

Each stream ends: with a frame that breaks a rule, or with a close frame. So what an echo sends back tells all that it made of
it: the messages that it took, the pings that it answered, and the code it closed with. With permessage-deflate negotiated,
some messages of a stream are compressed, with a window of 12 bits at most, which any agreement permits; they refer to those
before them in every other stream, which needs one that keeps the context.
"""
import random
import socket
import zlib

SECONDS = 20  # for one stream
TEXTS = ["", "a", "grüße, 世界 🌍", "é" * 63, "x" * 125, "x" * 126, "€" * 21_845, "y" * 65_536]


def frame(first, payload, key=None, length=None):
    """A frame, masked if there is a key; `length` replaces the bytes that say how long it is."""
    if length is None:
        count = len(payload)
        if count < 126:
            length = bytes([count])
        elif count < 1 << 16:
            length = bytes([126]) + count.to_bytes(2, "big")
        else:
            length = bytes([127]) + count.to_bytes(8, "big")
    if key is None:
        return bytes([first]) + length + payload
    masks = (key * (len(payload) // 4 + 1))[:len(payload)]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(masks, "big")).to_bytes(len(payload), "big")
    return bytes([first, length[0] | 0x80]) + length[1:] + key + masked


# What breaks a rule: its name, the code that RFC 6455 asks for, the frames, and whether it comes inside a message. In place of
# a payload's frame, raw bytes stand for themselves.
FAULTS = [
    ("a reserved opcode", 1002, [(0x83, b"x")], None),
    ("a reserved opcode of control frames", 1002, [(0x8B, b"")], None),
    ("RSV1 without an extension", 1002, [(0xC1, b"x")], None),
    ("RSV2", 1002, [(0xA2, b"x")], None),
    ("RSV3 on a ping", 1002, [(0x99, b"x")], None),
    ("a ping in fragments", 1002, [(0x09, b"x")], None),
    ("a ping of 126 bytes", 1002, [(0x89, b"x" * 126)], None),
    ("a continuation of nothing", 1002, [(0x80, b"x")], False),
    ("a message inside another", 1002, [(0x81, b"x")], True),
    ("a text that is not UTF-8", 1007, [(0x81, b"a\xff")], False),
    ("a surrogate", 1007, [(0x81, b"\xed\xa0\x80")], False),
    ("a character beyond U+10FFFF", 1007, [(0x81, b"\xf4\x90\x80\x80")], False),
    ("an overlong form", 1007, [(0x81, b"\xc0\xaf")], False),
    ("a text that ends inside a character", 1007, [(0x01, b"a\xe2"), (0x80, b"\x82")], False),
    ("a close frame of one byte", 1002, [(0x88, b"\x03")], None),
    ("a close code that is not for the wire", 1002, [(0x88, b"\x03\xed")], None),
    ("a close code that nobody has", 1002, [(0x88, b"\x03\xe7")], None),
    ("a close reason that is not UTF-8", 1007, [(0x88, b"\x03\xe8\xff")], None),
    ("a wrong mask", 1002, None, None),
    ("a length that is not minimal", 1002, [(0x82, b"xyz", b"\x7e\x00\x03")], False),
    ("a length with its top bit set", 1002, [(0x82, b"", b"\x7f\x80" + bytes(7))], False),
]


def deflated(payload, codec=None):
    """A payload compressed as RFC 7692 7.2.1 has it."""
    codec = codec or zlib.compressobj(wbits=-12)
    return (codec.compress(payload) + codec.flush(zlib.Z_SYNC_FLUSH))[:-4]


# What an extension makes right, and what breaks its rules.
OUTSIDE = {"RSV1 without an extension"}
COMPRESSED = [
    ("RSV1 on a ping", 1002, [(0xC9, b"x")], None),
    ("RSV1 on a continuation", 1002, [(0x01, b"a"), (0xC0, b"b")], False),
    ("RSV1 on the end of a compressed message", 1002, [(0x42, deflated(b"a")), (0xC0, b"")], False),
    ("RSV2 beside RSV1", 1002, [(0xE1, deflated(b"x"))], None),
    ("a compressed message inside another", 1002, [(0xC1, deflated(b"x"))], True),
    ("a block of a reserved type", 1007, [(0xC2, b"\x07")], False),
    ("a stored block that lies about its length", 1007, [(0xC2, b"\x00\x05\x00\x05\x00hello")], False),
    ("a distance code that does not exist", 1007, [(0xC2, b"\x02\x3e")], False),
    ("a compressed text that is not UTF-8", 1007, [(0xC1, deflated(b"a\xff"))], False),
    ("a compressed text that ends inside a character", 1007, [(0xC1, deflated(b"a\xe2\x82"))], False),
    ("a message that inflates to more than allowed", 1009, [(0xC2, deflated(bytes((64 << 20) + 1)))], False),
]

CORRUPT = "RFC 7692 7.2.2: no code is named for data that don't inflate; they take the one of a broken rule"

# The codes that others close with, and the rule that makes the difference.
EXPLAINED = {
    "a length that is not minimal": ({"websockets": 1000, "ws": 1000},
                                     "RFC 6455 5.2: the minimal number of bytes MUST be used; they take any"),
    "a block of a reserved type": ({"websockets": 1002}, CORRUPT),
    "a stored block that lies about its length": ({"websockets": 1002}, CORRUPT),
    "a distance code that does not exist": ({"websockets": 1002}, CORRUPT),
    "a length with its top bit set": ({"websockets": 1009, "ws": 1009},
                                      "RFC 6455 5.2: the top bit MUST be 0; to them it is only too long"),
}


def stream(seed, masked, compressed=False):
    """A stream of frames as bytes, the fault in it or None, and the code to close with."""
    rng = random.Random(seed)
    faults = [fault for fault in FAULTS if fault[0] not in OUTSIDE] + COMPRESSED * 2 if compressed else FAULTS
    codec = zlib.compressobj(wbits=-12) if compressed and seed % 2 else None

    def one(first, payload, length=None, masked=masked):
        return frame(first, payload, rng.randbytes(4) if masked else None, length)

    def control():
        return one(rng.choice([0x89, 0x8A]), rng.randbytes(rng.choice([0, 1, 124, 125]))) if rng.random() < 0.3 else b""

    def fragments(first, payload, last=True):
        cuts = sorted(rng.randrange(len(payload) + 1) for _ in range(rng.randrange(4)))
        parts = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)])]
        out = b""
        for index, part in enumerate(parts):
            fin = 0x80 if last and index + 1 == len(parts) else 0
            out += control() + one(fin | (first if index == 0 else 0), part)
        return out

    out = b""
    for _ in range(rng.randrange(6)):
        text = rng.random() < 0.5
        payload = rng.choice(TEXTS).encode() if text else rng.randbytes(rng.choice([0, 1, 125, 126, 127, 1000, 65_535, 70_000]))
        first = 1 if text else 2
        if compressed and rng.random() < 0.7:
            first, payload = first | 0x40, deflated(
                payload, codec or zlib.compressobj(rng.choice([0, 1, 6, 9]), wbits=-rng.randrange(9, 13)))
        out += control() + fragments(first, payload)
    fault = rng.choice(faults) if rng.random() < 0.6 else None
    if fault is None:
        code = rng.choice([1000, 1001, 3000, 4999])
        return out + one(0x88, code.to_bytes(2, "big") + rng.choice(["", "bye", "ü" * 61]).encode()), None, code
    name, code, frames, inside = fault
    if inside or inside is None and rng.random() < 0.5:
        out += fragments(2, b"begun", last=False)
    for wrong in frames or ():
        out += one(*wrong)
    if frames is None:
        out += one(0x89, b"x", masked=not masked)
    if name in EXPLAINED:
        out += one(0x88, b"\x03\xe8")  # for those who go on
    return out, name, code


def take_frame(data):
    """The frame at the front: its first byte, its payload and how many bytes it has; None if more are wanted."""
    if len(data) < 2:
        return None
    at, length = 2, data[1] & 0x7F
    if length > 125:
        at += 2 if length == 126 else 8
        length = int.from_bytes(data[2:at], "big")
    key = bytes(4)
    if data[1] & 0x80:
        key, at = data[at:at + 4], at + 4
    if len(data) < at + length:
        return None
    payload = data[at:at + length]
    return data[0], payload if key == bytes(4) else frame(0, payload, key)[-length:] if length else b"", at + length


class Outcome:
    """What an echo sent: its messages, its pongs, and the code of its close frame, or None."""

    def __init__(self):
        self.messages, self.pongs, self.code = [], [], None


def outcome(data):
    result, parts = Outcome(), []
    inflater = zlib.decompressobj(-15)  # of all messages: the other end may refer to those before
    while taken := take_frame(data):
        first, payload, size = taken
        data = data[size:]
        opcode = first & 0x0F
        if opcode == 8:
            result.code = int.from_bytes(payload[:2], "big") if payload else 1005
        elif opcode == 10:
            result.pongs.append(payload)
        elif opcode < 8:
            parts.append((first, payload))
            if first & 0x80:
                message = b"".join(payload for _, payload in parts)
                if parts[0][0] & 0x40:
                    message = inflater.decompress(message + b"\x00\x00\xff\xff")
                result.messages.append((parts[0][0] & 0x0F, message))
                parts = []
    return result


def has_close(data):
    while taken := take_frame(data):
        if taken[0] & 0x0F == 8:
            return True
        data = data[taken[2]:]
    return False


def exchange(connection, data, seed):
    """Sends the stream in parts, and reads until the other end has closed; what it sent."""
    rng = random.Random(seed)
    connection.settimeout(SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    got = b""
    try:
        while data:
            part = rng.choice([1, 7, 1000, 1 << 20])
            connection.sendall(data[:part])
            data = data[part:]
            if rng.random() < 0.9:
                part = 1 << 20
                connection.sendall(data[:part])
                data = data[part:]
        while not has_close(got):
            more = connection.recv(1 << 20)
            if not more:
                break
            got += more
    except (BrokenPipeError, ConnectionResetError):
        pass
    return outcome(got)


def read_head(connection):
    connection.settimeout(SECONDS)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionError(f"a head that ends: {head!r}")
        head += byte
    return head.decode()
