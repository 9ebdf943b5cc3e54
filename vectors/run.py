#!/usr/bin/env python3
"""Runs the vectors against Python's websockets and wsproto; fails where the outcome is not what `deviations.md` says.

    vectors/run.py
    vectors/run.py --write

The second writes their sections anew. Needs Python 3.11; installs the packages of requirements.txt into target/vectors.
"""
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE.parent / "target/vectors/env"
PINS = HERE / "requirements.txt"
TABLE = HERE / "deviations.md"


def install():
    """Installs the pinned packages once; goes on with the Python that has them."""
    stamp = VENV.parent / "installed"
    if not stamp.exists() or stamp.read_text() != PINS.read_text():
        VENV.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True, timeout=600)
        subprocess.run([VENV / "bin/pip", "install", "-q", "-r", PINS], check=True, timeout=600)
        stamp.write_text(PINS.read_text())
    if Path(sys.prefix) != VENV:
        os.execv(VENV / "bin/python", [VENV / "bin/python", *sys.argv])


def main():
    if sys.argv[1:] not in ([], ["--write"]):
        sys.exit(__doc__)
    install()
    from check import case, compare, peers
    versions = dict(line.split("==") for line in PINS.read_text().split())
    cases, table, changed = case.load(HERE), TABLE.read_text(), []
    for name, implementation in (("websockets", peers.Websockets()), ("wsproto", peers.Wsproto())):
        title = f"{name} {versions[name]}"
        section = compare.section(title, cases, implementation)
        start = table.find(f"## {title}\n")
        end = table.find("\n## ", start) + 1 if start >= 0 else len(table)
        end = end or len(table)
        old = table[start:end] if start >= 0 else ""
        print(title, "as the table says" if old == section else "NOT as the table says")
        if old != section:
            changed.append(section)
            table = table[:start] + section + table[end:] if start >= 0 else table + section
    if sys.argv[1:]:
        TABLE.write_text(table)
    elif changed:
        sys.exit("\n" + "".join(changed) + "`vectors/run.py --write` writes the table anew")


if __name__ == "__main__":
    main()
