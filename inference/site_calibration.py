"""The calibration of a site: half widths of intervals from its own labelled studies, for one model.

Contract: a site calibration belongs to the model with its digest; another model is refused. It replaces the intervals
of the model's own calibration and never changes a value. ``training.export.site_calibration`` computes it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from inference.calibration import Calibration, calibration_violations
from inference.model import Model
from spine.errors import EvidenceRejected
from spine.landmarks import ViewName
from spine.storage import write_text_atomically

SCHEMA = "plumbline.site-calibration/1"
LEAST_SITE_PATIENTS = 30
"""A parameter needs this number of patients. With 30 of them, the 90 % quantile is the 28th error, so that it does not
depend on the two largest errors."""


@dataclass(frozen=True)
class SiteCalibration:
    """The calibration of one site for one model.

    Attributes:
        name: name of the site, as the user gave it.
        model_digest: digest of the model whose errors were measured.
        made_on: date, ISO 8601.
        patients: number of patients with a measured and labelled parameter.
        widths: parameter -> half width of its interval in sigmas; a parameter with too few patients has no key.
        coverage: parameter -> share of the patients whose interval contains the labelled value, if it is calibrated on
            the other patients (leave one out).
        clear: view -> largest shift of these images. An image with a larger shift gets no intervals.
        radius: factor on the radii of the 90 % regions of landmarks.
    """

    name: str
    model_digest: str
    made_on: str
    patients: int
    widths: Mapping[str, float]
    coverage: Mapping[str, float]
    clear: Mapping[ViewName, float]
    radius: float

    def applied_to(self, model: Model) -> Model:
        """The model with the intervals of the site.

        Raises:
            EvidenceRejected: ``SITE_CALIBRATION_OF_OTHER_MODEL``: the site's errors are those of another model.
        """
        own = model.contract.calibration
        if model.digest != self.model_digest or own is None:
            raise EvidenceRejected(
                "SITE_CALIBRATION_OF_OTHER_MODEL",
                found=f"the calibration of {self.name!r} for model {self.model_digest[:12]}",
                expected=f"a calibration for model {model.digest[:12]}",
                remedy="run `plumbline calibrate` with this model, or measure with the calibrated model (--model)",
            )
        return replace(model, contract=replace(model.contract, calibration=self._replacing(own)))

    def _replacing(self, own: Calibration) -> Calibration:
        laws = {
            view: {group: replace(law, radius=law.radius * self.radius) for group, law in groups.items()}
            for view, groups in own.laws.items()
        }
        source = f"the own calibration of {self.name}, {self.made_on}"
        return replace(
            own, patients=self.patients, source=source, laws=laws, widths=self.widths, clear=self.clear, shifted=()
        )


def write_site_calibration(calibration: SiteCalibration, path: Path) -> None:
    """Write the calibration atomically, with the folder of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"schema": SCHEMA, **asdict(calibration)}
    write_text_atomically(path, json.dumps(record, indent=1, sort_keys=True, allow_nan=False))


def read_site_calibration(path: Path) -> SiteCalibration:
    """Read and check a calibration.

    Raises:
        EvidenceRejected: ``SITE_CALIBRATION_UNREADABLE``: the file is missing, damaged or of another schema.
    """
    try:
        record: dict[str, Any] = json.loads(path.read_text())
        if record.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        calibration = SiteCalibration(**record)
        found = Calibration(calibration.patients, "", widths=calibration.widths, clear=calibration.clear)
        if violations := calibration_violations(found):
            raise ValueError("; ".join(violations))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvidenceRejected(
            "SITE_CALIBRATION_UNREADABLE",
            found=f"{path.name}: {type(error).__name__}: {error}",
            expected=f"a file that `plumbline calibrate` wrote (schema {SCHEMA})",
            remedy="run `plumbline calibrate` again",
        ) from error
    return calibration
