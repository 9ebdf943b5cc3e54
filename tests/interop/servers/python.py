"""Echoes by Python's websockets: `python.py [CERTIFICATE KEY]`; prints its address first."""
import ssl
import sys

from websockets.sync.server import serve


def echo(socket):
    for message in socket:
        socket.send(message)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if sys.argv[1:] else None
if context:
    context.load_cert_chain(*sys.argv[1:])
with serve(echo, "127.0.0.1", 0, ssl=context) as server:
    print("{}:{}".format(*server.socket.getsockname()), flush=True)
    server.serve_forever()
