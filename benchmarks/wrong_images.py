"""Reactions of the bundled model to wrong images of a spine: exchanged views, mirrored, rotated, covered, cut off.

Contract: no patient is from a test split.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.figures import Figure
from inference.inputs import ImageInput
from inference.measure import measure_views
from inference.model import Model
from spine.landmarks import VIEWS, ViewName
from spine.prediction import Prediction
from spine.study import Points2D

Inputs = Mapping[ViewName, ImageInput]
Check = Callable[[Prediction], bool]
_OTHER: Mapping[ViewName, ViewName] = {"frontal": "lateral", "lateral": "frontal"}
_ANGLES = (10, 15, 20, 30, 45)
_EDGE_PX = 2
"""Width of the smoothed edge of the black area."""
_FAR_OFF_DEG = 10.0


def exchanged(model: Model, pairs: Sequence[Inputs]) -> list[Figure]:
    """Pairs and single radiographs with the DICOM tags of the other view, and false alarms on correct pairs."""
    alike = [p for p in pairs if p["frontal"].image.shape == p["lateral"].image.shape]
    changed = [{v: replace(p[v], image=p[_OTHER[v]].image) for v in VIEWS} for p in alike]
    rows = [_share(model, "reported: images of a pair exchanged", changed, _refused_or_inconsistent, ">= 99")]
    for view in VIEWS:
        single = [{_OTHER[view]: ImageInput(p[view].image, p[view].spacing_mm)} for p in pairs]
        name = f"refused: a single {view} radiograph, given as {_OTHER[view]}"
        rows.append(_share(model, name, single, lambda p: bool(p.refused), ">= 99"))
    rows.append(_share(model, "refused or reported: correct pairs", pairs, _refused_or_inconsistent, "<= 0.5"))
    return [*rows, _second_runs(model, pairs)]


Turn = Callable[[NDArray[np.uint16]], NDArray[np.uint16]]

TURNS: Mapping[str, Turn] = {
    "turned by 180 degrees": lambda a: a[::-1, ::-1],
    "upside down": lambda a: a[::-1],
    "mirrored": lambda a: a[:, ::-1],
}


def wrong_way_round(model: Model, pairs: Sequence[Inputs]) -> list[Figure]:
    """Single radiographs that are upside down or mirrored, with unchanged DICOM tags."""
    rows = []
    for view in VIEWS:
        for how, turn in TURNS.items():
            radiographs = [replace(p[view], image=np.ascontiguousarray(turn(p[view].image))) for p in pairs]
            found: Iterable[Inputs] = ({view: ImageInput(f.image, f.spacing_mm)} for f in radiographs)
            # A mirrored frontal image looks like that of another patient, so there is no target.
            target = "" if (view, how) == ("frontal", "mirrored") else ">= 99"
            rows.append(_share(model, f"refused: a {view} radiograph {how}", found, lambda p: bool(p.refused), target))
    return rows


def cut_through(model: Model, laterals: Sequence[tuple[ImageInput, Points2D, float]]) -> list[Figure]:
    """Lateral radiographs that end in the middle of L5, so that the network can take L4 for L5.

    ``laterals`` are radiographs with their landmarks and true lordosis L1-L5.
    """
    misses = []
    for radiograph, truth, lordosis_deg in laterals:
        end = int((truth["L5_sup"][1] + truth["L5_inf"][1]) / 2)
        found = measure_views(model, {"lateral": ImageInput(radiograph.image[:end], radiograph.spacing_mm)})
        value = found.parameters["lumbar_lordosis_l1_l5"].value
        misses.append(value is not None and abs(value - lordosis_deg) > _FAR_OFF_DEG and not found.levels_uncertain)
    name = "lateral radiographs cut through L5: lordosis wrong by more than 10 degrees without a warning"
    return [Figure(name, 100 * float(np.mean(misses)), "%", "", f"of {len(misses)}")] if misses else []


def _refused_or_inconsistent(prediction: Prediction) -> bool:
    return bool(prediction.refused) or prediction.views_disagree


def _second_runs(model: Model, pairs: Sequence[Inputs]) -> Figure:
    session = CountingSession(model.session)
    for pair in pairs:
        measure_views(replace(model, session=session), pair)
    share = 100 * (session.calls - len(pairs)) / len(pairs)
    return Figure("correct pairs for which the network runs twice", share, "%", "<= 10", f"of {len(pairs)}")


class CountingSession:
    """An onnxruntime session that counts its calls and images."""

    def __init__(self, session: object) -> None:
        self.session, self.calls, self.images = session, 0, 0

    def run(self, outputs: list[str], inputs: dict[str, NDArray[np.generic]]) -> object:
        """Run the session."""
        self.calls += 1
        self.images += len(next(iter(inputs.values())))
        return self.session.run(outputs, inputs)  # type: ignore[attr-defined]


def covered(model: Model, pairs: Sequence[Inputs], landmarks: Sequence[Points2D]) -> list[Figure]:
    """Frontal radiographs that are black from T8 to L1, and false alarms on correct pairs.

    ``landmarks`` are the true frontal landmarks of each pair. Pairs without T8 or L1 are left out.
    """
    absent, inside, dropped = [], 0, 0
    for pair, points in zip(pairs, landmarks, strict=True):
        if not {"T8_sup", "L1_inf"} <= set(points):
            continue
        image = pair["frontal"].image.copy()
        top, bottom = int(points["T8_sup"][1]), int(points["L1_inf"][1])
        image[top:bottom] = 0
        found = measure_views(model, {"frontal": replace(pair["frontal"], image=image)})
        rows = [p[1] for p in found.points["frontal"].values()]
        inside += sum(top + _EDGE_PX <= row < bottom - _EDGE_PX for row in rows)
        dropped += list(found.dropped.get("frontal", {}).values()).count("LANDMARKS_IN_BLANK_REGION")
        absent.append(found.parameters["cobb"].is_absent)
    how = f"of {len(absent)} frontal radiographs, black from T8 to L1"
    remaining = 100 * inside / max(inside + dropped, 1)
    return [
        Figure("black from T8 to L1: no Cobb angle", 100 * float(np.mean(absent)), "%", ">= 99", how),
        Figure("black from T8 to L1: landmarks inside the black", remaining, "%", "<= 1", f"of {inside + dropped}"),
        _share(model, "correct pairs that lose a landmark to a blank region", pairs, _drops, "<= 1"),
    ]


def _drops(prediction: Prediction) -> bool:
    return any("LANDMARKS_IN_BLANK_REGION" in dropped.values() for dropped in prediction.dropped.values())


def rotated(model: Model, radiographs: Sequence[ImageInput]) -> list[Figure]:
    """Frontal radiographs that are rotated in both directions, and false alarms on upright radiographs."""
    rows = [_share(model, "reported as rotated: upright frontal radiographs", _frontal(radiographs), _reported, "<= 1")]
    for angle in _ANGLES:
        images = (
            replace(radiograph, image=ndimage.rotate(radiograph.image, sign * angle, reshape=False, order=1))
            for radiograph in radiographs
            for sign in (1, -1)
        )
        target = ">= 95" if angle >= 20 else ""
        name = f"reported or refused: frontal radiographs rotated by {angle} degrees"
        rows.append(_share(model, name, _frontal(images), _reported, target))
    return rows


def _reported(prediction: Prediction) -> bool:
    nothing = all(measured.is_absent for measured in prediction.parameters.values())
    leaning = any("may be turned" in note for note in prediction.notes)
    return leaning or bool(prediction.refused) or nothing


def real_radiographs(model: Model, radiographs: Sequence[ImageInput]) -> list[Figure]:
    """False alarms of the same checks on correct real frontal radiographs, and the same radiographs given wrongly."""
    found = [measure_views(model, views) for views in _frontal(radiographs)]
    checks: list[tuple[str, Check]] = [
        ("reported as rotated or refused", _reported),
        ("a landmark lost to a blank region", _drops),
    ]
    rows = [_share_of(found, f"{name}: real frontal radiographs", check, "<= 1") for name, check in checks if found]
    return [*rows, *_wrongly_given(model, radiographs)] if found else []


def _wrongly_given(model: Model, radiographs: Sequence[ImageInput]) -> Iterable[Figure]:
    for how in ("turned by 180 degrees", "upside down"):
        turned = (replace(r, image=np.ascontiguousarray(TURNS[how](r.image))) for r in radiographs)
        yield _share(model, f"refused: real frontal radiographs {how}", _frontal(turned), _refused, "")
    as_lateral: Iterable[Inputs] = ({"lateral": radiograph} for radiograph in radiographs)
    yield _share(model, "refused: real frontal radiographs, given as lateral", as_lateral, _refused, "")


def _refused(prediction: Prediction) -> bool:
    return bool(prediction.refused)


def _frontal(radiographs: Iterable[ImageInput]) -> Iterable[Inputs]:
    return ({"frontal": radiograph} for radiograph in radiographs)


def _share(model: Model, name: str, inputs: Iterable[Inputs], check: Check, target: str) -> Figure:
    """The share of inputs whose prediction passes the check, percent."""
    return _share_of([measure_views(model, views) for views in inputs], name, check, target)


def _share_of(predictions: Sequence[Prediction], name: str, check: Check, target: str) -> Figure:
    passed = [check(prediction) for prediction in predictions]
    return Figure(name, 100 * float(np.mean(passed)) if passed else float("nan"), "%", target, f"of {len(passed)}")
