"""The model contract, a record that accompanies every exported network and applies to training and inference.

Contract: a model is a folder with ``model.onnx`` and ``contract.json``. A contract of another preprocessing version is
refused.

Every network has the same inputs and outputs. The inputs are ``image`` (N, 1, H, W) float32, and ``view`` (N,) int64,
the position of the view in ``spine.landmarks.VIEWS``. The outputs are ``heatmaps`` (N, K, H / stride, W / stride), each
of which sums to one, and ``visibility`` (N, K) logits.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

from inference.calibration import Calibration, calibration_from_json, calibration_violations
from inference.input_check import InputLimits
from spine.errors import ContractViolation, EvidenceRejected
from spine.landmarks import LANDMARK_SETS, VIEWS, ViewName, mirrored_name
from spine.model_digest import CONTRACT_FILE, GRAPH_FILE
from spine.storage import write_text_atomically

SCHEMA = "plumbline.model/1"
PREPROCESSING_VERSION = 1
"""Increases whenever ``inference.preprocessing`` computes another input from the same image."""

SIGN_OF_COORDINATES = "columns grow to the right, rows to the feet; an integer is a pixel's centre"


@dataclass(frozen=True)
class Normalisation:
    """Grey values at two percentiles of the image are mapped to -1 and 1. The result is clipped to -1.5..1.5."""

    low_percentile: float = 1.0
    high_percentile: float = 99.0


DEFAULT_NORMALISATION = Normalisation()


@dataclass(frozen=True)
class ModelContract:
    """Everything that training and inference must agree on.

    Attributes:
        landmark_set: registry key of the landmark set.
        names: K landmark names in the order of the heat maps; the whole set or a subset.
        views: the views that the network was trained for.
        input_shape: (H, W) of the network's input in pixels.
        heatmap_stride: input pixels per heat-map cell.
        normalisation: how grey values are normalised.
        letterbox: how an image is fitted into the input; ``centre`` means isotropic, centred, filled with black.
        scales: sizes at which an image is run, as shares of the largest size that fits into the input. The image is run
            at the other scales only if the result at the first one is unclear.
        mirrored_average: whether an unclear frontal image is also run as its mirror image, and both are averaged.
        sign_of_coordinates: direction of columns and rows, as text, for people who read the file.
        simulated_training_data: whether the training images were simulated; None for a mixed set.
        training_note: what the model was trained on, as text.
        preprocessing_version: version of ``inference.preprocessing``.
        calibration: calibration of the heat maps; if None, there are no intervals.
    """

    landmark_set: str
    names: tuple[str, ...]
    views: tuple[ViewName, ...]
    input_shape: tuple[int, int]
    heatmap_stride: int
    normalisation: Normalisation = DEFAULT_NORMALISATION
    letterbox: Literal["centre"] = "centre"
    scales: tuple[float, ...] = (1.0,)
    mirrored_average: bool = False
    sign_of_coordinates: str = SIGN_OF_COORDINATES
    simulated_training_data: bool | None = None
    training_note: str = ""
    preprocessing_version: int = PREPROCESSING_VERSION
    calibration: Calibration | None = None

    @property
    def heatmap_shape(self) -> tuple[int, int]:
        """(h, w) of one heat map."""
        return self.input_shape[0] // self.heatmap_stride, self.input_shape[1] // self.heatmap_stride

    @property
    def limits(self) -> InputLimits | None:
        """Limits of the input check; None if every image is accepted."""
        return self.calibration.limits if self.calibration else None


def write_contract(contract: ModelContract, folder: Path) -> None:
    """Write ``contract.json`` atomically."""
    record = {"schema": SCHEMA, **asdict(contract)}
    write_text_atomically(folder / CONTRACT_FILE, json.dumps(record, indent=1, sort_keys=True, allow_nan=False))


def read_contract(folder: Path) -> ModelContract:
    """Read and check ``contract.json``.

    Raises:
        EvidenceRejected: the file is missing.
        ContractViolation: the contract is damaged, contradicts itself, or has another schema or preprocessing version.
            The message lists every violation.
    """
    path = folder / CONTRACT_FILE
    if not path.is_file():
        expected = f"a model folder with {GRAPH_FILE} and {CONTRACT_FILE}"
        remedy = "name the folder of an exported model, or finish its export"
        raise EvidenceRejected("MODEL_INCOMPLETE", f"no {CONTRACT_FILE} in {folder.name!r}", expected, remedy)
    try:
        record = json.loads(path.read_text())
        schema = record.pop("schema")
        contract = _from_json(record)
        violations = _violations(schema, contract)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        found = f"{CONTRACT_FILE} in {folder.name!r}: {type(error).__name__}: {error}"
        expected = "a contract with the fields that the export writes"
        raise ContractViolation("CONTRACT_UNREADABLE", found, expected, "export the model again") from error
    if violations:
        expected = f"a contract of schema {SCHEMA} and preprocessing version {PREPROCESSING_VERSION}"
        remedy = "export the model again with this version of Plumbline"
        raise ContractViolation.gathered("CONTRACT_BROKEN", violations, expected, remedy)
    return contract


def _from_json(record: Mapping[str, Any]) -> ModelContract:
    fields = dict(record)
    fields["names"] = tuple(str(n) for n in record["names"])
    fields["views"] = tuple(cast(ViewName, v) for v in record["views"])
    fields["input_shape"] = (int(record["input_shape"][0]), int(record["input_shape"][1]))
    fields["scales"] = tuple(float(s) for s in record["scales"])
    fields["normalisation"] = Normalisation(**record["normalisation"])
    fields["calibration"] = calibration_from_json(record.get("calibration"))
    return ModelContract(**fields)


def _violations(schema: str, contract: ModelContract) -> list[str]:
    checks: list[tuple[bool, str]] = [
        (schema == SCHEMA, f"schema {schema!r}"),
        (contract.preprocessing_version == PREPROCESSING_VERSION, f"preprocessing {contract.preprocessing_version}"),
        (contract.letterbox == "centre", f"letterbox {contract.letterbox!r}"),
        (bool(contract.scales) and all(0 < s <= 1 for s in contract.scales), f"scales {contract.scales}"),
        (bool(contract.names), "no landmark names"),
        (len(set(contract.names)) == len(contract.names), "a landmark named twice"),
        (bool(contract.views) and set(contract.views) <= set(VIEWS), f"views {contract.views}"),
        (contract.heatmap_stride > 0 and min(contract.input_shape) > 0, f"input shape {contract.input_shape}"),
    ]
    alone = [n for n in contract.names if contract.mirrored_average and mirrored_name(n) not in contract.names]
    checks.append((not alone, f"mirrored_average without the mirror partners of {alone[:5]}"))
    known = LANDMARK_SETS.get(contract.landmark_set)
    if known is None:
        checks.append((False, f"landmark set {contract.landmark_set!r} is not registered"))
    else:
        unknown = [n for n in contract.names if n not in known.index]
        checks.append((not unknown, f"names outside landmark set {known.name!r}: {unknown[:5]}"))
    stride = max(contract.heatmap_stride, 1)
    checks.append((all(n % stride == 0 for n in contract.input_shape), f"stride {stride} does not divide the input"))
    return [text for holds, text in checks if not holds] + calibration_violations(contract.calibration)
