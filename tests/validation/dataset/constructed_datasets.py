"""Tiny studies with plausible, analytically placed spines, and stores and datasets made of them."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from spine.landmarks import CORNERS68, VERTEBRAE, ViewName
from spine.reconstruction.reconstruction import Reconstruction
from spine.scanner import SOURCE_TO_ISOCENTRE_MM, ViewGeometry
from spine.storage import sha256_of_image
from spine.study import Study, StudyView, write_study_record
from validation.dataset.results import ValidationConfig

MINIMUMS: dict[str, Any] = {"minimum_train": 3, "minimum_validation": 1, "minimum_test": 2}
BIPLANAR = ValidationConfig(data_docs=False, **MINIMUMS)
RADIOGRAPHS = ValidationConfig(profile="frontal_radiographs", data_docs=False, max_bad_share=0.3, **MINIMUMS)

SPACING_MM = 4.0
SHAPES = {"frontal": (190, 90), "lateral": (190, 110)}

Points = dict[str, np.ndarray]


def spine_points(curve_mm: float = 20.0, scale: float = 1.0, lift_mm: float = 0.0) -> Points:
    """A full spine with plate margins: 3D points, LPS mm; ``curve_mm`` bends it to the left at T9."""
    points: Points = {}
    z = 300.0 * scale + lift_mm
    sizes = np.linspace([15.0, 25.0, 20.0, 4.5], [27.0, 48.0, 35.0, 10.0], 17) * scale  # height, width, depth, disc

    def along(height: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(centre, unit left, unit front) of a plate at this height."""
        phase = np.pi * (height - lift_mm) / (300.0 * scale)
        x, slope_x = curve_mm * np.sin(phase), curve_mm * np.cos(phase) * np.pi / (300.0 * scale)
        y, slope_y = -25.0 * np.sin(phase), -25.0 * np.cos(phase) * np.pi / (300.0 * scale)
        left = np.array([1.0, 0.0, -slope_x])
        front = np.array([0.0, -1.0, slope_y])
        return np.array([x, y, height]), left / np.linalg.norm(left), front / np.linalg.norm(front)

    for level, (height, width, depth, disc) in zip(VERTEBRAE, sizes, strict=True):
        for plate in ("sup", "inf"):
            centre, left, front = along(z)
            name = f"{level}_{plate}"
            points[name] = centre
            points[f"{name}_left"], points[f"{name}_right"] = centre + left * width / 2, centre - left * width / 2
            points[f"{name}_ant"], points[f"{name}_post"] = centre + front * depth / 2, centre - front * depth / 2
            z -= height if plate == "sup" else disc
    centre = along(z)[0]
    slope = np.radians(40.0)
    front = np.array([0.0, -np.cos(slope), -np.sin(slope)])
    points["S1_sup"], points["S1_ant"], points["S1_post"] = centre, centre + front * 17, centre - front * 17
    hips = centre + np.array([0.0, -105 * np.sin(np.radians(13)), -105 * np.cos(np.radians(13))])
    points["HIP_L"], points["HIP_R"] = hips + [86.0, 0, 0], hips - [86.0, 0, 0]
    return points


def geometry(view: ViewName, shape: tuple[int, int] | None) -> ViewGeometry:
    return ViewGeometry(view, shape or SHAPES[view], (SPACING_MM, SPACING_MM), SOURCE_TO_ISOCENTRE_MM[view])


def image(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """A smooth random image, (H, W) uint16; different seeds give different images."""
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 6.0)
    return np.round(2000 + 1500 * smooth / np.abs(smooth).max()).astype(np.uint16)


def add_study(
    store: Path,
    number: int,
    *,
    patient: str | None = None,
    points: Points | None = None,
    views: tuple[ViewName, ...] = ("frontal", "lateral"),
    shape: tuple[int, int] | None = None,
    pixels: int | None = None,
) -> Study:
    """Write one biplanar study; ``pixels`` reuses the images of another number."""
    folder = store / f"{number:016x}"
    folder.mkdir(parents=True)
    parts = {}
    for offset, view in enumerate(views):
        geo = geometry(view, shape)
        array = image(10 * (number if pixels is None else pixels) + offset, geo.shape)
        np.save(folder / f"{view}.npy", array)
        parts[view] = StudyView(view, f"{view}.npy", sha256_of_image(array), geo.shape, geo.spacing_mm, "GEOMETRY", geo)
    rng = np.random.default_rng(number)
    made = points or spine_points(curve_mm=float(rng.uniform(-30, 30)), scale=float(rng.uniform(0.9, 1.05)))
    reconstruction = Reconstruction(f"s{number}", made, "plumbline-json")
    study = Study(folder.name, patient or f"p{number}", "test", parts, reconstruction, {"simulated": True})
    write_study_record(study, folder)
    return study


def radiograph_labels(curve_mm: float = 20.0, scale: float = 1.0) -> Points:
    """The 68 corners of a frontal radiograph, (2,) pixels at 2 px per mm, of a patient facing the detector."""
    points = spine_points(curve_mm, scale)
    return {n: np.array([200.0 + 2 * points[n][0], 40.0 + 2 * (320 - points[n][2])]) for n in CORNERS68.names}


def add_radiograph(store: Path, number: int, labels: Points | None = None, patient: str | None = None) -> Study:
    """Write one uncalibrated frontal radiograph with corner labels."""
    folder = store / f"{number:016x}"
    folder.mkdir(parents=True)
    array = image(10 * number, (1100, 400))
    np.save(folder / "frontal.npy", array)
    rng = np.random.default_rng(number)
    made = labels or radiograph_labels(float(rng.uniform(-30, 30)), float(rng.uniform(0.85, 1.0)))
    view = StudyView("frontal", "frontal.npy", sha256_of_image(array), array.shape, None, "NONE", None, made)
    study = Study(folder.name, patient or f"p{number}", "radiographs", {"frontal": view}, None, {})
    write_study_record(study, folder)
    return study
