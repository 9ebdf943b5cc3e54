"""Compressed messages of every window between the release examples and zlib itself, as websockets and ws have it.

What a window cannot hold, the other end's zlib refuses: it inflates with the window that was agreed on.
"""
import itertools
import json
import random
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
WINDOWS = (9, 10, 12, 15)


def messages():
    """Repeated just within each window and far beyond it, not to be compressed at all, and nothing, twice."""
    rng = random.Random(7)
    words = ["".join(rng.choices("abcdefghijklmnop ", k=1 << bits)) for bits in range(5, 16)]
    noise = rng.randbytes(20_000)
    yield from ("".join(word * 2 for word in words), "".join(words) * 2, "", "", noise, noise, "x" * (1 << 20), b"", "end")


def python_to_echo(address, check, equal, takeover):
    from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
    from websockets.sync.client import connect
    for of_server, of_client in itertools.product((None, *WINDOWS), (None, True, *WINDOWS)):
        with check(f"websockets to echo: windows {of_server} and {of_client}"):
            for alone in itertools.product((False, True), repeat=2):
                offer = ClientPerMessageDeflateFactory(*alone, of_server, of_client)
                with connect(f"ws://{address}/", compression=None, extensions=[offer], max_size=None, proxy=None) as socket:
                    agreed, = socket.protocol.extensions
                    # The example deflates with 12 at most, and asks nothing of the client.
                    windows = (min(12, of_server or 15), 15 if of_client in (None, True) else of_client)
                    equal((agreed.remote_max_window_bits, agreed.local_max_window_bits), windows)
                    equal((agreed.remote_no_context_takeover, agreed.local_no_context_takeover),
                          tuple(not takeover or one for one in alone))
                    for message in messages():
                        socket.send(message)
                        equal(socket.recv(timeout=60), message)
                        socket.send([message[:300], message[:0], message[300:], message[:0]])
                        equal(socket.recv(timeout=60), message)


def python_to_client(serve, talk, check, equal, takeover):
    """The server speaks, and the client echoes."""
    from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
    for of_server, of_client in itertools.product((None, 12, 9), (None, *WINDOWS)):
        heard = []

        def ask(socket):
            agreed, = socket.protocol.extensions
            heard.append((agreed.remote_max_window_bits, agreed.remote_no_context_takeover or not takeover))
            for message in messages():
                socket.send(message)
                heard.append(socket.recv(timeout=60) == message)

        accept = ServerPerMessageDeflateFactory(False, False, of_server, of_client)
        with (serve(ask, compression=None, extensions=[accept]) as url,
              check(f"websockets asks client: windows {of_server} and {of_client}")):
            equal(talk(url, [], "--echo")[2], 0)
            equal(heard, [(of_client or 15, not takeover), *(True for _ in messages())])


def options(of_server, of_client, alone):
    """Settings of ws, which refuses what it was told not to want: what is not asked for is left out."""
    asked = {"serverMaxWindowBits": of_server, "clientMaxWindowBits": of_client,
             "serverNoContextTakeover": alone, "clientNoContextTakeover": alone}
    return json.dumps({"threshold": 0, **{name: value for name, value in asked.items() if value}})


def node_to_echo(address, record, env):
    cases = list(itertools.product((None, *WINDOWS), (None, *WINDOWS), (False, True)))
    ran = subprocess.run(["node", HERE / "deflate.js", "client", f"ws://{address}/", *(options(*case) for case in cases)],
                         env=env, timeout=120, check=True, stdout=subprocess.PIPE)
    for (of_server, of_client, alone), problem in zip(cases, json.loads(ran.stdout), strict=True):
        record(f"ws to echo: windows {of_server} and {of_client}{', no takeover' if alone else ''}", problem)


def client_to_node(started, talk, check, equal, env):
    lines = [message for message in messages() if isinstance(message, str)]
    for of_server, of_client, alone in itertools.product((None, 9), (None, 9, 12), (False, True)):
        with (started("node", HERE / "deflate.js", "server", options(of_server, of_client, alone), env=env,
                      stdout=subprocess.PIPE, text=True) as process,
              check(f"client to ws: windows {of_server} and {of_client}{', no takeover' if alone else ''}")):
            equal(talk(process.stdout.readline().strip(), lines), (lines, "", 0))
