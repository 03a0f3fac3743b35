"""The overlay of an image: collimation, side markers, burned-in text, rulers.

Contract: texts are invented words and numbers, never a person's data. An overlay is a list of pixels and their values,
which needs little memory in a batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spine.landmarks import ViewName
from spine.types import Bool, Float, Int

_GLYPHS = {
    "L": "1000010000100001000010000100001111100000",
    "R": "1111010001100011111010100100101000100000",
    "A": "0111010001100011111110001100011000100000",
    "P": "1111010001100011111010000100001000000000",
    "S": "0111110000100000111000001000011111000000",
    "T": "1111100100001000010000100001000010000000",
    "D": "1111010001100011000110001100011111000000",
    "E": "1111110000100001111010000100001111100000",
    "I": "0111000100001000010000100001000111000000",
    "X": "1000110001010100010001010100011000100000",
    "N": "1000111001101011001110001100011000100000",
    "K": "1000110010101001100010100100101000100000",
    "V": "1000110001100011000110001010100010000000",
    "M": "1000111011101011000110001100011000100000",
    "C": "0111110000100001000010000100000111100000",
    "0": "0111010001100111010111001100010111000000",
    "1": "0010001100001000010000100001000111000000",
    "2": "0111010001000010001000100010001111100000",
    "3": "1111000001000010111000001000011111000000",
    "5": "1111110000111100000100001100010111000000",
    "7": "1111100001000100010001000010000100000000",
    ":": "0000000100000000000000100000000000000000",
    " ": "0" * 40,
}
_WORDS = ("ERECT", "STAND", "", "", "SPINE", "SCAN 12", "STN 3", "PLATE 7", "TEST 0123", "VR 2", "STAND 2", "DX 15")
_OF_VIEW: Mapping[ViewName, tuple[str, str]] = {"frontal": ("PA", "AP"), "lateral": ("LAT", "LAT L")}
"""Texts that replace the empty entries of ``_WORDS``."""

Edges = tuple[float, float, float, float]
"""The top, bottom, left and right edge in pixels."""

Mark = tuple[NDArray[np.bool_], int, int, float]
"""A bitmap, the row and the column of its upper left corner, and its grey value."""


@dataclass(frozen=True)
class Overlay:
    """The overlay of one image.

    Attributes:
        rows, columns, greys: position and grey value (0 to 1) of each pixel of a mark.
        collimation: edges of the collimated field. Outside this field, the grey value is ``Appearance.background``.
        haze: how visible the image is outside the collimated field, 0 to 1.
        bounds: edges of the radiograph. Outside the radiograph, the image is black.
    """

    rows: Int[NDArray[np.int32], " P"]
    columns: Int[NDArray[np.int32], " P"]
    greys: Float[NDArray[np.float32], " P"]
    collimation: Edges
    haze: float
    bounds: Edges


def glyph(letter: str) -> Bool[NDArray[np.bool_], "8 5"]:
    """The bitmap of a letter."""
    return np.array([c == "1" for c in _GLYPHS[letter]]).reshape(8, 5)


def sample_overlay(
    rng: np.random.Generator, view: ViewName, shape: tuple[int, int], bounds: Edges | None = None
) -> Overlay:
    """Sample markers, text and collimation of one (H, W) image.

    ``bounds`` are the edges of the radiograph if the radiograph is smaller than the image.
    """
    height, width = shape
    top, bottom, left, right = radiograph = bounds or (0.0, float(height), 0.0, float(width))
    chosen, haze = radiograph, 0.0
    if rng.random() < 0.2:  # the collimation is visible at the sides
        inset = rng.uniform(0.0, 0.10, 2) * (right - left)
        chosen, haze = (top, bottom, left + float(inset[0]), right - float(inset[1])), float(rng.choice([0.0, 0.12]))
    marks: list[Mark] = []
    if rng.random() < 0.45:
        marks.append(_side_marker(rng, view, chosen))
    for _ in range(int(rng.random() < 0.3) + int(rng.random() < 0.15)):
        marks.append(_text(rng, view, chosen))
    if rng.random() < 0.05:
        marks += _ruler(rng, chosen)
    return _flattened(marks, shape, chosen, haze, radiograph)


def _side_marker(rng: np.random.Generator, view: ViewName, window: Edges) -> Mark:
    """The letter L or R of a side marker.

    In a frontal image, the patient's left is on the right. A lateral image has the letter of the side at the detector.
    In virtual lateral images, this is always the left side.
    """
    top, bottom, left, right = window
    side = str(rng.choice(["L", "R"]))
    side = side if view == "frontal" else "L"
    scale = max(1, round((bottom - top) * float(rng.uniform(0.0025, 0.006))))
    bitmap = np.kron(glyph(side), np.ones((scale, scale), dtype=bool))
    margin = float(rng.uniform(0.01, 0.12)) * (right - left)
    on_right = (side == "L") if view == "frontal" else bool(rng.random() < 0.5)
    column = right - margin - bitmap.shape[1] if on_right else left + margin
    row = top + float(rng.uniform(0.01, 0.9)) * (bottom - top - bitmap.shape[0])
    return bitmap, int(row), int(column), float(rng.uniform(0.8, 1.0))


def _text(rng: np.random.Generator, view: ViewName, window: Edges) -> Mark:
    top, bottom, left, right = window
    own = iter(_OF_VIEW[view])
    word = str(rng.choice([word or next(own) for word in _WORDS]))
    scale = max(1, round((bottom - top) * float(rng.uniform(0.0016, 0.0035))))
    pieces = [np.pad(glyph(letter), ((0, 0), (0, 1))) for letter in word]
    bitmap = np.kron(np.concatenate(pieces, axis=1), np.ones((scale, scale), dtype=bool))
    at_top = rng.random() < 0.7
    row = top + float(rng.uniform(0.005, 0.05)) * (bottom - top)
    row = row if at_top else bottom - (row - top) - bitmap.shape[0]
    room = max(1.0, right - left - bitmap.shape[1])
    return bitmap, int(row), int(left + rng.uniform(0, 1) * room), float(rng.choice([1.0, rng.uniform(0.6, 1.0), 0.0]))


def _ruler(rng: np.random.Generator, window: Edges) -> list[Mark]:
    """The ticks of a calibration ruler at one side of the image."""
    top, bottom, left, right = window
    column = int(left + 2 if rng.random() < 0.5 else right - 10)
    step = max(4.0, (bottom - top) / float(rng.integers(30, 90)))
    grey = float(rng.uniform(0.7, 1.0))
    return [
        (np.ones((1, 8 if k % 5 == 0 else 4), dtype=bool), int(top + k * step), column, grey)
        for k in range(int((bottom - top) / step))
    ]


def _flattened(
    marks: Sequence[Mark],
    shape: tuple[int, int],
    window: Edges,
    haze: float,
    bounds: Edges,
) -> Overlay:
    rows, columns, greys = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)], [np.zeros(0, np.float32)]
    for bitmap, row, column, grey in marks:
        r, c = np.nonzero(bitmap)
        r, c = r + row, c + column
        keep = (r >= 0) & (r < shape[0]) & (c >= 0) & (c < shape[1])
        rows.append(r[keep].astype(np.int32))
        columns.append(c[keep].astype(np.int32))
        greys.append(np.full(int(keep.sum()), grey, np.float32))
    return Overlay(np.concatenate(rows), np.concatenate(columns), np.concatenate(greys), window, haze, bounds)


@dataclass(frozen=True)
class OverlayTable:
    """The overlays of N images, as numpy arrays.

    Attributes:
        edges: nine numbers for each image: four edges of the collimation, the haze, four edges of the bounds.
        index, greys: position in the flattened (N, H, W) images and grey value of each pixel of a mark.
    """

    edges: Float[NDArray[np.float32], "N 9"]
    index: Int[NDArray[np.int64], " P"]
    greys: Float[NDArray[np.float32], " P"]


def overlay_table(overlays: Sequence[Overlay], shape: tuple[int, int]) -> OverlayTable:
    """The overlays of N images of one shape (H, W) as a table."""
    height, width = shape
    edges = np.array([(*o.collimation, o.haze, *o.bounds) for o in overlays], dtype=np.float32)
    offset = np.repeat(np.arange(len(overlays)) * height * width, [len(o.rows) for o in overlays])
    index = offset + np.concatenate([o.rows.astype(np.int64) * width + o.columns for o in overlays])
    return OverlayTable(edges, index, np.concatenate([o.greys for o in overlays]))


def collimate(
    greys: Float[Tensor, "N H W"], edges: Float[Tensor, "N 9"], background: Float[Tensor, " N"]
) -> Float[Tensor, "N H W"]:
    """The grey values in 0..1 inside the edges; ``background`` is the grey value outside the collimation."""
    haze = edges[:, 4, None, None]
    is_open = _open(edges[:, :4], greys)
    is_open = is_open + (1 - is_open) * haze
    covered = greys * is_open + background[:, None, None] * (1 - is_open)
    return covered * _open(edges[:, 5:], greys)


def draw_marks(
    greys: Float[Tensor, "N H W"], index: Int[Tensor, " P"], values: Float[Tensor, " P"]
) -> Float[Tensor, "N H W"]:
    """The grey values with the marks of an ``OverlayTable``."""
    return greys.reshape(-1).index_copy(0, index, values).reshape(greys.shape) if len(index) else greys


def _open(edges: Tensor, like: Tensor) -> Tensor:
    """(N, H, W) mask, which is 1 inside the (N, 4) edges and 0 outside."""
    height, width = like.shape[1:]
    top, bottom, left, right = (column[:, None] for column in edges.unbind(1))
    down = torch.arange(height, device=like.device)
    across = torch.arange(width, device=like.device)
    rows = (down >= top - 0.5) & (down <= bottom - 0.5)
    columns = (across >= left - 0.5) & (across <= right - 0.5)
    return (rows[:, :, None] & columns[:, None, :]).to(like.dtype)
