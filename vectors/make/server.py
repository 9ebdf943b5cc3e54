"""A case of a server that gets a request, and the parts of what it may answer."""
from .case import CLOSED, OPEN, Cases, Peer
from .http import KEY, accept_of
from .wire import SERVER, head, parts_of

ANY = {"subprotocols": [], "deflate": False, "origins": None}
LAX = "HTTP lets a recipient take it"


def accept(key=KEY, subprotocol=None, deflate=()):
    """A response that accepts: its key, the subprotocols of which it names one, and the offers of which it takes one or none."""
    named = subprotocol if isinstance(subprotocol, list) else [subprotocol]
    return {"key": accept_of(key), "subprotocol": named, "deflate": list(deflate)}


def offer(server_takeover=True, client_takeover=True, server_bits=None, client_bits=None):
    return {
        "server_no_context_takeover": not server_takeover,
        "client_no_context_takeover": not client_takeover,
        "server_max_window_bits": server_bits,
        "client_max_window_bits": client_bits,
    }


class Server(Cases):
    def takes(self, name, section, note, text, settings=None, key=KEY, subprotocol=None, deflate=(), also=(), behind=None):
        peer = behind or Peer(name, SERVER)
        told = {
            "accept": accept(key, subprotocol, deflate),
            "events": peer.events,
            "end": CLOSED if any("close" in event for event in peer.events) else OPEN,
        }
        self.add(
            name,
            section,
            note,
            told,
            also,
            server={**ANY, **(settings or {})},
            input=head(text) + (parts_of(peer.input) if peer.input else []),
        )

    def refuses(self, name, section, note, text, statuses=(400,), settings=None, lax=None, key=KEY, version=None):
        """Any of the statuses, with the `version` that is spoken if it is about that; `lax` is why it may be taken instead."""
        also = [{"accept": accept(key), "events": [], "end": OPEN, "why": lax}]
        told = {"refuse": list(statuses), **({"version": version} if version else {})}
        self.add(name, section, note, told, also if lax else (), server={**ANY, **(settings or {})}, input=head(text))
