"""The cases as they stand in the files, and what an endpoint makes of them."""
import json

FORMAT = 1
SAMPLE = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def load(folder):
    cases = []
    for path in sorted(folder.glob("*.json")):
        file = json.loads(path.read_text())
        if file["format"] != FORMAT:
            raise ValueError(f"{path} has format {file['format']}, and {FORMAT} is read")
        cases += file["cases"]
    return cases


def unpack(data):
    """Bytes of a case, put together from their parts."""
    if isinstance(data, str):
        return bytes.fromhex(data)
    parts = []
    for part in data:
        if isinstance(part, str):
            parts.append(bytes.fromhex(part))
        elif "latin1" in part:
            parts.append(part["latin1"].encode("latin-1"))
        else:
            parts.append(bytes.fromhex(part["hex"]) * part["times"])
    return b"".join(parts)


class Event(tuple):
    """A kind and a payload, or `close` with a code and a reason."""

    @classmethod
    def read(cls, event):
        (kind, value), = event.items()
        return cls((kind, value["code"], value["reason"])) if kind == "close" else cls((kind, unpack(value)))


class Fail(tuple):
    """The end of a connection that failed, with the code of its close frame."""


class Endpoint:
    """One end of a connection, to be filled in. Pings are answered and close frames echoed."""

    failed = False

    def receive(self, data):
        """Takes bytes, and tells of all that they make, as events."""
        raise NotImplementedError

    def sent(self):
        """The bytes that it has to send since the last call."""
        raise NotImplementedError

    def close(self, code, reason):
        raise NotImplementedError


class Outcome:
    """What became of a case."""

    def __init__(self, role, told, failed, sent):
        self.handshake, self.fault = None, None
        if told and told[0][0] in ("open", "rejected"):
            self.handshake, told = told[0], told[1:]
        self.events = told
        frames = []
        try:
            frames = list(unframe(role, sent))
            self.fault = fault_in(frames, told, failed)
        except ValueError as fault:
            self.fault = str(fault)
        closes = [payload for opcode, payload in frames if opcode == 8]
        if failed:
            self.end = Fail([int.from_bytes(closes[0][:2], "big") if closes and closes[0] else None])
        else:
            self.end = "closed" if any(event[0] == "close" for event in told) else "open"

    def __str__(self):
        if self.fault:
            return self.fault
        if self.handshake is None:
            return describe(self.events, self.end)
        kind, *rest = self.handshake
        failed = isinstance(self.end, Fail)
        if kind == "refused":
            return f"refuses with {rest[0]}" + (f" for version {rest[1]}" if rest[1] else "")
        if kind == "rejected":
            return f"tells of {rest[0]}"
        if kind == "silent":
            return "refuses without a response" if failed else "waits for more"
        if kind == "waiting":
            return "fails" if failed else "waits for more"
        if kind == "accepted":
            text = "accepts" + (f" with {' and '.join(filter(None, rest[1:]))}" if any(rest[1:]) else "")
        else:
            text = "opens" + (f" with {rest[0]}" if rest[0] else "") + (", compressed" if rest[1] else "")
        return text + (f", {describe(self.events, self.end)}" if self.events or self.end != "open" else "")


def describe(events, end):
    words = []
    for event in events:
        if words and words[-1][0] == event[0]:
            words[-1][1] += 1
        else:
            words.append([event[0], 1])
    if isinstance(end, Fail):
        end = f"fails with {end[0]}" if end[0] else "fails"
    return ", ".join([word if count == 1 else f"{word} × {count}" for word, count in words] + [end])


def read_response(sent):
    """A server's answer, and what it sent behind it."""
    head, end, behind = sent.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    if not end or not lines[0].startswith(b"HTTP/1.1 "):
        return ("silent",), b""
    status = int(lines[0].split()[1])
    fields = {name.lower(): value.strip().decode() for name, _, value in (line.partition(b":") for line in lines[1:])}
    if status != 101:
        return ("refused", status, fields.get(b"sec-websocket-version")), b""
    return ("accepted", fields.get(b"sec-websocket-accept"), fields.get(b"sec-websocket-protocol"),
            fields.get(b"sec-websocket-extensions")), behind


def unframe(role, sent):
    """The frames that an endpoint with this role sent."""
    while sent:
        if len(sent) < 2:
            raise ValueError("sends half a frame")
        first, second, at = sent[0], sent[1], 2
        size = {126: 2, 127: 8}.get(second & 0x7F, 0)
        length = int.from_bytes(sent[at:at + size], "big") if size else second & 0x7F
        at += size
        if bool(second & 0x80) != (role == "client"):
            raise ValueError("sends a frame with the mask of the other role")
        key = bytes(4)
        if role == "client":
            key, at = sent[at:at + 4], at + 4
        if len(sent) < at + length:
            raise ValueError("sends half a frame")
        if first & 0x70 or first not in (0x88, 0x89, 0x8A):
            raise ValueError("sends a frame that nobody asked for")
        yield first & 0x0F, bytes(byte ^ key[index % 4] for index, byte in enumerate(sent[at:at + length]))
        sent = sent[at + length:]


def fault_in(frames, events, failed):
    """What is wrong with what an endpoint sent, that does not depend on the case (RFC 6455 5.5.1 to 5.5.3)."""
    pings = [event[1] for event in events if event[0] == "ping"]
    owed, pongs = iter(pings), [payload for opcode, payload in frames if opcode == 10]
    if not all(any(ping == pong for ping in owed) for pong in pongs):
        return "sends a pong that answers no ping"
    closes = [payload for opcode, payload in frames if opcode == 8]
    closed = any(event[0] == "close" for event in events)
    if len(closes) > 1:
        return "sends two close frames"
    opcodes = [opcode for opcode, _ in frames]
    # A ping may be answered as long as the peer's close frame has not come.
    if closes and any(opcode != 10 for opcode in opcodes[opcodes.index(8) + 1:]):
        return "sends something behind its close frame"
    if closes and not is_close_payload(closes[0]):
        return "sends a close frame that nobody may send"
    if closed and not closes:
        return "does not answer a close frame"
    if not closed and not failed and not closes and pings[-1:] != pongs[-1:]:
        return "does not answer a ping"
    return None


def is_close_payload(payload):
    if not payload:
        return True
    code = int.from_bytes(payload[:2], "big")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        return False
    return len(payload) > 1 and (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999)
