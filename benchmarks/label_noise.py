"""The share of wrong labels that the validation finds: labels that are misplaced, exchanged or named wrongly.

    python -m benchmarks.label_noise STORE                  studies of a store with 3D reconstructions
    python -m benchmarks.label_noise STORE --aasce FOLDER   also the real frontal radiographs of AASCE

The images stay as they are. In each kind, the labels of every study are wrong:

    a tenth astray       each landmark is moved with probability 0.1, in any direction, by half to two vertebrae
    left and right       the names of left and right are exchanged
    one level too low    every vertebra has the name of the next one below
    one level too high   every vertebra has the name of the next one above

The command prints the share of studies with an error of a rule without a second reader, with it, and with an error or a
warning. The first row counts false alarms, and the labels of AASCE that are wrong as published.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from inference.bundled import open_bundled
from inference.inputs import ImageInput
from inference.measure import measure_views
from spine.intake.ingest import ingest
from spine.intake.sources import open_source
from spine.landmarks import CORNERS68, MARGINS175, LandmarkSet, ViewName, mirrored_name, shifted_name
from spine.projection import locate_landmarks
from spine.study import Study, iterate_study_folders, read_study
from spine.types import Floats
from validation.dataset.build import example_of
from validation.dataset.checking import check_labels
from validation.dataset.second_reading import compared
from validation.dataset.suites import Minimums, Profile, suites
from validation.dataset.validate import findings_of

Points = Mapping[str, Floats]
Found = Mapping[tuple[str, ViewName], tuple[Points, str]]
"""(study id, view) -> (landmarks that a model finds, why it refuses the image or an empty text)."""
SHARE_ASTRAY = 0.1
MM_ASTRAY = (15.0, 50.0)


def astray(points: Points, random: np.random.Generator) -> dict[str, Floats]:
    """Move a tenth of the points, at least one. 2D points are moved by the same number of vertebrae as 3D points."""
    names = sorted(points)
    chosen = random.random(len(names)) < SHARE_ASTRAY
    chosen[random.integers(len(names))] = True
    moved = dict(points)
    for name in np.array(names)[chosen]:
        direction = random.normal(size=len(points[name]))
        length = random.uniform(*MM_ASTRAY) * _units_per_mm(points)
        moved[name] = points[name] + direction / np.linalg.norm(direction) * length
    return moved


def _units_per_mm(points: Points) -> float:
    """1 for 3D points in mm; for 2D points, a spine that spans T1 to L5 has 430 mm."""
    if len(next(iter(points.values()))) == 3:
        return 1.0
    rows = [point[1] for point in points.values()]
    return (max(rows) - min(rows)) / 430.0


def _renamed(points: Points, name_of: Callable[[str], str | None]) -> dict[str, Floats]:
    return {new: point for name, point in points.items() if (new := name_of(name)) is not None}


KINDS: Mapping[str, Callable[[Points, np.random.Generator], Points]] = {
    "as they are": lambda points, _: points,
    "a tenth astray": astray,
    "left and right": lambda points, _: _renamed(points, mirrored_name),
    "one level too low": lambda points, _: _renamed(points, lambda name: shifted_name(name, 1)),
    "one level too high": lambda points, _: _renamed(points, lambda name: shifted_name(name, -1)),
}


def mislabelled(study: Study, kind: str, random: np.random.Generator) -> Study:
    """The study with wrong labels."""
    if study.reconstruction is not None:
        points = dict(KINDS[kind](study.reconstruction.points, random))
        return replace(study, reconstruction=replace(study.reconstruction, points=points))
    views = {n: replace(v, labels=dict(KINDS[kind](v.labels, random))) for n, v in study.views.items()}
    return replace(study, views=views)


def flagged(
    studies: Sequence[Study], found: Found | None, profile: Profile, landmark_set: LandmarkSet
) -> tuple[set[str], set[str]]:
    """The studies with an error, and with an error or a warning. Without ``found`` there is no second reader."""
    examples = tuple(example_of(s, "train", locate_landmarks(s, landmark_set)) for s in studies)
    readings = [
        compared(e.study_id, name, "", *_pair(found, e.study_id, name, view.points))
        for e in examples
        for name, view in e.views.items()
        if found is not None
    ]
    chosen = suites(profile, landmark_set, Minimums(1, 1, 1), with_readings=found is not None)[:-1]  # without splits
    findings = findings_of(check_labels(examples, chosen, readings))
    return {f.study_id for f in findings if f.severity == "error"}, {f.study_id for f in findings}


def _pair(found: Found, study_id: str, view: ViewName, labels: Points) -> tuple[Points, Points, str]:
    points, refusal = found[study_id, view]
    return points, labels, refusal


def landmarks_found(store: Path, studies: Sequence[Study]) -> Found:
    """What the bundled model finds in the images of the studies."""
    model, found = open_bundled(), {}
    for study in studies:
        views = {
            name: ImageInput(
                np.load(store / study.study_id / view.image), view.spacing_mm, view.calibration, view.geometry
            )
            for name, view in study.views.items()
        }
        prediction = measure_views(model, views)
        for name in views:
            found[study.study_id, name] = (prediction.points.get(name, {}), prediction.refused.get(name, ""))
    return found


def main(arguments: list[str]) -> int:
    """Print one table for each source."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--aasce", type=Path)
    parser.add_argument("--count", type=int, default=100)
    chosen = parser.parse_args(arguments)
    _print("studies with reconstructions", chosen.store, chosen.count, "biplanar", MARGINS175)
    if chosen.aasce:
        with tempfile.TemporaryDirectory() as scratch:
            store = Path(scratch) / "studies"
            ingest(open_source("aasce", chosen.aasce), store, Path(scratch) / "quarantine", pseudonym_key=bytes(32))
            _print("real frontal radiographs (AASCE)", store, chosen.count, "frontal_radiographs", CORNERS68)
    return 0


def _print(source: str, store: Path, count: int, profile: Profile, landmark_set: LandmarkSet) -> None:
    random = np.random.default_rng(0)
    folders = list(iterate_study_folders(store))
    studies = [read_study(folders[i]) for i in random.permutation(len(folders))[:count]]
    found = landmarks_found(store, studies)
    print(f"{source}: {len(studies)} studies")
    print(f"    {'labels':<20} {'error, no reader':>17} {'error':>8} {'error or warning':>17}")
    for kind in KINDS:
        wrong = [mislabelled(study, kind, random) for study in studies]
        alone, _ = flagged(wrong, None, profile, landmark_set)
        sets = (alone, *flagged(wrong, found, profile, landmark_set))
        shares = [f"{100 * len(found_ids) / len(studies):.1f} %" for found_ids in sets]
        print(f"    {kind:<20} {shares[0]:>17} {shares[1]:>8} {shares[2]:>17}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
