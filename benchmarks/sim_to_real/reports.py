"""The files of a run: figures, one row for each radiograph, found corners, and a contact sheet.

Contract: one folder with four small files, which can be copied from a GPU machine:

    result.json       all figures, recipe, times
    radiographs.csv   name, shift, angles, errors
    found.npz         found corners (N, 17, 4, 2)
    contact.png       best 4, median 4, worst 8 radiographs
"""

import csv
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.sim_to_real.level_matching import FAR_PX
from benchmarks.sim_to_real.pack import Pack
from benchmarks.sim_to_real.scoring import RadiographScore
from spine.types import Floats

RADIOGRAPHS, FOUND, CONTACT = "radiographs.csv", "found.npz", "contact.png"

_GREEN, _RED = (0, 255, 0), (255, 40, 40)
_COLUMNS = (
    *("name", "screened_out", "shift", "found_deg", "published_deg", "error_deg"),
    *("centre_mean_px", "corner_median_px", "centres_off"),
)


def write_radiographs(
    folder: Path, names: Sequence[str], scores: Sequence[RadiographScore], screened: NDArray[np.bool_]
) -> None:
    """Write one row for each radiograph, in the order of the pack."""
    with (folder / RADIOGRAPHS).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(_COLUMNS)
        for name, s, out in zip(names, scores, screened, strict=True):
            centre_px, corner_px = s.match.centre_px, s.match.corner_px
            values = (s.found_deg, s.published_deg, s.error_deg, centre_px.mean(), np.median(corner_px))
            rounded = (f"{value:.2f}" for value in values)
            writer.writerow([name, int(out), s.match.shift, *rounded, int((centre_px > FAR_PX).sum())])


def contact_rows(errors_deg: Floats) -> list[int]:
    """Rows of the four best, the four median and the eight worst radiographs, in this order, each row once."""
    order = np.argsort(np.abs(errors_deg), kind="stable")
    middle = max(0, len(order) // 2 - 2)
    wanted = [*order[:4], *order[middle : middle + 4], *order[::-1][:8]]
    return list(dict.fromkeys(int(i) for i in wanted))


def draw_contact_sheet(path: Path, radiographs: Pack, found: Floats, rows: Sequence[int], columns: int = 8) -> None:
    """Draw labelled corners (green) and found corners (red) on the radiographs in ``rows``."""
    tiles = [_drawn(radiographs.images[i], radiographs.corners[i], radiographs.visible[i], found[i]) for i in rows]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    bands = [np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)]
    write_png(path, np.concatenate(bands, axis=0))


def _drawn(
    image: NDArray[np.uint8], corners: NDArray[np.floating], visible: NDArray[np.bool_], found: Floats
) -> NDArray[np.uint8]:
    """(H, W, 3) image with a cross of five pixels at each corner."""
    tile = np.repeat(image[..., None], 3, axis=2)
    for points, colour in ((corners[visible], _GREEN), (found.reshape(-1, 2), _RED)):
        on_tile = ((points >= 2) & (points <= np.array([tile.shape[1], tile.shape[0]]) - 3)).all(axis=-1)
        for x, y in np.rint(points[on_tile]).astype(int):
            tile[y, x - 2 : x + 3] = tile[y - 2 : y + 3, x] = colour
    return tile


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) uint8 as a PNG without Pillow, which a GPU machine may lack."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = image.shape[:2]
    # Filter 1 (difference from the pixel on the left) makes radiographs a third smaller.
    left = np.concatenate([np.zeros_like(image[:, :1]), image[:, :-1]], axis=1)
    rows = np.concatenate([np.ones((height, 1), dtype=np.uint8), (image - left).reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
