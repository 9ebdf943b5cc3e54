"""A case that grows: what the peer sends, and what an endpoint has to make of it, side by side.

The expectation is written by whoever sends, from the RFC: no implementation has been asked.
"""
from .wire import (BINARY, CLIENT, CLOSE, CONTINUATION, FIN, PING, PONG, RSV1, SERVER, TEXT, close_payload, frame, noise, pack)

OPEN, CLOSED = "open", "closed"


def fail(code=None):
    """The endpoint fails the connection (RFC 6455 7.1.7), with this code, or with any."""
    return {"fail": code}


class Peer:
    """What the peer of an endpoint sends, with the events it makes there."""

    def __init__(self, name, role, key=None):
        self.name, self.role, self.key, self.count = name, role, key, 0
        self.input, self.events = b"", []
        self.parts, self.kind = [], None

    def _key(self):
        self.count += 1
        return None if self.role == CLIENT else self.key or noise(f"{self.name}/{self.count}", 4)

    def raw(self, data):
        self.input += data
        return self

    def frame(self, first, payload=b"", **how):
        """A frame that makes no event by itself."""
        return self.raw(frame(first, payload, how.pop("key", None) or self._key(), **how))

    def wrongly_masked(self, first, payload=b""):
        return self.raw(frame(first, payload, noise(self.name, 4) if self.role == CLIENT else None))

    def tell(self, kind, payload):
        self.events.append({{TEXT: "text", BINARY: "binary", PING: "ping", PONG: "pong"}[kind]: pack(payload)})
        return self

    def message(self, kind, payload, cuts=(), between=(), compressed=None, **how):
        """A message, cut where it is told to, with a control frame after each cut of its own; `compressed` is its form on the
        wire."""
        wire = payload if compressed is None else compressed
        edges = [0, *cuts, len(wire)]
        for at, (start, end) in enumerate(zip(edges, edges[1:])):
            first = (kind | (0 if compressed is None else RSV1)) if at == 0 else CONTINUATION
            self.frame(first | (FIN if at == len(cuts) else 0), wire[start:end], **how)
            if at < len(between):
                for control, data in between[at]:
                    self.control(control, data)
        return self.tell(kind, payload)

    def text(self, text, *args, **how):
        return self.message(TEXT, text.encode() if isinstance(text, str) else text, *args, **how)

    def binary(self, data, *args, **how):
        return self.message(BINARY, data, *args, **how)

    def control(self, opcode, payload=b""):
        return self.frame(FIN | opcode, payload).tell(opcode, payload)

    def ping(self, payload=b""):
        return self.control(PING, payload)

    def pong(self, payload=b""):
        return self.control(PONG, payload)

    def close(self, code=None, reason=""):
        payload = b"" if code is None else close_payload(code, reason.encode())
        self.frame(FIN | CLOSE, payload)
        self.events.append({"close": {"code": code, "reason": reason}})
        return self


class Cases:
    """The cases of a file, in order."""

    def __init__(self, name):
        self.name, self.cases = name, []

    def add(self, name, section, note, expect, also=(), **given):
        case = {"id": f"{self.name}/{name}", "section": section, "note": note, **given, "expect": expect}
        if also:
            case["also_allowed"] = list(also)
        self.cases.append(case)

    def stream(self, name, section, note, peer, end=OPEN, also=(), events=None, **given):
        """What an endpoint makes of a stream of frames; alternatives have the same events, or their own."""
        told = peer.events if events is None else events
        alternatives = [alternative if isinstance(alternative, dict) and "end" in alternative
                        else {"events": told, "end": alternative} for alternative in also]
        self.add(name, section, note, {"events": told, "end": end}, alternatives,
                 role=peer.role, **given, input=pack(peer.input))


def both(name, key=None):
    """The same stream for each role, with the case's name."""
    for role in (SERVER, CLIENT):
        yield Peer(f"{name}/{role}", role, key), f"{name}/{role}"
