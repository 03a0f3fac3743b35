"""What the second reader of the validation finds: wrong images among right ones, virtual and real.

    python -m benchmarks.second_reader DATASET                  virtual patients of a dataset folder
    python -m benchmarks.second_reader DATASET --aasce FOLDER   also the real frontal radiographs of AASCE

Every image is read as it is, as noise, turned by 180 degrees, mirrored, and with the images of another patient. The
command prints the share of studies with an error of the second reader's rules, and how many only differ in levels.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from inference.bundled import open_bundled
from inference.inputs import ImageInput
from inference.measure import measure_views
from inference.model import Model
from spine.dataset import Example, load_example_image, read_manifest
from spine.errors import InputRejected
from spine.intake.aasce import AasceSource
from spine.intake.records import StudyCandidate
from spine.landmarks import MARGINS175, ViewName
from spine.study import Points2D
from validation.dataset.second_reading import Reading, compared
from validation.dataset.suites import Minimums, suites

KINDS = ("as they are", "noise", "turned by 180 degrees", "mirrored", "of another patient")
Views = Mapping[ViewName, ImageInput]
Labels = Mapping[ViewName, Points2D]


def main(arguments: list[str]) -> int:
    """Print one table for each source."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--aasce", type=Path)
    parser.add_argument("--count", type=int, default=100)
    chosen = parser.parse_args(arguments)
    model, random = open_bundled(), np.random.default_rng(0)
    examples = list(read_manifest(chosen.dataset).examples())
    random.shuffle(examples)
    _print("virtual patients", model, [_of_example(chosen.dataset, e) for e in examples[: chosen.count]], random)
    if chosen.aasce:
        candidates = list(AasceSource(chosen.aasce).contents().candidates)
        random.shuffle(candidates)
        _print("real frontal radiographs (AASCE)", model, _of_aasce(candidates[: chosen.count]), random)
    return 0


def _of_example(dataset: Path, example: Example) -> tuple[Views, Labels]:
    views = {
        name: ImageInput(load_example_image(dataset, view), view.spacing_mm, view.calibration, view.geometry)
        for name, view in example.views.items()
    }
    return views, {name: view.points for name, view in example.views.items()}


def _of_aasce(candidates: Sequence[StudyCandidate]) -> list[tuple[Views, Labels]]:
    studies: list[tuple[Views, Labels]] = []
    for candidate in candidates:
        try:
            view = candidate.load().views["frontal"]
        except InputRejected:
            continue
        studies.append(({"frontal": ImageInput(view.image)}, {"frontal": view.labels}))
    return studies


def _changed(kind: str, views: Views, other: Views, random: np.random.Generator) -> dict[ViewName, ImageInput]:
    changed = {}
    for name, view in views.items():
        image = {
            "as they are": view.image,
            "noise": random.integers(0, 4096, view.image.shape).astype(np.uint16),
            "turned by 180 degrees": view.image[::-1, ::-1],
            "mirrored": view.image[:, ::-1],
            "of another patient": other[name].image if name in other else view.image,
        }[kind]
        changed[name] = ImageInput(np.ascontiguousarray(image), view.spacing_mm, view.calibration, view.geometry)
    return changed


def _print(source: str, model: Model, studies: list[tuple[Views, Labels]], random: np.random.Generator) -> None:
    rules = {
        rule.name: rule
        for s in suites("biplanar", MARGINS175, Minimums(1, 1, 1), with_readings=True)
        for rule in s.rules
    }
    off_line, levels = rules["reader_on_the_line"].maximum or 0.0, rules["reader_levels"].maximum or 0.0
    agree = rules["reader_levels_agree"].maximum or 0.0
    print(f"{source}: {len(studies)} studies")
    print(
        f"    {'images':<24} {'refused':>8} {'off the line':>13} {'levels off':>11} {'error':>7} {'warning only':>13}"
    )
    for kind in KINDS:
        counts = np.zeros(5, dtype=int)
        for number, (views, labels) in enumerate(studies):
            other = studies[(number + 1) % len(studies)][0]
            prediction = measure_views(model, _changed(kind, views, other, random))
            readings: list[Reading] = [
                compared("", v, "", prediction.points.get(v, {}), labels[v], prediction.refused.get(v, ""))
                for v in views
            ]
            refused = any(r.refusal for r in readings)
            off = any((r.off_line or 0) > off_line for r in readings)
            shifted = any(abs(r.shift or 0) > levels for r in readings)
            error = refused or off or shifted
            warned = not error and any(abs(r.shift or 0) > agree for r in readings)
            counts += np.array([refused, off, shifted, error, warned], dtype=int)
        shares = [f"{100 * count / len(studies):.1f} %" for count in counts]
        print(f"    {kind:<24} {shares[0]:>8} {shares[1]:>13} {shares[2]:>11} {shares[3]:>7} {shares[4]:>13}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
