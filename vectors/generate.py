#!/usr/bin/env python3
"""Makes the vectors beside it, the same each time; with `--check`, says whether the files are what it makes.

    vectors/generate.py
    vectors/generate.py --check

Needs Python 3.9 and nothing else.
"""
import json
import sys
from pathlib import Path

from make import closing, compressed, extended, frames, handshakes_client, handshakes_server, utf8

HERE = Path(__file__).resolve().parent
FORMAT = 1
FILES = {
    "frames": frames, "utf8": utf8, "closing": closing, "compressed": compressed, "handshakes-server": handshakes_server,
    "handshakes-client": handshakes_client, "handshakes-extended": extended,
}


def text_of(module):
    """A file as it is written: a case a line, so that a change shows as the lines that it changes."""
    cases = module.make()
    ids = [case["id"] for case in cases]
    twice = {name for name in ids if ids.count(name) > 1} if len(set(ids)) != len(ids) else ()
    assert not twice, twice
    lines = ",\n".join(json.dumps(case) for case in cases)
    about = json.dumps(module.__doc__.split("\n")[0])
    return f'{{"format": {FORMAT}, "about": {about}, "cases": [\n{lines}\n]}}\n', len(cases)


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    total, other = 0, []
    readme = (HERE / "README.md").read_text()
    for name, module in FILES.items():
        text, count = text_of(module)
        total += count
        path = HERE / f"{name}.json"
        if f"]({path.name}) | {count:,} |" not in readme:
            other.append(f"README.md, which does not say that {path.name} has {count:,} cases")
        if not check:
            path.write_text(text)
            print(f"{count:5} cases, {len(text) >> 10} KiB in {path.name}")
        elif not path.exists() or path.read_text() != text:
            if module is compressed and compressed.fingerprint() != compressed.ZLIB_SAYS:
                print(f"{path.name} is NOT CHECKED: the zlib of this Python compresses otherwise than the one that made it")
                continue
            other.append(path.name)
    print(f"{total} cases")
    if f" {total:,} inputs" not in readme:
        other.append(f"README.md, which does not say that there are {total:,}")
    if other:
        sys.exit(f"not what {Path(__file__).name} makes: {', '.join(other)}")


main()
