"""Images that are spines and not what they are given as: of the other view, covered in the middle, turned.

Contract: the bundled model, patients of no test split; a share of good images is of all of them.
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

Given = Mapping[ViewName, ImageInput]
Says = Callable[[Prediction], bool]
_OTHER: Mapping[ViewName, ViewName] = {"frontal": "lateral", "lateral": "frontal"}
_ANGLES = (10, 15, 20, 30, 45)
_EDGE_PX = 2
"""Greys are smoothed over so much at the edge of the black."""

_FAR_OFF_DEG = 10.0


def exchanged(model: Model, pairs: Sequence[Given]) -> list[Figure]:
    """Pairs and radiographs under the other view's tags; good pairs."""
    alike = [p for p in pairs if p["frontal"].image.shape == p["lateral"].image.shape]
    changed = [{v: replace(p[v], image=p[_OTHER[v]].image) for v in VIEWS} for p in alike]
    rows = [_share(model, "told: images of a pair exchanged", changed, _refused_or_told, ">= 99")]
    for view in VIEWS:
        single = [{_OTHER[view]: ImageInput(p[view].image, p[view].spacing_mm)} for p in pairs]
        name = f"refused: a {view} alone, given as a {_OTHER[view]}"
        rows.append(_share(model, name, single, lambda p: bool(p.refused), ">= 99"))
    rows.append(_share(model, "refused or told: pairs as they are", pairs, _refused_or_told, "<= 0.5"))
    return [*rows, _looked_at_twice(model, pairs)]


_TURNS: Mapping[str, Callable[[NDArray[np.uint16]], NDArray[np.uint16]]] = {
    "turned by 180 degrees": lambda a: a[::-1, ::-1],
    "upside down": lambda a: a[::-1],
    "mirrored": lambda a: a[:, ::-1],
}


def wrong_way_round(model: Model, pairs: Sequence[Given]) -> list[Figure]:
    """Radiographs alone, head down or mirrored under unchanged tags."""
    rows = []
    for view in VIEWS:
        for how, turn in _TURNS.items():
            radiographs = [replace(p[view], image=np.ascontiguousarray(turn(p[view].image))) for p in pairs]
            found: Iterable[Given] = ({view: ImageInput(f.image, f.spacing_mm)} for f in radiographs)
            # A mirrored frontal is the image of another possible patient.
            target = "" if (view, how) == ("frontal", "mirrored") else ">= 99"
            rows.append(_share(model, f"refused: a {view} {how}", found, lambda p: bool(p.refused), target))
    return rows


def cut_through(model: Model, laterals: Sequence[tuple[ImageInput, Points2D, float]]) -> list[Figure]:
    """Lateral radiographs that end in the middle of L5, of patients whose landmarks and L1-L5 lordosis are given:
    the network takes the last whole vertebra for L5.
    """
    misses = []
    for radiograph, truth, lordosis_deg in laterals:
        end = int((truth["L5_sup"][1] + truth["L5_inf"][1]) / 2)
        found = measure_views(model, {"lateral": ImageInput(radiograph.image[:end], radiograph.spacing_mm)})
        value = found.parameters["lumbar_lordosis_l1_l5"].value
        misses.append(value is not None and abs(value - lordosis_deg) > _FAR_OFF_DEG and not found.levels_uncertain)
    name = "a lateral cut through L5: lordosis off by more than 10 degrees and not told"
    return [Figure(name, 100 * float(np.mean(misses)), "%", "", f"of {len(misses)}")] if misses else []


def _refused_or_told(prediction: Prediction) -> bool:
    return bool(prediction.refused) or prediction.views_disagree


def _looked_at_twice(model: Model, pairs: Sequence[Given]) -> Figure:
    session = _Counting(model.session)
    for pair in pairs:
        measure_views(replace(model, session=session), pair)
    share = 100 * (session.calls - len(pairs)) / len(pairs)
    return Figure("looked at twice: pairs as they are", share, "%", "<= 10", f"of {len(pairs)}")


class _Counting:
    """The session, counting its calls."""

    def __init__(self, session: object) -> None:
        self.session, self.calls = session, 0

    def run(self, outputs: list[str], inputs: dict[str, object]) -> object:
        """As onnxruntime's."""
        self.calls += 1
        return self.session.run(outputs, inputs)  # type: ignore[attr-defined]


def covered(model: Model, pairs: Sequence[Given], truths: Sequence[Points2D]) -> list[Figure]:
    """Frontal radiographs black from T8 to L1, of patients whose ``truths`` (frontal landmarks) show both; good
    pairs.
    """
    said, inside, dropped = [], 0, 0
    for pair, truth in zip(pairs, truths, strict=True):
        if not {"T8_sup", "L1_inf"} <= set(truth):
            continue
        image = pair["frontal"].image.copy()
        top, bottom = int(truth["T8_sup"][1]), int(truth["L1_inf"][1])
        image[top:bottom] = 0
        found = measure_views(model, {"frontal": replace(pair["frontal"], image=image)})
        rows = [p[1] for p in found.points["frontal"].values()]
        inside += sum(top + _EDGE_PX <= row < bottom - _EDGE_PX for row in rows)
        dropped += len(found.in_blank_regions.get("frontal", ()))
        said.append(found.parameters["cobb"].is_absent)
    how = f"of {len(said)} frontal radiographs, black from T8 to L1"
    left = 100 * inside / max(inside + dropped, 1)
    return [
        Figure("black middle: no Cobb angle", 100 * float(np.mean(said)), "%", ">= 99", how),
        Figure("black middle: landmarks in the black that are left", left, "%", "<= 1", f"of {inside + dropped}"),
        _share(model, "a landmark dropped as in the black: pairs as they are", pairs, _drops, "<= 1"),
    ]


def _drops(prediction: Prediction) -> bool:
    return bool(prediction.in_blank_regions)


def turned(model: Model, radiographs: Sequence[ImageInput]) -> list[Figure]:
    """Frontal radiographs turned either way; upright ones."""
    rows = [_share(model, "told turned: upright frontal radiographs", _frontal(radiographs), _told, "<= 1")]
    for angle in _ANGLES:
        lying = (
            replace(radiograph, image=ndimage.rotate(radiograph.image, sign * angle, reshape=False, order=1))
            for radiograph in radiographs
            for sign in (1, -1)
        )
        target = ">= 95" if angle >= 20 else ""
        name = f"told turned or refused: frontal radiographs turned by {angle} degrees"
        rows.append(_share(model, name, _frontal(lying), _told, target))
    return rows


def _told(prediction: Prediction) -> bool:
    nothing = all(measured.is_absent for measured in prediction.parameters.values())
    return bool(prediction.notes or prediction.refused or nothing)


def real_radiographs(model: Model, radiographs: Sequence[ImageInput]) -> list[Figure]:
    """The same checks on real frontal radiographs, which are all good; nothing without any."""
    found = [measure_views(model, views) for views in _frontal(radiographs)]
    checks: list[tuple[str, Says]] = [("told turned or refused", _told), ("a landmark dropped as in the black", _drops)]
    return [_of(found, f"{name}: real frontal radiographs", says, "<= 1") for name, says in checks if found]


def _frontal(radiographs: Iterable[ImageInput]) -> Iterable[Given]:
    return ({"frontal": radiograph} for radiograph in radiographs)


def _share(model: Model, name: str, given: Iterable[Given], says: Says, target: str) -> Figure:
    """Percent of which it says so."""
    return _of([measure_views(model, views) for views in given], name, says, target)


def _of(found: Sequence[Prediction], name: str, says: Says, target: str) -> Figure:
    said = [says(prediction) for prediction in found]
    return Figure(name, 100 * float(np.mean(said)) if said else float("nan"), "%", target, f"of {len(said)}")
