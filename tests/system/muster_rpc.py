"""MessagePack-RPC as the admin RPC speaks it: a codec for bare python3, and a blocking client.

Small on purpose: it is a second reading of the protocol, independent of the product's own.

SPDX-License-Identifier: Apache-2.0
"""
import socket
import struct

INVALID, UNKNOWN_METHOD, NOT_FOUND, UNAUTHORIZED, NO_QUORUM, UNREACHABLE = 1, 2, 3, 4, 5, 6
OUTCOME_UNKNOWN, BUSY, TIMEOUT, FULL, INTERNAL, SUSPENDED, REFUSED = 7, 8, 9, 10, 11, 12, 1000
# These errors promise that nothing was changed.
PROMISES_NOTHING = {INVALID, UNKNOWN_METHOD, UNAUTHORIZED, NO_QUORUM, UNREACHABLE, BUSY, TIMEOUT, FULL, SUSPENDED}


class RpcError(Exception):
    """The node answered with an error."""

    def __init__(self, code, message):
        super().__init__(f"error {code}: {message}")
        self.code = code
        self.message = message


class Lost(Exception):
    """No answer: what was asked may have happened or not."""


def pack(value):
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return pack_number(value)
    if isinstance(value, str):
        data = value.encode()
        return header(len(data), 0xA0, 32, (0xD9, 0xDA, 0xDB)) + data
    if isinstance(value, (bytes, bytearray)):
        return header(len(value), 0, 0, (0xC4, 0xC5, 0xC6)) + bytes(value)
    if isinstance(value, (list, tuple)):
        return header(len(value), 0x90, 16, (None, 0xDC, 0xDD)) + b"".join(map(pack, value))
    if isinstance(value, dict):
        pairs = b"".join(pack(key) + pack(item) for key, item in value.items())
        return header(len(value), 0x80, 16, (None, 0xDE, 0xDF)) + pairs
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    raise TypeError(type(value))


def pack_number(value):
    if 0 <= value < 128:
        return bytes([value])
    if -32 <= value < 0:
        return struct.pack("b", value)
    if value < 0:
        return b"\xd3" + struct.pack(">q", value)
    for tag, form, limit in ((0xCC, "B", 8), (0xCD, "H", 16), (0xCE, "I", 32), (0xCF, "Q", 64)):
        if value < 1 << limit:
            return bytes([tag]) + struct.pack(">" + form, value)
    raise OverflowError(value)


def header(size, fix, fix_count, tags):
    if size < fix_count:
        return bytes([fix | size])
    for tag, form, limit in zip(tags, "BHI", (8, 16, 32)):
        if tag is not None and size < 1 << limit:
            return bytes([tag]) + struct.pack(">" + form, size)
    raise OverflowError(size)


class Unpacker:
    """Values from a function that gives exactly so many bytes."""

    SIMPLE = {0xC0: None, 0xC2: False, 0xC3: True}
    NUMBERS = {0xCA: "f", 0xCB: "d", 0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q",
               0xD0: "b", 0xD1: "h", 0xD2: "i", 0xD3: "q"}

    def __init__(self, take):
        self.take = take

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(form)))[0]

    def value(self):
        tag = self.number("B")
        if tag < 0x80 or tag >= 0xE0:
            return tag if tag < 0x80 else tag - 256
        if tag < 0x90:
            return self.map(tag & 15)
        if tag < 0xA0:
            return self.list(tag & 15)
        if tag < 0xC0:
            return self.take(tag & 31).decode()
        if tag in self.SIMPLE:
            return self.SIMPLE[tag]
        if tag in self.NUMBERS:
            return self.number(self.NUMBERS[tag])
        if 0xC4 <= tag <= 0xC6:
            return self.take(self.number("BHI"[tag - 0xC4]))
        if 0xD9 <= tag <= 0xDB:
            return self.take(self.number("BHI"[tag - 0xD9])).decode()
        if tag in (0xDC, 0xDD):
            return self.list(self.number("HI"[tag - 0xDC]))
        if tag in (0xDE, 0xDF):
            return self.map(self.number("HI"[tag - 0xDE]))
        raise ValueError(f"tag {tag:#x}")

    def list(self, count):
        return [self.value() for _ in range(count)]

    def map(self, count):
        return {self.value(): self.value() for _ in range(count)}


def unpack(data):
    """One value, and nothing after it."""
    rest = [data]

    def take(size):
        if len(rest[0]) < size:
            raise EOFError
        part, rest[0] = rest[0][:size], rest[0][size:]
        return part

    value = Unpacker(take).value()
    if rest[0]:
        raise ValueError("bytes after the value")
    return value


class RpcClient:
    """One connection; one request at a time."""

    def __init__(self, path=None, timeout_s=15, stream=None):
        self.last_id = 0
        try:
            if stream is None:
                stream = socket.socket(socket.AF_UNIX)
                stream.settimeout(timeout_s)
                stream.connect(path)
            self.stream = stream
        except OSError as error:
            stream.close()
            raise ConnectionRefusedError(f"{path}: {error}") from error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()

    def take(self, size):
        data = bytearray()
        while len(data) < size:
            part = self.stream.recv(size - len(data))
            if not part:
                raise EOFError("the node closed the connection")
            data += part
        return bytes(data)

    def call(self, method, params=None, timeout_s=15):
        self.last_id += 1
        self.stream.settimeout(timeout_s)
        request = pack([0, self.last_id, method, [params or {}]])
        try:
            self.stream.sendall(request)
            kind, number, error, result = Unpacker(self.take).value()
        except (OSError, EOFError) as problem:
            raise Lost(f"{method}: {problem!r}") from problem
        if kind != 1 or number != self.last_id:
            raise ValueError(f"{method}: answer {kind} {number} to request {self.last_id}")
        if error is not None:
            raise RpcError(*error)
        return result
