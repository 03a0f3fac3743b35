"""Changes of a DICOM file that keep most of its structure: values, lengths, types, order, nesting, pixels."""

import struct
from collections.abc import Callable
from dataclasses import replace
from random import Random

from pydicom.datadict import dictionary_VR

from benchmarks.fuzz.byte_edits import TOKENS, with_edits
from benchmarks.fuzz.dicom_elements import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    PIXEL_DATA,
    UNDEFINED,
    DicomFile,
    Element,
    encoded,
)
from benchmarks.fuzz.dicom_values import FLOATS, TAGS, VRS, value_for
from spine.radiograph.decoders import SYNTAXES


def changed_file(random: Random, file: DicomFile) -> bytes:
    """The bytes of the file after one to four edits of its elements, sometimes in another transfer syntax."""
    compressed = bool(SYNTAXES[file.syntax].decoders)
    if not compressed:
        file = file.with_syntax(random.choice((EXPLICIT, EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED)))
    if compressed and random.random() < 0.6:
        file = _with_codestream(random, file)
    else:
        for _ in range(random.randint(1, 4)):
            elements = random.choice(_ELEMENT_EDITS)(random, list(file.elements))
            file = replace(file, elements=tuple(elements))
    try:
        payload = encoded(_with_header(random, file))
    except RecursionError:  # sequences were put into each other several times
        payload = file.preamble
    return with_edits(random, payload, 2) if random.random() < 0.08 else payload


def _with_header(random: Random, file: DicomFile) -> DicomFile:
    """Now and then another syntax in the meta header, no preamble, no meta header, or changed meta elements."""
    dice = random.random()
    if dice < 0.04:
        return file.with_syntax(file.syntax, stated=random.choice(tuple(SYNTAXES)))
    if dice < 0.06:
        return replace(file, preamble=b"DICM" if random.random() < 0.5 else b"")
    if dice < 0.08:
        return replace(file, preamble=b"", meta=())
    if dice < 0.10:
        return replace(file, meta=tuple(_value(random, list(file.meta))))
    return file


def _place(random: Random, elements: list[Element], *, known: bool = True) -> int:
    """The index of an element, more often of one that the reader looks at."""
    looked_at = [i for i, e in enumerate(elements) if e.tag in TAGS] if known else []
    return random.choice(looked_at) if looked_at and random.random() < 0.8 else random.randrange(len(elements))


def _value(random: Random, elements: list[Element]) -> list[Element]:
    at = _place(random, elements)
    element = elements[at]
    if element.items is not None:
        elements[at] = replace(element, items=_changed_items(random, element.items))
    elif element.tag == PIXEL_DATA:
        return _pixels(random, elements)
    elif random.random() < 0.7:
        elements[at] = replace(element, value=value_for(random, element.vr))
    else:
        elements[at] = replace(element, value=with_edits(random, element.value, 2)[:70_000])
    return elements


def _changed_items(random: Random, items: tuple[tuple[Element, ...], ...]) -> tuple[tuple[Element, ...], ...]:
    dice = random.random()
    if dice < 0.1 or not items:
        return ()
    if dice < 0.2:
        return items * random.choice((2, 3, 200))
    at = random.randrange(len(items))
    inner = tuple(_value(random, list(items[at]))) if items[at] else (_new_element(random),)
    return (*items[:at], inner, *items[at + 1 :])


def _new_element(random: Random) -> Element:
    tag = random.choice(TAGS)
    vr = dictionary_VR(tag).split(" ")[0].encode()
    if vr == b"SQ":
        return Element(
            tag, vr, items=(tuple(_new_element(random) for _ in range(random.randint(0, 3))),) * random.randint(0, 2)
        )
    return Element(tag, vr, value_for(random, vr))


def _insert(random: Random, elements: list[Element]) -> list[Element]:
    """A tag that the reader looks at, in place of one that is there already."""
    new = _new_element(random)
    if random.random() < 0.9:
        return sorted([e for e in elements if e.tag != new.tag] + [new], key=lambda e: e.tag)
    elements.insert(random.randint(0, len(elements)), new)
    return elements


def _length(random: Random, elements: list[Element]) -> list[Element]:
    at = _place(random, elements)
    true = len(elements[at].value)
    lengths = (0, 1, true - 1, true + 1, true + 2, true + 8, 0xFFFE, 0xFFFF, 2**31, UNDEFINED - 1, UNDEFINED)
    elements[at] = replace(elements[at], length=max(random.choice(lengths), 0))
    return elements


def _vr(random: Random, elements: list[Element]) -> list[Element]:
    at = _place(random, elements)
    elements[at] = replace(elements[at], vr=random.choice(VRS))
    return elements


def _remove(random: Random, elements: list[Element]) -> list[Element]:
    del elements[_place(random, elements)]
    return elements or [_new_element(random)]


def _twice(random: Random, elements: list[Element]) -> list[Element]:
    element = elements[_place(random, elements)]
    elements.insert(random.randint(0, len(elements)), element)
    return elements


def _move(random: Random, elements: list[Element]) -> list[Element]:
    element = elements.pop(_place(random, elements))
    elements.insert(random.randint(0, len(elements)), element)
    return elements


def _nest(random: Random, elements: list[Element]) -> list[Element]:
    """Elements inside a sequence, down to a depth at which recursion would overflow."""
    at = _place(random, elements)
    inner: tuple[Element, ...] = (elements[at],)
    undefined = random.random() < 0.5
    if random.random() < 0.2:
        opened = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED) + struct.pack("<HH2sHI", 8, 0x1115, b"SQ", 0, UNDEFINED)
        elements[at] = Element(0x00081115, b"SQ", opened * random.choice((70, 1000, 5000)), length=UNDEFINED)
        return elements
    for _ in range(random.choice((1, 2, 63, 64, 65))):
        inner = (
            Element(random.choice((0x00081115, 0x00283010, 0x00540220)), b"SQ", items=(inner,), undefined=undefined),
        )
    elements[at] = inner[0]
    return sorted(elements, key=lambda e: e.tag)


def _private(random: Random, elements: list[Element]) -> list[Element]:
    found = [i for i, e in enumerate(elements) if e.tag >> 16 & 1]
    if not found:
        return _insert(random, elements)
    at = random.choice(found)
    value = random.choice((*TOKENS, *(struct.pack("<d", number) for number in FLOATS)))
    elements[at] = replace(elements[at], value=value)
    return elements


def _pixels(random: Random, elements: list[Element]) -> list[Element]:
    at = next((i for i, e in enumerate(elements) if e.tag == PIXEL_DATA and e.items is None), None)
    if at is None:
        return _insert(random, elements)
    element, dice = elements[at], random.random()
    if dice < 0.25:
        value = element.value[: random.randint(0, len(element.value))]
    elif dice < 0.5:
        value = element.value + bytes(random.choice((1, 2, 100, len(element.value), 100_000)))
    elif dice < 0.6:
        value = bytes([random.getrandbits(8)]) * len(element.value)
    else:
        value = with_edits(random, element.value)
    elements[at] = replace(element, value=value)
    return elements


def _size(random: Random, elements: list[Element]) -> list[Element]:
    """Another size in the header, with pixels that fit to it or not."""
    rows, columns = (random.choice((1, 2, 33, 34, 64, 65, 500, 1000)) for _ in range(2))
    wanted = {0x00280010: rows, 0x00280011: columns}
    fits = random.random() < 0.8
    return [
        replace(e, value=struct.pack("<H", wanted[e.tag]))
        if e.tag in wanted
        else replace(e, value=(e.value * (2 * rows * columns // max(len(e.value), 1) + 1))[: 2 * rows * columns])
        if e.tag == PIXEL_DATA and fits and e.length is None and e.items is None
        else e
        for e in elements
    ]


def _bits(random: Random, elements: list[Element]) -> list[Element]:
    """Another pixel layout that may be valid: bits, sign, samples."""
    allocated = random.choice((8, 16, 16, 32))
    stored = random.choice((1, 8, 10, 12, 16))
    words = {0x00280100: allocated, 0x00280101: stored, 0x00280102: stored - 1, 0x00280103: random.randint(0, 1)}
    if random.random() < 0.3:
        words |= {0x00280002: 3, 0x00280006: random.randint(0, 1)}
        elements = [
            replace(e, value=random.choice((b"RGB ", b"YBR_FULL_422"))) if e.tag == 0x00280004 else e for e in elements
        ]
    rest = [e for e in elements if e.tag not in words]
    new = [Element(tag, b"US", struct.pack("<H", word)) for tag, word in words.items()]
    return sorted([*rest, *new], key=lambda e: e.tag)


_ELEMENT_EDITS: tuple[Callable[[Random, list[Element]], list[Element]], ...] = (
    *(_value, _value, _value, _value, _insert, _insert, _insert, _length, _vr, _remove, _twice, _move, _nest),
    *(_private, _pixels, _size, _bits),
)


def _with_codestream(random: Random, file: DicomFile) -> DicomFile:
    """Damage inside the compressed pixels, whose fragments keep their lengths or are made anew."""
    at = next(i for i, e in enumerate(file.elements) if e.tag == PIXEL_DATA)
    value = file.elements[at].value
    start = value.index(b"\xfe\xff\x00\xe0", 8) + 8
    stop = len(value) - 8
    stream = bytearray(value[start:stop])
    for _ in range(random.randint(1, 6)):
        # Headers are short and most worth changing.
        place = random.randrange(min(len(stream), random.choice((32, 128, len(stream)))))
        damage = random.choice(
            (random.randbytes(1), random.randbytes(4), b"\xff\xff", b"\0\0", random.choice(TOKENS)[:8])
        )
        stream[place : place + len(damage)] = damage
    new = _fragments(random, bytes(stream), value[:start])
    elements = list(file.elements)
    elements[at] = replace(elements[at], value=new)
    return replace(file, elements=tuple(elements))


def _fragments(random: Random, stream: bytes, head: bytes) -> bytes:
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    if random.random() < 0.6 and len(stream) == struct.unpack("<I", head[-4:])[0]:
        return head + stream + end
    if random.random() < 0.3:
        stream = stream[: random.randint(0, len(stream))]
    offsets = random.choice((b"", bytes(4), b"\xff\xff\xff\xff", bytes(8), struct.pack("<I", 4)))
    parts = [stream] if random.random() < 0.6 else [stream[: len(stream) // 2], stream[len(stream) // 2 :]]
    return b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(p)) + p for p in (offsets, *parts)) + end
