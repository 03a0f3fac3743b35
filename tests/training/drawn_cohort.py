"""A cohort of synthetic images with soft shapes and exact labels: fast to make, and similar enough to learn from."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spine.dataset import Example, ExampleView, Manifest, Split
from spine.dataset_writing import write_manifest
from spine.landmarks import LANDMARK_SETS, LEVELS, VIEWS
from spine.scanner import SOURCE_TO_ISOCENTRE_MM, ViewGeometry, is_on_image
from spine.storage import sha256_of_image, write_array_atomically
from tests.validation.dataset.constructed_datasets import spine_points


def draw(
    points: dict[str, np.ndarray], shape: tuple[int, int], random: np.random.Generator, px_mm: float
) -> np.ndarray:
    """(H, W) uint16 image of projected (pixel) points."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    image = 700 + 150 * np.sin(columns / shape[1] * np.pi) + 2 * rows / shape[0]
    for level in LEVELS[:-1]:
        top, bottom = points[f"{level}_sup"], points[f"{level}_inf"]
        image += 900 * _quad(rows, columns, top, bottom, (13 if level[0] == "T" else 20) / px_mm)
    front, back = points["S1_ant"], points["S1_post"]
    image += 700 * _quad(rows, columns, (front + back) / 2, (front + back) / 2 + [0, 30 / px_mm], 18 / px_mm)
    for hip in ("HIP_L", "HIP_R"):
        distance = np.hypot(columns - points[hip][0], rows - points[hip][1]) * px_mm
        image += 600 / (1 + np.exp((distance - 23) / 2))
    image += random.normal(0, 40, shape)
    return np.clip(image, 0, 4095).astype(np.uint16)


def write_drawn_dataset(
    folder: Path,
    counts: Sequence[int],
    *,
    shape: tuple[int, int] = (128, 64),
    seed: int = 0,
    landmark_set: str = "galbusera39",
) -> Manifest:
    """Write a data set of (train, validation, test) ``counts`` studies with both views."""
    random = np.random.default_rng(seed)
    px_mm = 1.43 * 512 / shape[0]
    examples: list[Example] = []
    splits: list[Split] = ["train", "validation", "test"]
    for split, count in zip(splits, counts, strict=True):
        for _ in range(count):
            number = len(examples)
            known = spine_points(random.normal(0, 12), random.uniform(0.9, 1.05), random.normal(-30, 10))
            points = {name: known[name] for name in LANDMARK_SETS[landmark_set].names}
            examples.append(_example(folder, f"study{number:04d}", split, shape, px_mm, random, points))
    return write_manifest(folder, landmark_set, seed, examples)


def _example(
    folder: Path,
    name: str,
    split: Split,
    shape: tuple[int, int],
    px_mm: float,
    random: np.random.Generator,
    points: dict[str, np.ndarray],
) -> Example:
    views = {}
    for view in VIEWS:
        geometry = ViewGeometry(view, shape, (px_mm, px_mm), SOURCE_TO_ISOCENTRE_MM[view])
        projected = {n: geometry.project(p) for n, p in points.items()}
        image = draw(projected, shape, random, px_mm)
        sha = sha256_of_image(image)
        write_array_atomically(folder / "images" / f"{sha}.npy", image)
        seen = {n: p for n, p in projected.items() if is_on_image(p, geometry.shape)}
        views[view] = ExampleView(view, f"images/{sha}.npy", sha, shape, (px_mm, px_mm), "GEOMETRY", geometry, seen)
    return Example(name, name, split, "drawn", views, points_3d=points, facts={"simulated": True})


def _quad(rows: np.ndarray, columns: np.ndarray, top: np.ndarray, bottom: np.ndarray, half_px: float) -> np.ndarray:
    """Soft rectangle between two points."""
    axis = np.asarray(bottom - top, dtype=np.float32)
    length = float(np.hypot(*axis)) + 1e-6
    along = ((columns - top[0]) * axis[0] + (rows - top[1]) * axis[1]) / length
    across = ((columns - top[0]) * -axis[1] + (rows - top[1]) * axis[0]) / length
    outside = np.maximum(np.maximum(-along, along - length), np.abs(across) - half_px)
    return 1 / (1 + np.exp(np.clip(outside / 0.5, -50, 50)))
