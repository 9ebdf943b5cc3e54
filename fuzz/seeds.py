#!/usr/bin/env python3
"""Writes the seeds: `python3 fuzz/seeds.py` fills fuzz/seeds/. What each input begins with is told by the structs in
src/, whose fields come one after the other."""

import shutil
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent / "seeds"
KEY = bytes([0x37, 0xFA, 0x21, 0x3D])
WHOLE, BYTES, MIXED = b"\xff" * 4, b"\1" * 4, b"\3\0\x07\1"


def frame(first, payload=b"", key=None):
    """A frame, masked if there is a key."""
    mask = 0x80 if key is not None else 0
    length = len(payload)
    if length < 126:
        head = bytes([first, mask | length])
    elif length < 0x10000:
        head = bytes([first, mask | 126]) + length.to_bytes(2, "big")
    else:
        head = bytes([first, mask | 127]) + length.to_bytes(8, "big")
    if key is None:
        return head + payload
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def deflated(data, bits=15, level=6, flush=zlib.Z_SYNC_FLUSH):
    """The payload of a compressed message (RFC 7692 section 7.2.1)."""
    codec = zlib.compressobj(level, zlib.DEFLATED, -bits)
    out = codec.compress(data) + codec.flush(flush)
    return out.removesuffix(b"\0\0\xff\xff") if flush == zlib.Z_SYNC_FLUSH else out


TEXT = "Stra\u00dfe \u20ac \U0001d11e".encode()
JSON = b'{"id":1,"name":"tick","price":[101.25,101.5],"tags":["a","b"]}' * 4

# Messages as lists of (first byte, payload).
MESSAGES = {
    "text": [(0x81, b"Hello")],
    "empty": [(0x81, b""), (0x82, b"")],
    "fragments": [(0x01, b"Hel"), (0x80, b"lo")],
    "interleaved": [(0x02, b"a"), (0x89, b"ping"), (0x00, b"b"), (0x8A, b""), (0x80, b"c")],
    "utf8": [(0x01, TEXT[:6]), (0x00, TEXT[6:12]), (0x80, TEXT[12:])],
    "utf8_bad": [(0x01, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"), (0x80, b"edited")],
    "utf8_cut": [(0x81, b"a\xf0\x9d\x84")],
    "pings": [(0x89, b"one"), (0x89, b"two"), (0x89, b"\0" * 125)],
    "close": [(0x88, b"\x03\xe8bye"), (0x81, b"behind")],
    "close_empty": [(0x88, b"")],
    "close_short": [(0x88, b"\x03")],
    "close_code": [(0x88, b"\x03\xed")],
    "close_utf8": [(0x88, b"\x03\xe8\xff")],
    "long": [(0x82, b"x" * 126), (0x81, b"y" * 300)],
    "opcode": [(0x83, b"")],
    "rsv": [(0xA1, b"a")],
    "continuation": [(0x80, b"a")],
    "new_inside": [(0x01, b"a"), (0x81, b"b")],
    "fragmented_ping": [(0x09, b"a")],
    "many_empty": [(0x01, b"")] + [(0x00, b"")] * 20 + [(0x80, b"")],
}

RAW = {
    "long_form_16": b"\x82\xfe\x00\x05" + KEY + b"abcde",
    "long_form_64": b"\x82\x7f" + (5).to_bytes(8, "big") + b"abcde",
    "top_bit": b"\x82\xff" + b"\xff" * 8 + KEY,
    "lie": b"\x82\x7f" + (1 << 62).to_bytes(8, "big") + b"abc",
    "large": b"\x02\xff" + (70000).to_bytes(8, "big") + bytes(4) + b"z" * 600,
    "ping_long": b"\x89\xfe\x00\x7e" + KEY,
}

# RFC 7692 section 7.2.3, and more.
COMPRESSED = {
    "hello": bytes.fromhex("f248cdc9c90700"),
    "hello_again": bytes.fromhex("f200110000"),
    "stored": bytes.fromhex("000500faff48656c6c6f00"),
    "final_block": bytes.fromhex("f348cdc9c9070000"),
    "two_blocks": bytes.fromhex("f248050000 00ffffcac9c90700".replace(" ", "")),
    "empty": b"\x00",
    "nothing": b"",
    "json": deflated(JSON),
    "json_9": deflated(JSON, 9, 1),
    "text": deflated(TEXT),
    "bomb": deflated(b"\0" * 100000),
    "finished": deflated(JSON, 15, 9, zlib.Z_FINISH),
    "corrupt": deflated(JSON)[:20] + b"\xff" + deflated(JSON)[21:],
    "bad_utf8": deflated(b"a\xff"),
}


def settings(flags=0, message=0, frame_=0, fragments=0, outbound=0, own=6, peer=6, effort=0):
    return bytes([flags, message, frame_, fragments, outbound, own, peer, effort])


def streams(to_server):
    key = KEY if to_server else None
    for name, frames in MESSAGES.items():
        yield name, b"".join(frame(first, payload, key) for first, payload in frames)
    for name, data in COMPRESSED.items():
        yield "deflate_" + name, frame(0xC1 if name != "bomb" else 0xC2, data, key)
    yield from RAW.items()


def write(target, name, data):
    directory = HERE / target
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(data)


def write_streams():
    for target, to_server in [("server_stream", True), ("client_stream", False)]:
        for name, data in streams(to_server):
            flags = 8 if name.startswith("deflate") else 0
            prefix = settings(flags) + MIXED + WHOLE
            write(target, name, prefix + b"\0" + data)
        script = b"".join(bytes([first, len(payload)]) + payload for first, payload in MESSAGES["interleaved"])
        write(target, "script", settings(0, 9, 9) + BYTES + WHOLE + b"\1" + script)
        write(target, "script_pieces", settings(8, 0, 0, 3) + BYTES + WHOLE + b"\x27" + script)
        write(target, "script_large", settings() + MIXED + WHOLE + b"\x35\x02\xff0123456789abcdef\x80\x03efg")
    for name, data in streams(True):
        write("cuts", name, settings(8 if name.startswith("deflate") else 0) + BYTES + MIXED + b"\0" + data)
    for name, data in streams(False):
        if name in ("utf8", "interleaved", "deflate_json", "large"):
            write("cuts", "client_" + name, settings(8) + BYTES + MIXED + b"\x0a" + data)
    write("cuts", "script_large", settings() + MIXED + BYTES + b"\5\x02\xff0123456789abcdef\x80\x03efg")


def write_headers():
    for name, data in list(streams(True)) + list(streams(False)):
        write("frame_header", name, data[:14].ljust(14, b"\0"))
    write("frame_header", "short", b"\x81")


REQUEST = (
    "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
REQUESTS = {
    "rfc": REQUEST + "Origin: https://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n\r\n",
    "chrome": "GET /socket?room=7&x=%20 HTTP/1.1\r\nHost: example.com:8080\r\nConnection: Upgrade\r\nPragma: no-cache\r\n"
    "Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: http://example.com:8080\r\n"
    "Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n"
    "Cookie: session=0123456789abcdef; theme=dark\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
    "firefox": "GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) "
    "Gecko/20100101 Firefox/128.0\r\nAccept: */*\r\nAccept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\nSec-WebSocket-Version: 13\r\nOrigin: null\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\nDNT: 1\r\n"
    "Connection: keep-alive, Upgrade\r\nSec-Fetch-Dest: empty\r\nSec-Fetch-Mode: websocket\r\n"
    "Sec-Fetch-Site: same-origin\r\nPragma: no-cache\r\nCache-Control: no-cache\r\nUpgrade: websocket\r\n\r\n",
    "absolute": REQUEST.replace("/chat", "http://example.com/chat?a") + "\r\n",
    "ipv6": REQUEST.replace("example.com", "[::1]:80") + "Origin: http://[::1]\r\n\r\n",
    "plain": "GET /favicon.ico HTTP/1.1\r\nHost: example.com\r\nAccept: image/*\r\n\r\n",
    "post": "POST /form HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\n\r\na=b",
    "http_1_0": REQUEST.replace("1.1", "1.0") + "\r\n",
    "version_8": REQUEST.replace("13", "8") + "\r\n",
    "bad_key": REQUEST.replace("ZQ==", "Zg==") + "\r\n",
    "two_hosts": REQUEST + "Host: example.com\r\n\r\n",
    "other_origin": REQUEST + "Origin: https://evil.example\r\n\r\n",
    "quoted": REQUEST + 'Sec-WebSocket-Extensions: a; b="c\\"d", permessage-deflate; server_max_window_bits="10"\r\n\r\n',
    "offers": REQUEST + "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8, permessage-deflate; "
    "client_max_window_bits=10; server_no_context_takeover\r\n\r\n",
    "folded": REQUEST + "X: a\r\n b\r\n\r\n",
    "bare_lf": REQUEST.replace("\r\n", "\n") + "\n",
    "nul": REQUEST + "X: a\0b\r\n\r\n",
    "space_before_colon": REQUEST + "X : a\r\n\r\n",
    "many_fields": REQUEST + "a: b\r\n" * 120 + "\r\n",
    "cut": REQUEST,
}


def write_requests():
    for name, head in REQUESTS.items():
        write("server_head", name, b"\0\0\0\2" + bytes(3) + b"X-A\0value\0\0\0" + MIXED + head.encode())
    chrome = REQUESTS["chrome"].encode()
    frames = frame(0x81, b"Hello", KEY) + frame(0x89, b"hi", KEY) + frame(0x88, b"\x03\xe8", KEY)
    write("server_head", "frames_behind", b"\0\0\0\2" + bytes(3) + bytes(12) + MIXED + REQUESTS["rfc"].encode() + frames)
    compressed = frame(0xC1, COMPRESSED["json"], KEY)
    write("server_head", "compressed", b"\0\0\0\x66" + b"\6\6\0" + bytes(12) + BYTES + chrome + compressed)
    write("server_head", "rejected", b"\0\0\0\xa0" + bytes(3) + b"Loc\0/else\0\0\x6d" + MIXED + REQUESTS["plain"].encode())
    write("server_head", "limited", b"\x80\0\4\0" + bytes(3) + bytes(12) + MIXED + chrome)
    write("server_head", "unanswered", b"\0\0\0\xe2" + bytes(3) + bytes(12) + MIXED + REQUESTS["rfc"].encode() + frames)


RESPONSE = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"
RESPONSES = {
    "rfc": RESPONSE + "Sec-WebSocket-Protocol: chat\r\n\r\n",
    "plain": RESPONSE + "\r\n",
    "deflate": RESPONSE + DEFLATE + "; server_no_context_takeover; client_no_context_takeover\r\n\r\n",
    "deflate_bits": RESPONSE + DEFLATE + "; client_max_window_bits=9; server_max_window_bits=9; "
    "server_no_context_takeover\r\n\r\n",
    "deflate_twice": RESPONSE + DEFLATE + ", permessage-deflate\r\n\r\n",
    "interim": "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + RESPONSE + "\r\n",
    "bad_accept": RESPONSE.replace("s3pP", "S3pP") + "\r\n",
    "no_upgrade": RESPONSE.replace("Upgrade: websocket\r\n", "") + "\r\n",
    "redirect": "HTTP/1.1 302 Found\r\nLocation: wss://example.com/\r\nContent-Length: 5\r\n\r\nThere",
    "unauthorized": 'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="a"\r\nContent-Length: 0\r\n\r\n',
    "chunked": "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0C;ext=1\r\n0123456789ab\r\n0\r\n\r\n",
    "until_eof": "HTTP/1.0 200 OK\r\n\r\n<html>",
    "no_content": "HTTP/1.1 204 No Content\r\n\r\n",
    "http_2": "HTTP/2 101\r\n\r\n",
    "cut": RESPONSE,
}


PROXIES = {
    "tcp4": b"PROXY TCP4 192.0.2.7 10.0.0.1 4000 443\r\n",
    "tcp6": b"PROXY TCP6 2001:db8::7 ::1 4000 443\r\n",
    "unknown": b"PROXY UNKNOWN\r\n",
    "second": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([192, 0, 2, 7, 10, 0, 0, 1, 15, 160, 1, 187]),
    "local": b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    "tls": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x14" + bytes([192, 0, 2, 7, 10, 0, 0, 1, 15, 160, 1, 187, 32, 0, 5, 1, 0, 0, 0, 0]),
    "fields": b"for=192.0.2.7;proto=https, for=10.0.0.2" + b"6.6.6.6, 192.0.2.7, 10.0.0.2" + b"https",
}


def write_proxies():
    for name, data in PROXIES.items():
        write("proxy_header", name, b"\5" + data)


def write_responses():
    for name, head in RESPONSES.items():
        ways = 7 if "deflate" in name else 1
        write("client_head", name, b"\0\0\0" + bytes([ways]) + b"\6\6\0" + MIXED + head.encode())
    frames = frame(0x81, b"Hello") + frame(0x89, b"hi") + frame(0x88, b"\x03\xe8bye")
    write("client_head", "frames_behind", b"\0\0\0\1" + bytes(3) + MIXED + RESPONSES["rfc"].encode() + frames)
    write("client_head", "limited", b"\x60\0\3\1" + bytes(3) + BYTES + RESPONSES["interim"].encode())
    body = "HTTP/1.1 404 Not Found\r\nContent-Length: 5000\r\n\r\n" + "x" * 4200
    write("client_head", "long_body", b"\0\0\0\1" + bytes(3) + MIXED + body.encode())


EXTENSIONS = [
    "",
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
    'permessage-deflate; server_max_window_bits="15"; client_max_window_bits="\\1\\0"',
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    "permessage-deflate; server_max_window_bits=8, permessage-deflate; client_max_window_bits=8",
    "permessage-deflate; server_max_window_bits=010",
    "permessage-deflate; server_max_window_bits",
    "permessage-deflate; unknown=1, permessage-deflate",
    "permessage-deflate; client_max_window_bits; client_max_window_bits",
    "foo,\tbar; baz=2",
    "mux; max-channels=4; flow-control, deflate-stream",
    'a ;b = "c" ; d="\\e\\f"',
    "a;, b; =c, d=e, ,",
    'a; b="c, d; e"',
]


def write_extensions():
    for index, value in enumerate(EXTENSIONS):
        write("extension_header", f"{index:02}", bytes([6, 6, 0, 0x86, 3, 0]) + value.encode())
    write("extension_header", "windows", bytes([0, 0x83, 0, 0x82, 0x81, 0]) + EXTENSIONS[2].encode())


def write_compressed():
    for name, data in COMPRESSED.items():
        script = bytes([1 if name in ("hello", "text", "bad_utf8") else 0, 255]) + data
        write("inflate", name, settings() + MIXED + BYTES + b"\0" + script)
    hello, again = COMPRESSED["hello"], COMPRESSED["hello_again"]
    two = bytes([1, len(hello)]) + hello + bytes([1, len(again)]) + again
    write("inflate", "takeover", settings(own=0x86, peer=0x86) + MIXED + BYTES + b"\2" + two)
    cut = bytes([3, 4]) + hello[:4] + bytes([2, 0]) + bytes([0, 255]) + hello[4:]
    write("inflate", "fragments", settings() + BYTES + WHOLE + b"\0" + cut)
    write("inflate", "limited", settings(message=9) + BYTES + WHOLE + b"\0\0\xff" + COMPRESSED["bomb"])
    for index, (how, length, data) in enumerate(
        [(0, 60, JSON[:60]), (5, 5, b"Hello"), (1, 200, b"abcabcabc"), (12, 255, b"0123456789abcdef"), (0x6D, 90, JSON[:90])]
    ):
        script = bytes([how, length]) + data + bytes([how ^ 4, 40]) + JSON[:40] + bytes([how, length]) + data
        for own in (6, 0x80):
            write("inflate", f"data_{index}_{own}", settings(own=own, peer=0x83) + MIXED + BYTES + b"\1" + script)


# Operations of three bytes, of the client or (0x80) the server.
RUN, CLOSE, ABORT, HANG, KILL, LATER = b"\x1f\0\0", b"\x08\0\0", b"\x09\0\0", b"\x0a\0\0", b"\x0b\xff\0", b"\x0c\xff\0"
SCRIPTS = {
    "hello": RUN + b"\x01\x05\0" + RUN,
    "both": RUN + b"\x01\x05\0\x82\x50\1\x00\xff\2\x83\xc0\3" + RUN + b"\x88\0\0" + RUN,
    "fragments": RUN + b"\x05\x07\1\x07\x05\0\x05\x0c\1\x85\x04\1\x04\x03\0\x88\2\1" + RUN + b"\x85\x0e\0" + RUN,
    "pings": RUN + b"\x06\x04\0\x86\x09\0\x07\x7d\0\x06\x7e\0" + RUN + b"\x06\x05\0" + LATER * 4,
    "close_under_way": RUN + b"\x05\x05\1" + CLOSE + b"\x05\x0e\0" + RUN + b"\x01\x05\0",
    "abort": RUN + b"\x00\xff\0\x00\xf0\0" + ABORT + RUN,
    "hang": RUN + HANG + b"\x80\xff\0\x80\xff\1" + LATER * 8,
    "kill": RUN + b"\x01\x05\0" + KILL + b"\x81\x05\0" + RUN + LATER,
    "full": RUN + b"\x12\0\3\x0e\0\0" + b"\x01\xff\0" * 4 + b"\x06\x10\0" + RUN + b"\x01\x05\0" + RUN,
    "storage": RUN + b"\x0d\1\5\x01\xff\1\x0f\x20\0\x06\x05\0\x01\xc0\2" + RUN + b"\x10\xf0\0\x11\x40\0" + LATER,
}


def write_pairs():
    deadlines = bytes([200, 100, 50, 0xFF, 80])
    for name, script in SCRIPTS.items():
        for ways in (0, 2):
            plain = settings() + deadlines
            write("pair", f"{name}_{ways}", plain + plain + bytes([7, 0, 0, ways]) + script)
        packed = settings(8, own=0x86, peer=0x86, effort=0x40) + deadlines
        write("pair", f"{name}_deflate", packed + packed + bytes([0, 20, 40, 0x40]) + script)
    write("pair", "rejected", settings() + deadlines + settings() + deadlines + bytes([0, 0, 0, 1]) + SCRIPTS["hello"])
    relayed = b"\x01\x05\0\x00\xff\0\x02\x07\1\x02\x07\0\x06\0\0\x04\x08\0\x01\xc0\0\x06\0\0\x05\xff\0"
    for name, flags, ways in [("plain", 0, 0x80), ("deflate", 8, 0x80), ("back", 8, 0x81)]:
        ends = (settings(flags, own=0x86, peer=0x86, effort=0x40) + deadlines) * 2
        write("pair", f"relay_{name}", ends + bytes([9, 255, 30, ways]) + relayed)


def write_drivers():
    # Read, take all, write, read one byte, take one event, visit another, hold, go on.
    mixed = bytes([0, 40, 4, 0, 8, 9, 0, 1, 6, 0, 11, 0, 13, 0, 14, 0])
    for ways in (4, 0x0D, 0x24, 0x35):
        for name, data in streams(to_server=not ways & 1):
            if name in ("interleaved", "pings", "utf8", "close", "long", "deflate_json", "large"):
                for kind, calls in [("told", bytes(16)), ("mixed", mixed)]:
                    flags = 8 if name.startswith("deflate") else 0
                    write("driver", f"{name}_{ways}_{kind}", settings(flags) + bytes([ways]) + calls + data)
    script = b"\x02\xff0123456789abcdef\x80\x03efg\x81\xc8abcdefghijklmnop\x88\x02\x03\xe8"
    for ways in (6, 0x2E, 0x37):
        write("driver", f"script_{ways}", settings(outbound=3) + bytes([ways]) + mixed + script)


def write_sessions():
    deadlines = bytes([200, 100, 50, 0xFF, 80])
    scripts = {
        "echo": b"\x00\x05\x80\x40\x00\xff\x05\x04",
        "stopped": b"\x09\0" + b"\x00\xff" * 3 + b"\x10\xf0\x0b\x20\x0a\0\x00\x09",
        "timers": b"\x11\x20\x0b\x01\x11\x21\x0b\xff\x0b\xff",
        "raw": b"\x27\x03abc\x08\x05\x81\x83\0\0\0\x08\x04\0abc\x07\x7d" + b"x" * 125,
        "pieces": b"\x14\0\x00\xff\x80\x09\x14\1\x00\x05",
        "paused": b"\x0e\0\x00\x05\x10\x05\x0b\x30\x0f\0\x0c\0",
        "asked": b"\x15\2\x15\5\x15\4\x15\0\x00\5",
        "gone": b"\x00\xff\x0d\xff\x0b\x05",
        "aborted": b"\x10\xff\x13\xff\x00\x05",
    }
    for name, script in scripts.items():
        write("session", name, settings() + deadlines + script)
    # Ends with input that is read only when what waits has been taken.
    late = b"\x0e\0\x01x\x09\0\x04o\x02i\x10:\x0f\0\x05x\x01m\x10l\x05.\x03o\x0d\xff"
    write("session", "late", b"cl//exam" + b"pleie" + late)
    write("session", "deflate", settings(8, own=0x86, peer=0x86, effort=0x40) + deadlines + scripts["echo"])


def write_tapes():
    plain = settings() + b"\2"
    write("tape", "recorded", plain + b"\x01\x05hello\x0d\3\x0d\xff\x02\x03abc\x00\x04\x81\x85\0\0\x04\x20\x09\0\x0d\xff\x0c\xff")
    write("tape", "recorded_client", settings(8, own=0x86, peer=0x86) + b"\3" + b"\x04\x20\x06\x40\x07\x03\x47\5\x0d\xff\x0b\x0f")
    steps = [b"\0\0\0\1\2\x81\x80\0", b"\0\1\0\4\1a\0", b"\0\1\0\5\0\2hi\0\0", b"\0\1\0\x0e\0\1x\0", b"\1\0\0\x10\0"]
    write("tape", "framed", settings() + b"\4" + b"".join(bytes([len(step)]) + step for step in steps))
    write("tape", "head", settings() + b"\0" + b"sl-tape\1")


def write_stages():
    for name, flags in [("plain", 0), ("deflate", 8)]:
        write("stages", f"sent_{name}", settings(flags) + BYTES + MIXED + b"\0" + bytes(range(0, 256, 5)) * 3)
        script = b"".join(bytes([first, len(payload)]) + payload for first, payload in MESSAGES["interleaved"])
        for ways in (1, 3, 5):
            write("stages", f"script_{name}_{ways}", settings(flags, 9) + BYTES + MIXED + bytes([ways]) + script)


def write_differential():
    limits = b"\xff\xff\xff\xff"
    for role, to_server in [(0, True), (2, False)]:
        for name, data in streams(to_server):
            if not name.startswith("deflate"):
                write("differential", f"{name}_{role}", limits + bytes([role]) + MIXED + WHOLE + data)
    script = b"".join(bytes([first, len(payload)]) + payload for first, payload in MESSAGES["utf8"] + MESSAGES["close"])
    for ways in (1, 3, 5):
        write("differential", f"script_{ways}", limits + bytes([ways]) + BYTES + MIXED + script)
        write("differential", f"limited_{ways}", b"\5\0\4\0" + bytes([ways]) + BYTES + MIXED + script)


if __name__ == "__main__":
    shutil.rmtree(HERE, ignore_errors=True)
    for write_target in [
        write_streams,
        write_headers,
        write_requests,
        write_proxies,
        write_responses,
        write_extensions,
        write_compressed,
        write_pairs,
        write_drivers,
        write_sessions,
        write_tapes,
        write_stages,
        write_differential,
    ]:
        write_target()
