#!/usr/bin/env python3
"""Random streams of frames: sockless beside Python's websockets and wsproto.

    vectors/differential.py [COUNT [SEED]]

A program in Rust makes the cases and says what sockless makes of them (runner/examples/random.rs). Each difference is told by its
rule in `explained`, or fails.
"""
import collections
import subprocess
import sys
from pathlib import Path

from run import install

ROOT = Path(__file__).resolve().parent.parent
COMMAND = ["cargo", "run", "--quiet", "--locked", "--release", "-p", "sockless-vectors", "--example", "random", "--"]
# Differences that are shown; the rest is counted.
SHOWN = 5


def ours(words):
    """What sockless tells of, and how that ends: it is open, was closed, or fails with a code, for a reason."""
    told = []
    for word in words[:-1]:
        name, *parts = word.split(":")
        if name == "close":
            told.append((name, int(parts[0]) if parts[0] != "-" else None, bytes.fromhex(parts[1]).decode()))
        else:
            told.append((name, bytes.fromhex(parts[0])))
    return told, words[-1]


def theirs(implementation, role, stream):
    from check.case import Fail, Outcome
    endpoint = implementation.frames(role, None, {})
    told = endpoint.receive(stream)
    outcome = Outcome(role, told, endpoint.failed, endpoint.sent())
    if outcome.fault:
        return list(told), f"fault: {outcome.fault}"
    end = f"fail:{outcome.end[0] or 0}" if isinstance(outcome.end, Fail) else outcome.end
    return [tuple(event) for event in told], end


def ends_in_header(stream):
    """Whether the bytes end before the last frame's payload begins."""
    while len(stream) > 1:
        size = {126: 2, 127: 8}.get(stream[1] & 0x7F, 0)
        length = int.from_bytes(stream[2:2 + size], "big") if size else stream[1] & 0x7F
        head = 2 + size + (4 if stream[1] & 0x80 else 0)
        if len(stream) < head:
            return True
        stream = stream[head + length:]
    return bool(stream)


def explained(stream, ours, theirs):
    """The rule that makes a difference, if one does."""
    (told, end), (others, other) = ours, theirs
    reason = end.split(":")[2] if end.startswith("fail") else None
    same, behind = told == others, others[len(told):] if others[:len(told)] == told else None
    if reason == "InvalidUtf8" and behind is not None and all(event[0] in ("ping", "pong", "close") for event in behind):
        return "RFC 6455 8.1: we fail at the first byte that is wrong; they want the message, or the frame, first"
    if reason in ("NonMinimalLength", "LengthTopBit") and behind is not None:
        return "RFC 6455 5.2: the minimal number of bytes MUST be used, and the top bit MUST be 0; they take any form"
    if reason == "LongControl" and behind and behind[0][0] in ("ping", "pong", "close"):
        return "RFC 6455 5.2 and 5.5: a control frame in a long form is too long or not minimal; they take short ones"
    if reason and same and other == "open":
        return "RFC 6455 7.1.7: we fail at the byte that is wrong; they want the frame first"
    if reason and same and other.startswith("fail"):
        return "a stream with two faults: we tell the first on the wire"
    if end == "open" and same and other == "fail:1002" and ends_in_header(stream):
        return "RFC 6455 5.2: a length in a longer form than it needs; we say so behind the key, they before"
    if end == "closed" and others == told[:-1] and other == "fail:1002":
        return "RFC 6455 5.4: a close frame may come inside of a message; they refuse it"
    return None


def main():
    count, seed = (sys.argv[1:] + ["10000", "0"][len(sys.argv) - 1:])[:2]
    install()
    from check import peers
    implementations = {"websockets": peers.Websockets(), "wsproto": peers.Wsproto()}
    known, unknown = collections.Counter(), 0
    made = subprocess.Popen([*COMMAND, count, seed], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for number, line in enumerate(made.stdout):
        role, stream, *words = line.rstrip("\n").split(" ")
        data, expected = bytes.fromhex(stream), ours(words)
        for name, implementation in implementations.items():
            got = theirs(implementation, role, data)
            if got == (expected[0], ":".join(expected[1].split(":")[:2])):
                continue
            rule = explained(data, expected, got)
            if rule:
                known[name, rule] += 1
                continue
            unknown += 1
            if unknown <= SHOWN:
                print(f"{number}, a {role} of {stream[:200]}\n  sockless: {expected}\n  {name}: {got}"[:2000])
    if made.wait():
        sys.exit("the cases were not made")
    for (name, rule), times in sorted(known.items()):
        print(f"{name}, {times}: {rule}")
    print(f"{count} cases with seed {seed}: {unknown} differences that no rule explains")
    sys.exit(unknown > 0)


if __name__ == "__main__":
    main()
