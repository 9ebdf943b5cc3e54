"""HTTP heads for the vectors of handshakes."""
import base64
import hashlib

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 1.3
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest()).decode()


def message(first, fields, end="\r\n"):
    return end.join([first, *(f"{name}: {value}" for name, value in fields), "", ""])


def request(first="GET /chat HTTP/1.1", more=(), **changed):
    """The request of RFC 6455 1.2, with fields changed, left out with `None`, or added."""
    fields = {"Host": "server.example.com", "Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Key": KEY,
              "Sec_WebSocket_Version": "13", **changed}
    given = [(name.replace("_", "-"), value) for name, value in fields.items() if value is not None]
    return message(first, [*given, *more])


def response(first="HTTP/1.1 101 Switching Protocols", more=(), **changed):
    """The answer to it, in the same way."""
    fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Accept": accept_of(KEY), **changed}
    given = [(name.replace("_", "-"), value) for name, value in fields.items() if value is not None]
    return message(first, [*given, *more])
