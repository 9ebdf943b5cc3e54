"""A client by Python's websockets: sends each line of standard input behind the answer to the one before, prints the answers, and
closes."""
import sys

from websockets.sync.client import connect

with connect(sys.argv[1], proxy=None) as socket:
    for line in sys.stdin.read().splitlines():
        socket.send(line)
        print(socket.recv(timeout=60))
