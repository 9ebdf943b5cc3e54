"""Whether an outcome is one that a case allows, and the table of those that are not."""
from .case import Event, Fail, Outcome, SAMPLE, describe, read_response, unpack

RIGHT, ALLOWED, UNTOLD, WRONG = range(4)


def end_of(expect):
    end = expect.get("end", "open")
    return Fail([end["fail"]]) if isinstance(end, dict) else end


def allows(expect, outcome, lenient):
    end = end_of(expect)
    ends = end == outcome.end
    if isinstance(end, Fail) and isinstance(outcome.end, Fail):
        ends = ends or end[0] is None or lenient and outcome.end[0] is None
    right = ends and [Event.read(event) for event in expect.get("events", ())] == list(outcome.events)
    if outcome.handshake is None:
        return right
    kind, *rest = outcome.handshake
    if kind == "accepted" and "accept" in expect:
        key, subprotocol, extensions = rest
        accept = expect["accept"]
        return (right and key == accept["key"] and subprotocol in accept["subprotocol"]
                and (extensions is None or agrees(extensions, accept["deflate"])))
    if kind == "refused":
        return rest[0] in expect.get("refuse", ()) and expect.get("version") in (None, rest[1])
    if kind == "rejected":
        return rest[0] == expect.get("reject")
    if kind == "open" and "open" in expect:
        return right and rest == [expect["open"]["subprotocol"], expect["open"]["deflate"]]
    return kind == "waiting" and right and "open" not in expect and "reject" not in expect


def judge(case, outcome):
    if outcome.fault:
        return WRONG
    every = [case["expect"], *case.get("also_allowed", ())]
    if allows(case["expect"], outcome, False):
        return RIGHT
    if any(allows(expect, outcome, False) for expect in every):
        return ALLOWED
    return UNTOLD if any(allows(expect, outcome, True) for expect in every) else WRONG


def read_answer(answer):
    """The parameters of an answer of permessage-deflate; `None` for anything else."""
    name, *parts = [part.strip() for part in answer.split(";")]
    if name != "permessage-deflate":
        return None
    read = {}
    for part in parts:
        name, has_value, value = (text.strip() for text in part.partition("="))
        if name in read:
            return None
        if name in ("server_no_context_takeover", "client_no_context_takeover") and not has_value:
            read[name] = True
        elif name in ("server_max_window_bits", "client_max_window_bits") and value.strip('"') in map(str, range(8, 16)):
            read[name] = int(value.strip('"'))
        else:
            return None
    return read


def agrees(answer, offers):
    """Whether an answer agrees with one of the offers (RFC 7692 7.1)."""
    answer = read_answer(answer)
    if answer is None:
        return False

    def one(offer):
        server, client = offer["server_max_window_bits"], offer["client_max_window_bits"]
        told = answer.get("client_max_window_bits")
        return ((server is None or answer.get("server_max_window_bits", 16) <= server)
                and (told is None or client is True or client is not None and told <= client)
                and (not offer["server_no_context_takeover"] or "server_no_context_takeover" in answer))
    return any(one(offer) for offer in offers)


def header(offer):
    """An offer as the value of Sec-WebSocket-Extensions."""
    text = "permessage-deflate"
    for name, value in offer.items():
        if value not in (None, False):
            text += f"; {name}" if value is True else f"; {name}={value}"
    return text


def expected(expect):
    if "refuse" in expect:
        version = f" for version {expect['version']}" if "version" in expect else ""
        return f"refuses with {' or '.join(map(str, expect['refuse']))}{version}"
    if "reject" in expect:
        return f"tells of {expect['reject']}"
    text = ""
    if "accept" in expect:
        names = " or ".join(filter(None, expect["accept"]["subprotocol"]))
        offers = " or ".join(map(header, expect["accept"]["deflate"]))
        text = "accepts" + (f" with {' and '.join(filter(None, (names, offers)))}" if names or offers else "")
    elif "open" in expect:
        name, deflate = expect["open"]["subprotocol"], expect["open"]["deflate"]
        text = "opens" + (f" with {name}" if name else "") + (", compressed" if deflate else "")
    events, end = [Event.read(event) for event in expect.get("events", ())], end_of(expect)
    if not text:
        return describe(events, end)
    return text + (f", {describe(events, end)}" if events or end != "open" else "")


def outcome_of(case, implementation, whole):
    """What an implementation makes of a case; `None` where it leaves it out."""
    if "headers" in case:
        return None
    data, role = unpack(case["input"]), case.get("role")
    if "server" in case:
        endpoint, role = implementation.server(case["server"]), "server"
    elif "client" in case:
        endpoint, role = implementation.client(case["client"]), "client"
    else:
        endpoint = implementation.frames(role, case.get("deflate"), case.get("limits", {}))
    if endpoint is None:
        return None
    if "client" in case:
        endpoint.sent()
        data = data.replace(SAMPLE, endpoint.accept)
    if "sends" in case:
        endpoint.close(**case["sends"]["close"])
    told = []
    for at in range(0, len(data), len(data) if whole else 1):
        if not endpoint.failed:
            told += endpoint.receive(data if whole else data[at:at + 1])
    sent = endpoint.sent()
    if "server" not in case:
        outcome = Outcome(role, told, endpoint.failed, sent)
        if "client" in case and outcome.handshake is None:
            outcome.handshake = ("waiting",)
        return outcome
    handshake, behind = read_response(sent)
    outcome = Outcome(role, told, endpoint.failed, behind)
    outcome.handshake = handshake
    return outcome


def section(name, cases, implementation):
    """The section of an implementation: whole, and of frames that are not too long, byte by byte."""
    rows, untold, wrong, left_out = {}, set(), set(), 0
    for case in cases:
        for whole in (True, False):
            if not whole and ("role" not in case or len(unpack(case.get("input", ""))) > 2048):
                continue
            outcome = outcome_of(case, implementation, whole)
            if outcome is None:
                left_out += whole
                continue
            verdict = judge(case, outcome)
            if verdict == UNTOLD:
                untold.add(case["id"])
            elif verdict == WRONG:
                wrong.add(case["id"])
                wanted, got = expected(case["expect"]), str(outcome)
                got += ", with other contents" if got == wanted else ""
                group = "/".join(case["id"].split("/")[:2])
                rows.setdefault((group, case["section"], wanted, got), set()).add(case["id"])
    text = (f"## {name}\n\n{len(cases) - left_out} of {len(cases)} cases were run, {left_out} were left out; {len(wrong)} deviate. "
            f"{len(untold)} more fail the connection as they should,\nand do not tell the peer why.\n\n")
    if rows:
        text += "| cases | how many | the first | section | expected | got |\n|---|---|---|---|---|---|\n"
    for (group, where, wanted, got), ids in sorted(rows.items()):
        first = min(ids)[len(group):].lstrip("/")
        cells = [group, str(len(ids)), first, where, wanted, got]
        text += f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
    return text + "\n"
