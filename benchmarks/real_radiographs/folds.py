"""Five folds by patient number, and a fold as a data set folder for ``python -m training``.

Contract: the split depends on the patient numbers only. Radiographs that the data set validation screens out are in the
test split of their fold, and never in a training or validation split.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.sim_to_real.pack import Pack
from spine.dataset import Example, ExampleView, Manifest, Split, Truth
from spine.dataset_writing import write_manifest
from spine.intake.aasce import LABEL_NAMES
from spine.measurement.measure import measure
from spine.measurement.planes import planes_from_view
from spine.storage import sha256_of_image, write_array_atomically
from spine.study import Points2D

FOLDS = 5
_SEED = 2019
_VALIDATION_SHARE = 10
"""The validation split has one in ten of the patients outside the test split."""


def fold_of(patients: NDArray[np.str_]) -> NDArray[np.int64]:
    """(N,) test fold of each radiograph, 0..4, from (N,) patient numbers."""
    unique = np.unique(patients)
    order = np.random.default_rng(_SEED).permutation(len(unique))
    place = dict(zip(unique.tolist(), order.tolist(), strict=True))
    return np.array([place[p] % FOLDS for p in patients.tolist()])


def split_of(patients: NDArray[np.str_], fold: int) -> list[Split]:
    """The split of every radiograph in one fold."""
    tested = fold_of(patients) == fold
    others = np.unique(patients[~tested])
    shuffled = np.random.default_rng((_SEED, fold)).permutation(others)
    validation = set(shuffled[: len(others) // _VALIDATION_SHARE].tolist())
    pairs = zip(tested, patients.tolist(), strict=True)
    return ["test" if t else "validation" if p in validation else "train" for t, p in pairs]


def radiograph_of(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
    """(H, W) uint16 radiograph without black margins, and (2,) column and row of its first pixel in the frame."""
    (top, bottom), (left, right) = (_extent(image.max(axis=axis)) for axis in (1, 0))
    return image[top:bottom, left:right].astype(np.uint16) * 16, np.array([left, top], dtype=np.float64)


def write_fold(radiographs: Pack, fold: int, folder: Path) -> Manifest:
    """Write one fold as a data set folder; return its manifest."""
    patients, screened = radiographs.facts["patient"].astype(np.str_), radiographs.facts["screened_out"].astype(bool)
    examples = []
    for i, split in enumerate(split_of(patients, fold)):
        if split != "test" and screened[i]:
            continue
        image, first = radiograph_of(radiographs.images[i])
        sha256 = sha256_of_image(image)
        path = f"images/{sha256}.npy"
        if not (folder / path).exists():
            write_array_atomically(folder / path, image)
        corners, seen = (
            radiographs.corners[i].reshape(-1, 2).astype(np.float64) - first,
            radiographs.visible[i].reshape(-1),
        )
        points = {name: xy for name, xy, there in zip(LABEL_NAMES, corners, seen, strict=True) if there}
        shape = (image.shape[0], image.shape[1])
        view = ExampleView("frontal", path, sha256, shape, None, "NONE", None, points)
        truth = _truth(points, float(radiographs.facts["angle_deg"][i, 0]))
        examples.append(Example(f"{i:03d}", str(patients[i]), split, "aasce", {"frontal": view}, truth=truth))
    return write_manifest(folder, "corners68", _SEED, examples)


def _truth(points: Points2D, published_deg: float) -> dict[str, Truth]:
    """The published mid-line angle, and the end-plate angle of the labelled corners."""
    measured = measure(planes_from_view("frontal", points, None, "NONE"))["cobb"]
    truth = {"cobb_midline": Truth(published_deg, "deg")}
    return truth if measured.value is None else {**truth, "cobb": Truth(measured.value, "deg")}


def _extent(brightest: NDArray[np.uint8]) -> tuple[int, int]:
    """Start and stop of the rows (or columns) of the radiograph; the threshold is above the noise of black margins."""
    there = np.flatnonzero(brightest > 12)
    return (int(there[0]), int(there[-1]) + 1) if len(there) > 2 else (0, len(brightest))
