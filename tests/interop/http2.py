"""A server of WebSockets over HTTP/2 (RFC 8441) by Python's h2 and wsproto, and what the client by tokio has to do with it."""
import contextlib
import socket
import ssl
import subprocess
import threading
from pathlib import Path

SECONDS = 120
HEAD_OF_TEXT = b"\x81\x02hi"


class Peer:
    """One connection: WebSockets that echo, and whatever else a path asks for."""

    def __init__(self, connection, connects, seen):
        import h2.config
        import h2.connection
        import h2.settings
        self.socket, self.seen = connection, seen
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        protocol = {h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: int(connects)}
        self.http.local_settings = h2.settings.Settings(client=False, initial_values=protocol)
        self.websockets, self.waiting, self.ending = {}, {}, set()

    def run(self):
        import h2.events
        from wsproto.connection import ConnectionState
        self.http.initiate_connection()
        while True:
            self.socket.sendall(self.http.data_to_send())
            data = self.socket.recv(1 << 16)
            if not data:
                return
            for event in self.http.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self.request(event.stream_id, {name.decode(): value.decode() for name, value in event.headers})
                elif isinstance(event, h2.events.DataReceived):
                    self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    websocket = self.websockets.get(event.stream_id)
                    # Behind its close there is only the end of the stream, which has a frame of its own.
                    if websocket and websocket.state is not ConnectionState.CLOSED:
                        websocket.receive_data(event.data)
                        self.answer(event.stream_id, websocket)
                elif isinstance(event, h2.events.StreamEnded):
                    self.ending.add(event.stream_id)
                elif isinstance(event, h2.events.StreamReset):
                    self.seen.append(("reset", int(event.error_code)))
                    self.waiting.pop(event.stream_id, None)
                elif isinstance(event, h2.events.ConnectionTerminated):
                    return
            for stream in list(self.waiting):
                self.write(stream)

    def request(self, stream, fields):
        from wsproto.connection import Connection, ConnectionType
        from wsproto.extensions import PerMessageDeflate
        from wsproto.handshake import server_extensions_handshake
        asked = (fields[":method"], fields.get(":protocol"), fields["sec-websocket-version"], fields[":scheme"])
        self.seen.append(asked)
        extension = PerMessageDeflate()
        offers = [fields[name] for name in ("sec-websocket-extensions",) if name in fields]
        agreed = server_extensions_handshake(offers, [extension]) if offers else None
        answer = [(":status", "200")]
        if agreed:
            self.seen.append("compressed")
            answer.append(("sec-websocket-extensions", agreed.decode()))
        if offered := fields.get("sec-websocket-protocol"):
            answer.append(("sec-websocket-protocol", offered.split(",")[0].strip()))
        if fields[":path"] == "/refused":
            self.http.send_headers(stream, [(":status", "403")])
            self.http.send_data(stream, b"no\n", end_stream=True)
            return
        self.http.send_headers(stream, answer)
        self.websockets[stream] = Connection(ConnectionType.SERVER, [extension] if agreed else [])
        self.waiting[stream] = bytearray()
        if fields[":path"] == "/leaves":
            self.http.send_data(stream, HEAD_OF_TEXT)
            self.socket.sendall(self.http.data_to_send())
            # A GOAWAY that names this stream as the last (RFC 9113 §6.8); h2's own would end the connection at once.
            self.socket.sendall(b"\0\0\x08\x07\0\0\0\0\0" + stream.to_bytes(4, "big") + bytes(4))
        if fields[":path"] == "/resets":
            self.http.send_data(stream, HEAD_OF_TEXT)
            self.http.reset_stream(stream, 8)
            del self.websockets[stream], self.waiting[stream]

    def answer(self, stream, websocket):
        from wsproto.events import BytesMessage, CloseConnection, Message, Ping, TextMessage
        for event in websocket.events():
            if isinstance(event, (TextMessage, BytesMessage)):
                out = websocket.send(Message(data=event.data, message_finished=event.message_finished))
            elif isinstance(event, Ping):
                out = websocket.send(event.response())
            elif isinstance(event, CloseConnection):
                out = websocket.send(event.response())
                self.ending.add(stream)
            else:
                continue
            self.waiting[stream] += out

    def write(self, stream):
        """What the window has room for."""
        waiting = self.waiting[stream]
        while waiting:
            room = min(self.http.local_flow_control_window(stream), self.http.max_outbound_frame_size)
            if room == 0:
                return
            self.http.send_data(stream, bytes(waiting[:room]))
            del waiting[:room]
        if stream in self.ending:
            self.http.end_stream(stream)
            del self.waiting[stream], self.websockets[stream]


@contextlib.contextmanager
def server(certificate=None, connects=True):
    """A server's address, and what it has seen."""
    seen = []
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, certificate.with_name("key.pem"))
        context.set_alpn_protocols(["h2"])

    def serve(listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.settimeout(SECONDS)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    def one(connection):
        seen.append("connection")
        with contextlib.suppress(OSError):
            if context:
                connection = context.wrap_socket(connection, server_side=True)
            with connection:
                Peer(connection, connects, seen).run()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield "127.0.0.1:{}".format(listener.getsockname()[1]), seen


def make_certificate(folder):
    """A certificate for 127.0.0.1; its key is beside it."""
    certificate = Path(folder, "certificate.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
                    "-addext", "basicConstraints=critical,CA:FALSE",
                    "-out", certificate, "-keyout", certificate.with_name("key.pem")],
                   check=True, timeout=SECONDS, stderr=subprocess.DEVNULL)
    return certificate


def echoes(client_to, check, equal, certificate, compressed):
    """A client that is well treated."""
    with server(certificate) as (address, seen):
        client_to("h2 and wsproto", f"{'wss' if certificate else 'ws'}://{address}/")
        with check("client to h2 and wsproto: requests as RFC 8441 has them, compression as asked"):
            asked = [one for one in seen if isinstance(one, tuple) and one[0] == "CONNECT"]
            equal(set(asked), {("CONNECT", "websocket", "13", "https" if certificate else "http")})
            equal((len(asked), seen.count("compressed")), (3, 3 if compressed else 0))
            equal([one for one in seen if one[0] == "reset"], [])


def hardships(talk, check, equal):
    """One that isn't."""
    with server() as (address, seen):
        with check("h2 to client: GOAWAY, and what is open goes on"):
            equal(talk(f"ws://{address}/leaves", ["one", "two"]), (["hi", "one", "two"], "", 0))
        with check("h2 to client: a stream that is reset"):
            printed, errors, status = talk(f"ws://{address}/resets", [])
            equal((printed, status, "reset" in errors or "stream error" in errors), (["hi"], 1, True))
        with check("h2 to client: refused with 403"):
            _, errors, status = talk(f"ws://{address}/refused", [])
            equal((status, "403" in errors), (3, True))
    with server(connects=False) as (address, seen), check("h2 to client: no WebSockets over HTTP/2"):
        _, errors, status = talk(f"ws://{address}/", [])
        equal((status, "no WebSockets over HTTP/2" in errors, seen), (3, True, ["connection"]))
