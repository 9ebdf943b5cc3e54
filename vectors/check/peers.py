"""websockets and wsproto, as endpoints: their own parts for those who bring the transport."""
import logging

import wsproto
import wsproto.connection
import wsproto.events
import wsproto.extensions
import wsproto.handshake
import wsproto.utilities
from websockets import exceptions
from websockets.client import ClientProtocol
from websockets.extensions import permessage_deflate as deflate
from websockets.frames import Close, CloseCode, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import CLIENT, OPEN, SERVER, Protocol
from websockets.server import ServerProtocol
from websockets.uri import parse_uri
from websockets.utils import accept_key

from .case import Endpoint, Event

URI = "ws://server.example.com/chat"
QUIET = logging.getLogger("quiet")
QUIET.disabled = True


class WebsocketsEndpoint(Endpoint):
    """A protocol of websockets; messages are put together and decoded here, as its connections do."""

    def __init__(self, protocol, accept=None):
        self.protocol, self.accept, self.parts, self.kind = protocol, accept, [], None

    @property
    def failed(self):
        return self.protocol.parser_exc is not None or self.protocol.handshake_exc is not None or self.broken

    broken = False

    def receive(self, data):
        self.protocol.receive_data(data)
        told = []
        for event in self.protocol.events_received():
            if self.broken:
                break
            told += self.tell(event)
        return told

    def tell(self, event):
        if isinstance(event, Request):
            self.protocol.send_response(self.protocol.accept(event))
            # What came behind the request was parsed before it was answered.
        elif isinstance(event, Response):
            if isinstance(self.protocol.handshake_exc, exceptions.InvalidStatus):
                yield Event(("rejected", event.status_code))
            elif self.protocol.handshake_exc is None:
                yield Event(("open", self.protocol.subprotocol, bool(self.protocol.extensions)))
        elif event.opcode in (Opcode.PING, Opcode.PONG):
            yield Event(("ping" if event.opcode == Opcode.PING else "pong", bytes(event.data)))
        elif event.opcode == Opcode.CLOSE:
            close = Close.parse(event.data)
            yield Event(("close", None if close.code == CloseCode.NO_STATUS_RCVD else int(close.code), close.reason))
        else:
            if event.opcode != Opcode.CONT:
                self.kind = event.opcode
            self.parts.append(bytes(event.data))
            if event.fin:
                data, self.parts = b"".join(self.parts), []
                try:
                    if self.kind == Opcode.TEXT:
                        data.decode()
                    yield Event(("text" if self.kind == Opcode.TEXT else "binary", data))
                except UnicodeDecodeError:
                    self.protocol.fail(CloseCode.INVALID_DATA)
                    self.broken = True

    def sent(self):
        return b"".join(self.protocol.data_to_send())

    def close(self, code, reason):
        self.protocol.send_close(code, reason)


class Websockets:
    """Python's websockets."""

    def frames(self, role, params, limits):
        side = SERVER if role == "server" else CLIENT
        size = limits.get("message", 1 << 20)
        protocol = Protocol(side, state=OPEN, max_size=(size, limits.get("frame")), logger=QUIET)
        if params:
            own, other = ("server", "client") if role == "server" else ("client", "server")
            protocol.extensions = [deflate.PerMessageDeflate(
                params[f"{other}_no_context_takeover"], params[f"{own}_no_context_takeover"],
                params[f"{other}_max_window_bits"], params[f"{own}_max_window_bits"])]
        return WebsocketsEndpoint(protocol)

    def server(self, server):
        return WebsocketsEndpoint(ServerProtocol(
            origins=None if server["origins"] is None else [*server["origins"], None], subprotocols=server["subprotocols"] or None,
            extensions=[deflate.ServerPerMessageDeflateFactory()] if server["deflate"] else None, logger=QUIET,
            select_subprotocol=lambda _, offered: next((name for name in offered if name in server["subprotocols"]), None)))

    def client(self, client):
        offer = client["deflate"]
        extensions = offer and [deflate.ClientPerMessageDeflateFactory(
            offer["server_no_context_takeover"], offer["client_no_context_takeover"], offer["server_max_window_bits"],
            offer["client_max_window_bits"])]
        protocol = ClientProtocol(parse_uri(URI), subprotocols=client["subprotocols"] or None, extensions=extensions, logger=QUIET)
        protocol.send_request(protocol.connect())
        return WebsocketsEndpoint(protocol, accept_key(protocol.key).encode())


class WsprotoEndpoint(Endpoint):
    """A connection of wsproto, with the answers that its user sends."""

    def __init__(self, connection, settings=None, accept=None):
        self.connection, self.settings, self.accept = connection, settings, accept
        self.out, self.parts, self.failed = b"", [], False

    def receive(self, data):
        if self.connection.state in (wsproto.ConnectionState.CLOSED, wsproto.ConnectionState.REMOTE_CLOSING):
            return []
        told = []
        try:
            self.connection.receive_data(data)
            for event in self.connection.events():
                told += self.tell(event)
        except wsproto.utilities.RemoteProtocolError as error:
            self.fail(error.event_hint)
        except Exception:
            # What is raised beside that ends a connection too.
            self.fail(None)
        return told

    def fail(self, answer):
        self.failed = True
        server_refuses = isinstance(answer, wsproto.events.RejectConnection) and self.settings is not None
        if server_refuses or isinstance(answer, wsproto.events.CloseConnection):
            try:
                self.out += self.connection.send(answer)
            except Exception:
                pass

    def tell(self, event):
        if isinstance(event, wsproto.events.Request):
            chosen = next((name for name in event.subprotocols if name in self.settings["subprotocols"]), None)
            extensions = [wsproto.extensions.PerMessageDeflate()] if self.settings["deflate"] else []
            self.out += self.connection.send(wsproto.events.AcceptConnection(subprotocol=chosen, extensions=extensions))
        elif isinstance(event, wsproto.events.AcceptConnection):
            yield Event(("open", event.subprotocol, bool(event.extensions)))
        elif isinstance(event, wsproto.events.RejectConnection):
            self.failed = True
            yield Event(("rejected", event.status_code))
        elif isinstance(event, wsproto.events.Message):
            text = isinstance(event, wsproto.events.TextMessage)
            self.parts.append(event.data.encode() if text else bytes(event.data))
            if event.message_finished:
                data, self.parts = b"".join(self.parts), []
                yield Event(("text" if text else "binary", data))
        elif isinstance(event, wsproto.events.Ping):
            if self.connection.state is wsproto.ConnectionState.OPEN:
                self.out += self.connection.send(event.response())
            yield Event(("ping", bytes(event.payload)))
        elif isinstance(event, wsproto.events.Pong):
            yield Event(("pong", bytes(event.payload)))
        elif isinstance(event, wsproto.events.CloseConnection):
            state = self.connection.state
            if state in (wsproto.ConnectionState.OPEN, wsproto.ConnectionState.LOCAL_CLOSING):
                # It is wsproto itself that wants to close, for a fault.
                self.fail(event)
                return
            if state is wsproto.ConnectionState.REMOTE_CLOSING:
                self.out += self.connection.send(event.response())
            code = int(event.code)
            yield Event(("close", None if code == 1005 else code, event.reason or ""))

    def sent(self):
        out, self.out = self.out, b""
        return out

    def close(self, code, reason):
        self.out += self.connection.send(wsproto.events.CloseConnection(code, reason))


class Wsproto:
    """wsproto; limits and origins are for its users, and a client offers both windows or no compression."""

    def frames(self, role, params, limits):
        if limits:
            return None
        extensions = []
        if params:
            if min(params["server_max_window_bits"], params["client_max_window_bits"]) < 9:
                return None
            extensions = [wsproto.extensions.PerMessageDeflate(
                params["client_no_context_takeover"], params["client_max_window_bits"], params["server_no_context_takeover"],
                params["server_max_window_bits"])]
            extensions[0]._enabled = True
        side = wsproto.ConnectionType.SERVER if role == "server" else wsproto.ConnectionType.CLIENT
        return WsprotoEndpoint(wsproto.connection.Connection(side, extensions))

    def server(self, server):
        if server["origins"] is not None:
            return None
        return WsprotoEndpoint(wsproto.WSConnection(wsproto.ConnectionType.SERVER), server)

    def client(self, client):
        if client["deflate"]:
            return None
        connection = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        endpoint = WsprotoEndpoint(connection)
        endpoint.out = connection.send(wsproto.events.Request("server.example.com", "/chat", subprotocols=client["subprotocols"]))
        endpoint.accept = wsproto.utilities.generate_accept_token(connection.handshake._nonce)
        return endpoint
