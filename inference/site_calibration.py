"""The calibration of a site: half widths of intervals from its own labelled studies, for one model.

Contract: a site calibration belongs to the model with its digest; another model is refused. It replaces the intervals
of the model's own calibration and never changes a value. ``training.export.site_calibration`` computes it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from inference.calibration import Calibration
from inference.model import Model
from spine.errors import EvidenceRejected
from spine.landmarks import VIEWS, ViewName
from spine.measurement.registry import PARAMETERS
from spine.storage import write_text_atomically

SCHEMA = "plumbline.site-calibration/2"
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
        half_widths: parameter -> mean half width of its intervals on the studies of the site, in the parameter's unit.
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
    half_widths: Mapping[str, float]
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
        contract = replace(model.contract, calibration=self._replacing(own))
        return replace(model, contract=contract, site_digest=hashlib.sha256(_text(self).encode()).hexdigest())

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
    write_text_atomically(path, _text(calibration))


def _text(calibration: SiteCalibration) -> str:
    return json.dumps({"schema": SCHEMA, **asdict(calibration)}, indent=1, sort_keys=True, allow_nan=False)


def read_site_calibration(path: Path) -> SiteCalibration:
    """Read and check a calibration.

    Raises:
        EvidenceRejected: ``SITE_CALIBRATION_UNREADABLE``: the file is missing, damaged or of another schema.
    """
    try:
        record = json.loads(path.read_text())
        if violations := _violations(record):
            raise ValueError("; ".join(violations))
        calibration = SiteCalibration(**{name: value for name, value in record.items() if name != "schema"})
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise EvidenceRejected(
            "SITE_CALIBRATION_UNREADABLE",
            found=f"{path.name}: {reason}",
            expected=f"a file that `plumbline calibrate` wrote (schema {SCHEMA})",
            remedy="run `plumbline calibrate` again",
        ) from error
    return calibration


def _violations(record: object) -> list[str]:
    """A text for every field of the file that is missing, unknown or invalid."""
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        return ["no record of this schema"]
    known = {f.name for f in fields(SiteCalibration)}
    given = record.keys() - {"schema"}
    wrong = [f"field {name} is missing" for name in sorted(known - given)]
    wrong += [f"field {name} is unknown" for name in sorted(given - known)]
    if wrong:
        return wrong
    texts = [record[name] for name in ("name", "model_digest", "made_on")]
    checks = [
        (
            all(isinstance(t, str) and t.strip() and t.isprintable() for t in texts),
            "a text is empty or has line breaks",
        ),
        (_is_number(record["patients"], LEAST_SITE_PATIENTS), f"fewer than {LEAST_SITE_PATIENTS} patients"),
        (_is_number(record["radius"], 0.0) and record["radius"] > 0, "radius is not a positive number"),
        (_are_numbers(record["widths"], PARAMETERS, 0.0), "widths are not positive numbers of known parameters"),
        (_are_numbers(record["half_widths"], PARAMETERS, 0.0), "half_widths are not numbers of known parameters"),
        (_are_numbers(record["coverage"], PARAMETERS, 0.0), "coverage is not a share of each known parameter"),
        (_are_numbers(record["clear"], VIEWS, -np.inf), "clear is not a number for each view"),
    ]
    return [text for holds, text in checks if not holds]


def _are_numbers(values: object, names: Iterable[str], least: float) -> bool:
    known = set(names)
    return isinstance(values, dict) and all(n in known and _is_number(v, least) for n, v in values.items())


def _is_line(text: object) -> bool:
    return isinstance(text, str) and bool(text.strip()) and text.isprintable()


def _is_number(value: object, least: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return bool(np.isfinite(value)) and value >= least
