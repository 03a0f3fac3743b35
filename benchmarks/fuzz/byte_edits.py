"""Changes of bytes that know no format: flips, cuts, copies, tokens and numbers at a place."""

import struct
from collections.abc import Sequence
from random import Random

MARKER = "ZQXMARK7"
"""Stands for the name of a patient. No message and no output may contain it."""

TOKENS: tuple[bytes, ...] = (
    *(b"\0", b"\n", b"\r", b'"', b"'", b";", b",", b"\t", b"[", b"]", b"{", b"}", b":", b"#", b"<", b">", b"=", b"/"),
    *(b"NaN", b"nan", b"inf", b"-inf", b"Infinity", b"null", b"true", b"1e999", b"1e308", b"1e-320", b"-1", b"0"),
    *(b"-0", b"9" * 30, b"9" * 400, b"9" * 5000, b"1,5", b"1_0", b"0x10", b"1.5.2", b"+", b"e", b"\\"),
    *(b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xed\xa0\x80", b"\xc3\xa9", "٣".encode()),
    "\u2028".encode(),
    *(b"[" * 2000, b"<a>" * 300, b"../../etc/passwd", b"%n%s", b"DICM", b"PK\x03\x04", b"\x1f\x8b", MARKER.encode()),
    *(b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff\xff\xff\xff\x7f"),
    *(b"\x00\x00\x80\x7f", b"\x00\x00\xc0\x7f", b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\xdd\xe0\0\0\0\0"),
)
NUMBERS = (0, 1, 2, 3, 4, 7, 8, 15, 16, 63, 64, 127, 128, 255, 256, 4095, 32767, 32768, 65535, 65536)
LARGE_NUMBERS = (2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**64 - 1)
_LARGEST = 40 * 2**20


def with_edits(random: Random, payload: bytes, most: int = 4) -> bytes:
    """The payload after one to ``most`` edits."""
    for _ in range(random.randint(1, most)):
        payload = random.choice(_EDITS)(random, payload)
    return payload


def piece(random: Random, payload: bytes, longest: int = 64) -> tuple[int, int]:
    """Start and end of a random piece, which may be empty."""
    start = random.randint(0, len(payload))
    return start, min(len(payload), start + random.randint(0, longest))


def overwritten(random: Random, payload: bytes) -> bytes:
    """The payload with other bytes or numbers at one to four places; its length stays."""
    data = bytearray(payload)
    for _ in range(random.randint(1, 4)):
        new = number_bytes(random) if random.random() < 0.6 else random.randbytes(random.choice((1, 2, 4, 8)))
        at = random.randint(0, max(len(data) - len(new), 0))
        data[at : at + len(new)] = new
    return bytes(data[: len(payload)])


def number_bytes(random: Random) -> bytes:
    """A number of 1 to 8 bytes in either order, often one at the edge of a type."""
    width, order = random.choice("BHIQ"), random.choice("<>")
    number = random.choice((*NUMBERS, *LARGE_NUMBERS)) if random.random() < 0.8 else random.getrandbits(64)
    return struct.pack(order + width, number & (2 ** (8 * struct.calcsize(width)) - 1))


def blown_up(random: Random, payload: bytes) -> bytes:
    """The payload with one of its lines or pieces many times, up to tens of megabytes."""
    start, stop = piece(random, payload, 400)
    line = payload.find(b"\n", start)
    if line >= 0 and random.random() < 0.7:
        start, stop = line + 1, payload.find(b"\n", line + 1) + 1 or len(payload)
    times = random.randint(1, _LARGEST // 40) // max(stop - start, 1) * random.randint(1, 40)
    return payload[:stop] + payload[start:stop] * times + payload[stop:]


def spliced(random: Random, payload: bytes, others: Sequence[bytes]) -> bytes:
    """The start of the payload with the end of another one."""
    other = random.choice(others)
    return payload[: random.randint(0, len(payload))] + other[random.randint(0, len(other)) :]


def _flip(random: Random, payload: bytes) -> bytes:
    if not payload:
        return payload
    at = random.randrange(len(payload))
    return payload[:at] + bytes([payload[at] ^ 1 << random.randrange(8)]) + payload[at + 1 :]


def _token(random: Random, payload: bytes) -> bytes:
    start, stop = piece(random, payload)
    return payload[:start] + random.choice(TOKENS) + payload[stop if random.random() < 0.5 else start :]


def _number(random: Random, payload: bytes) -> bytes:
    at, number = random.randint(0, len(payload)), number_bytes(random)
    return payload[:at] + number + payload[at + len(number) :]


def _random_bytes(random: Random, payload: bytes) -> bytes:
    start, stop = piece(random, payload, 16)
    return payload[:start] + random.randbytes(stop - start) + payload[stop:]


def _cut(random: Random, payload: bytes) -> bytes:
    start, stop = piece(random, payload, random.choice((4, 64, len(payload) + 1)))
    return payload[:start] + payload[stop:]


def _end(random: Random, payload: bytes) -> bytes:
    return payload[: random.randint(0, len(payload))] + bytes(random.choice((0, 0, 8, 512)))


def _repeat(random: Random, payload: bytes) -> bytes:
    start, stop = piece(random, payload, 256)
    return payload[:stop] + payload[start:stop] * random.choice((1, 2, 9, 100)) + payload[stop:]


def _move(random: Random, payload: bytes) -> bytes:
    start, stop = piece(random, payload, 256)
    rest = payload[:start] + payload[stop:]
    at = random.randint(0, len(rest))
    return rest[:at] + payload[start:stop] + rest[at:]


_EDITS = (_flip, _flip, _token, _token, _number, _number, _random_bytes, _cut, _end, _repeat, _move)
