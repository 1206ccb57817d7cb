#!/usr/bin/python3
"""The admin RPC from Python, with nothing but the msgpack library: client.py SOCKET

Reads [method, params] as JSON, one a line, and prints [error, result] as JSON, one a line.

SPDX-License-Identifier: Apache-2.0
"""
import json
import socket
import sys

import msgpack


def main():
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(sys.argv[1])
    answers = msgpack.Unpacker(raw=False)
    for message_id, line in enumerate(sys.stdin):
        method, params = json.loads(line)
        stream.sendall(msgpack.packb([0, message_id, method, [params]]))
        while True:
            try:
                kind, answered, error, result = next(answers)
                break
            except StopIteration:
                part = stream.recv(65536)
                if not part:
                    raise SystemExit("the node hung up") from None
                answers.feed(part)
        if (kind, answered) != (1, message_id):
            raise SystemExit(f"an answer of another kind: {kind}, {answered}")
        print(json.dumps([error, result]))


if __name__ == "__main__":
    main()
