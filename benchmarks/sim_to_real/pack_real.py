"""Packs the 481 real frontal radiographs (data/aasce_training) for the GPU machine.

Contract: the pack has all rows of the folder in the same order with unchanged labels. It is a git-ignored file of less
than 45 MiB.
"""

import csv
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.sim_to_real.letterbox import FRAME, letterbox
from benchmarks.sim_to_real.pack import CORNERS_COUNT, VERTEBRAE_COUNT, jpeg_bytes, write_pack

PACKED = Path(".carry/aasce.npz")
LARGEST_BYTES = 45 * 2**20
_ROOT = Path(__file__).resolve().parents[2]
_QUALITIES = (92, 88, 84)
_NUMBER = re.compile(r"-[A-Za-z]*(\d+)[^-]*$")


def radiographs_folder() -> Path:
    """The folder of the radiographs, beside the repository or under ``PLUMBLINE_SHARED``.

    Raises:
        FileNotFoundError: a file or the folder is missing.
    """
    shared = Path(os.environ.get("PLUMBLINE_SHARED", _ROOT.parent / "shared"))
    folder = shared / "data" / "aasce_training"
    missing = [n for n in ("filenames.csv", "landmarks.csv", "angles.csv", "images") if not (folder / n).exists()]
    if missing:
        raise FileNotFoundError(
            f"found no {', '.join(missing)} in {folder}; expected the real radiographs: set PLUMBLINE_SHARED to the "
            "folder that contains data/aasce_training"
        )
    return folder


def pack_radiographs(path: Path = PACKED, limit: int | None = None) -> int:
    """Write the pack and return its size in bytes. If the file would be too large, the JPEG quality is lower."""
    folder = radiographs_folder()
    names, relative, angles = _tables(folder)
    names, relative, angles = names[:limit], relative[:limit], angles[:limit]
    images, corners, scales, shapes = [], [], [], []
    for name, xy in zip(names, relative, strict=True):
        grey = _grey(folder / "images" / name)
        framed, placed = letterbox(grey)
        # Labels are shares of width and height from the edge of the image, which is half a pixel before pixel 0.
        corners.append(placed.apply(xy * np.array([grey.shape[1], grey.shape[0]]) - 0.5))
        images.append(framed)
        scales.append(placed.scale)
        shapes.append(grey.shape)
    points = np.stack(corners)
    facts = {
        "angle_deg": angles,
        "scale": np.array(scales),
        "shape": np.array(shapes),
        "patient": np.array([_patient(name) for name in names]),
        "screened_out": screened_out(points, names),
    }
    for quality in _QUALITIES:
        jpegs = [jpeg_bytes(image, quality) for image in images]
        if sum(map(len, jpegs)) < LARGEST_BYTES - 2**20:
            break
    write_pack(path, jpegs, points, inside(points), names, facts)
    size_mib = path.stat().st_size / 2**20
    sys.stdout.write(
        f"{path}: {len(names)} radiographs, JPEG quality {quality}, {size_mib:.1f} MiB; "
        f"{int(facts['screened_out'].sum())} screened out by the data set validation\n"
    )
    return path.stat().st_size


def inside(corners: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(...,) whether (..., 2) frame pixels are inside the frame or at most half a pixel outside."""
    x, y = corners[..., 0], corners[..., 1]
    return (x >= -0.5) & (y >= -0.5) & (x <= FRAME[1] - 0.5) & (y <= FRAME[0] - 0.5)


def screened_out(corners: NDArray[np.floating], names: Sequence[str]) -> NDArray[np.bool_]:
    """(N,) whether the labels of a row break a rule of the profile ``frontal_radiographs``."""
    from spine.dataset import Example, ExampleView
    from spine.landmarks import CORNERS68, VERTEBRAE
    from validation.dataset.checking import check_labels
    from validation.dataset.suites import Minimums, Suite, suites
    from validation.dataset.validate import findings_of

    sides = ("sup_right", "sup_left", "inf_right", "inf_left")
    examples = []
    for i, (points, name) in enumerate(zip(corners, names, strict=True)):
        labels = {
            f"{v}_{s}": np.asarray(points[j, k], float) for j, v in enumerate(VERTEBRAE) for k, s in enumerate(sides)
        }
        view = ExampleView("frontal", "", f"{i:064x}", FRAME, None, "NONE", None, labels)
        examples.append(Example(f"{i:03d}", _patient(name), "train", "aasce", {"frontal": view}))
    rules = {suite.table: suite.rules for suite in suites("frontal_radiographs", CORNERS68, Minimums(1, 1, 1))}
    whole = tuple(r for r in rules["studies"] if r.name in ("vertebrae_not_discs", "side_of_the_curve"))
    chosen = (Suite("levels", rules["levels"]), Suite("studies", whole))
    bad = {int(f.study_id) for f in findings_of(check_labels(examples, chosen)) if f.severity == "error"}
    return np.isin(np.arange(len(names)), sorted(bad))


def _tables(folder: Path) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """N names, (N, 17, 4, 2) corners as shares of width and height, and (N, 3) angles in degrees."""
    with (folder / "filenames.csv").open(newline="", encoding="utf-8") as stream:
        names = [Path("".join(row)).name for row in csv.reader(stream) if row]
    flat = np.loadtxt(folder / "landmarks.csv", delimiter=",", ndmin=2)
    relative = flat.reshape(len(names), 2, VERTEBRAE_COUNT, CORNERS_COUNT).transpose(0, 2, 3, 1)
    return names, relative, np.loadtxt(folder / "angles.csv", delimiter=",", ndmin=2)


def _grey(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    with Image.open(path) as file:
        return np.asarray(file.convert("L"))


def _patient(name: str) -> str:
    number = _NUMBER.search(Path(name).stem)
    return number[1] if number else Path(name).stem
