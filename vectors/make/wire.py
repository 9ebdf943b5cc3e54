"""Bytes for the vectors: frames, text that compresses as it is told to, and the way bytes stand in JSON.

Nothing here depends on the order in which cases are made, nor on a random source that may change: what looks random is SHA-256
of the case's own name.
"""
import hashlib
import zlib

SERVER, CLIENT = "server", "client"
ROLES = (SERVER, CLIENT)  # who receives

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 0x1, 0x2, 0x8, 0x9, 0xA, 0x0
FIN, RSV1, RSV2, RSV3 = 0x80, 0x40, 0x20, 0x10
SAMPLE_KEY = bytes.fromhex("37fa213d")  # RFC 6455 5.7


def noise(name, count):
    """So many bytes that look random and follow from a name."""
    blocks = (hashlib.sha256(f"{name}/{at}".encode()).digest() for at in range(count // 32 + 1))
    return b"".join(blocks)[:count]


def number(name, below):
    return int.from_bytes(noise(name, 8), "big") % below


def mask(payload, key):
    return bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def length_bytes(count, form=None):
    """The seven bits of the length and what follows them, in the shortest form unless another is asked for (RFC 6455 5.2)."""
    form = form or (7 if count < 126 else 16 if count < 1 << 16 else 64)
    if form == 7:
        return count, b""
    return (126, count.to_bytes(2, "big")) if form == 16 else (127, count.to_bytes(8, "big"))


def frame(first, payload=b"", key=None, form=None, announced=None):
    """A frame: its first byte whole; masked if there is a key; `announced` replaces the payload's own length."""
    seven, extended = length_bytes(len(payload) if announced is None else announced, form)
    if key is None:
        return bytes([first, seven]) + extended + payload
    return bytes([first, seven | 0x80]) + extended + key + mask(payload, key)


def close_payload(code, reason=b""):
    return code.to_bytes(2, "big") + reason


def pack(data):
    """Bytes as they stand in JSON: hex, or a list of parts."""
    parts = parts_of(data)
    return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else parts


def parts_of(data):
    """The parts: hex, of which some is repeated."""
    parts, plain, at = [], bytearray(), 0
    while at < len(data):
        for period in (1, 2, 4):
            end = at + period
            while end < len(data) and data[end] == data[end - period]:
                end += 1
            times = (end - at) // period
            if times * period >= 64:
                if plain:
                    parts.append(plain.hex())
                    plain = bytearray()
                parts.append({"hex": data[at:at + period].hex(), "times": times})
                at += times * period
                break
        else:
            plain.append(data[at])
            at += 1
    if plain or not parts:
        parts.append(plain.hex())
    return parts


def head(text):
    """An HTTP head, or what stands in its place, as it stands in JSON: a character a byte."""
    return [{"latin1": text}]


def deflated(payload, codec=None, level=6, bits=15, strategy=zlib.Z_DEFAULT_STRATEGY):
    """A payload compressed as RFC 7692 7.2.1 has it: flushed, and without the four bytes at the end."""
    codec = codec or zlib.compressobj(level, zlib.DEFLATED, -bits, 8, strategy)
    return (codec.compress(payload) + codec.flush(zlib.Z_SYNC_FLUSH))[:-4]


class Bits:
    """Writes DEFLATE (RFC 1951) by hand, so that it can be wrong where a case wants it to."""

    def __init__(self):
        self.value, self.count = 0, 0

    def put(self, value, count):
        """A number, lowest bit first."""
        self.value |= value << self.count
        self.count += count
        return self

    def code(self, value, count):
        """A Huffman code, highest bit first."""
        return self.put(int(f"{value:0{count}b}"[::-1], 2), count)

    def fixed(self, final=False):
        return self.put(int(final), 1).put(1, 2)

    def literal(self, symbol):
        """A literal or a length symbol of the fixed code (RFC 1951 3.2.6)."""
        if symbol < 144:
            return self.code(0x30 + symbol, 8)
        if symbol < 256:
            return self.code(0x190 + symbol - 144, 9)
        return self.code(symbol - 256, 7) if symbol < 280 else self.code(0xC0 + symbol - 280, 8)

    def literals(self, data):
        for byte in data:
            self.literal(byte)
        return self

    def copy(self, distance):
        """Three bytes from so far back."""
        back = distance - 1
        extra = max(back.bit_length() - 2, 0)
        symbol = back if back < 4 else 2 * (extra + 1) + (back >> extra & 1)
        return self.literal(257).code(symbol, 5).put(back & ((1 << extra) - 1), extra)

    def end(self):
        return self.literal(256)

    def stored(self, data, final=False, complement=None):
        """A stored block: the only kind whose data lie on whole bytes."""
        self.put(int(final), 1).put(0, 2)
        self.put(0, -self.count % 8)
        count = len(data)
        self.put(count, 16).put(count ^ 0xFFFF if complement is None else complement, 16)
        return self.put(int.from_bytes(data, "little"), 8 * count)

    def flushed(self):
        """All of it, flushed, and without the four bytes at the end."""
        self.put(0, 3)
        return self.bytes()

    def bytes(self):
        return self.value.to_bytes((self.count + 7) // 8, "little")
