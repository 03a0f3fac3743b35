"""Computes the calibration of a site from its own labelled studies.

Contract: every study of the data set is used, and the model must not have learnt from this data set. Intervals are
valid for patients, images and labels like those of the site, because split conformal prediction assumes no more than
that (Vovk 2005; Lei et al. 2018).
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np

from inference.calibration import LEVEL, Calibration, shift_of
from inference.measure import predict_examples
from inference.model import Model
from inference.site_calibration import LEAST_SITE_PATIENTS, SiteCalibration
from spine.dataset import Manifest, read_manifest
from spine.errors import ParametersRejected
from spine.landmarks import VIEWS
from spine.types import Progress
from training.export.candidate import CANDIDATE_FILE, read_summary
from training.export.interval_widths import (
    Known,
    Score,
    conformal_quantile,
    landmark_distances,
    scores_of,
    spread_in_cells,
)


def calibrate_site(
    model: Model, dataset: Path, name: str, made_on: date, progress: Progress | None = None
) -> SiteCalibration:
    """Measure every study of the data set and calibrate the intervals on its reference values.

    Raises:
        ParametersRejected: see ``site_calibration_of``.
    """
    examples = [
        example for example in read_manifest(dataset).examples() if example.views.keys() & {*model.contract.views}
    ]
    predictions = predict_examples(model, dataset, examples, progress)
    return site_calibration_of(model, list(zip(predictions, examples, strict=True)), name, made_on)


def site_calibration_of(model: Model, known: Known, name: str, made_on: date) -> SiteCalibration:
    """The calibration from predictions of this model for labelled studies.

    Raises:
        ParametersRejected: the model has no calibration; no parameter has enough patients.
    """
    calibration = model.contract.calibration
    if calibration is None:
        raise ParametersRejected(
            "MODEL_WITHOUT_CALIBRATION",
            found=f"model {model.digest[:12]}, which states no uncertainty of its landmarks",
            expected="a calibrated model",
            remedy="calibrate the model first: python -m training.export.calibrate MODEL --dataset DATASET",
        )
    scores: dict[str, list[Score]] = defaultdict(list)
    for score in scores_of(known):
        scores[score.parameter].append(score)
    patients = {parameter: len({s.patient for s in of_one}) for parameter, of_one in scores.items()}
    enough = {parameter: of_one for parameter, of_one in scores.items() if patients[parameter] >= LEAST_SITE_PATIENTS}
    if not enough:
        most = max(patients.values(), default=0)
        raise ParametersRejected(
            "SITE_PATIENTS_TOO_FEW",
            found=f"{len(known)} studies; the parameter with most patients was labelled and measured in {most} of them",
            expected=f"at least {LEAST_SITE_PATIENTS} patients with a labelled and measured parameter",
            remedy="label more studies, add them to the data set and calibrate again",
        )
    widths = {parameter: conformal_quantile(s.sigmas for s in of_one) for parameter, of_one in enough.items()}
    shifts = {view: [shift_of(spread_in_cells(p, view)) for p, _ in known if p.points.get(view)] for view in VIEWS}
    return SiteCalibration(
        name=name,
        model_digest=model.digest,
        made_on=made_on.isoformat(),
        patients=len({score.patient for of_one in enough.values() for score in of_one}),
        widths=widths,
        half_widths={parameter: width * _mean_sigma(known, parameter) for parameter, width in widths.items()},
        coverage={parameter: left_out_coverage(of_one) for parameter, of_one in enough.items()},
        clear={view: max(of_view) for view, of_view in shifts.items() if of_view},
        radius=_radius(calibration, known),
    )


def _mean_sigma(known: Known, parameter: str) -> float:
    found = [prediction.parameters[parameter] for prediction, _ in known if parameter in prediction.parameters]
    return float(np.mean([m.sigma for m in found if m.value is not None and m.sigma is not None]))


def left_out_coverage(scores: Sequence[Score]) -> float:
    """Share of the scores inside the interval that is calibrated on the scores of all other patients."""
    sigmas, patients = np.array([s.sigmas for s in scores]), np.array([s.patient for s in scores])
    inside = [s.sigmas <= conformal_quantile(sigmas[patients != s.patient], LEVEL) for s in scores]
    return float(np.mean(inside))


def _radius(calibration: Calibration, known: Known) -> float:
    distances = [
        distance
        for prediction, example in known
        for view in prediction.points
        for distance in landmark_distances(calibration, prediction, example, view)
    ]
    return conformal_quantile(distances) if distances else 1.0


def require_unseen(model_folder: Path, dataset: Path) -> None:
    """Refuse a model that was trained on this data set.

    Raises:
        ParametersRejected: ``MODEL_LEARNED_FROM_STUDIES``.
    """
    if not (model_folder / CANDIDATE_FILE).is_file():
        return
    summary, manifest = read_summary(model_folder), read_manifest(dataset)
    if summary.dataset_digest == manifest.digest or _same_test_set(summary.test_digest, manifest):
        raise ParametersRejected(
            "MODEL_LEARNED_FROM_STUDIES",
            found=f"a model that was trained or chosen on the data set {dataset}",
            expected="labelled studies from which the model did not learn",
            remedy="build a data set from other patients, in a workspace of its own",
        )


def _same_test_set(test_digest: str, manifest: Manifest) -> bool:
    """Whether the data set is a later version of the one with this test set, which stays the same."""
    return manifest.count("test") > 0 and manifest.test_digest == test_digest
