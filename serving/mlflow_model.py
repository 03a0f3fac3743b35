"""The registered model as MLflow's users load it: radiographs in, the measurement as JSON out.

Contract: MLflow calls ``_load_pyfunc`` with the folder of a version. The digest of ``model.onnx`` and ``contract.json``
must be the digest in ``MLmodel``, and ``MLmodel`` must be the text that registration writes. No pickle is read. A row
that is refused is answered by its code, so that the other rows have their measurement, and never by a stack trace.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference.measured_study import measure_radiographs
from inference.measurement_json import report_text
from inference.model import Model, altered_model, load_model
from inference.radiograph_files import RadiographFile, open_radiographs
from spine.errors import InputRejected, ParametersRejected, PlumblineError
from spine.landmarks import VIEWS
from spine.mlmodel import OUTPUT_COLUMN, require_own_mlmodel
from spine.model_digest import model_digest


class MeasuringModel:
    """Measures the rows of a table, each with the columns ``frontal`` and ``lateral``: a file's bytes, or nothing."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, table: Any, params: Mapping[str, Any] | None = None) -> Any:
        """A table with one column, the measurement of each row as JSON (docs/measurement-json.md), or its refusal.

        Args:
            table: a pandas DataFrame, or a list of records.
            params: not used.
        """
        import pandas as pd

        rows = table.to_dict("records") if isinstance(table, pd.DataFrame) else list(table)
        return pd.DataFrame({OUTPUT_COLUMN: [self._row(row) for row in rows]})

    def _row(self, row: Mapping[Any, Any]) -> str:
        try:
            files = [RadiographFile(_bytes(row[view]), view, view) for view in VIEWS if _is_given(row.get(view))]
            return report_text(measure_radiographs(self.model, open_radiographs(files)).report())
        except PlumblineError as error:
            parts = {"code": error.code, "found": error.found, "expected": error.expected, "remedy": error.remedy}
        except Exception as error:
            # One row must not cost the other rows their answer, and a stack trace could contain tags.
            parts = {"code": "UNEXPECTED", "found": type(error).__name__, "expected": "a radiograph", "remedy": ""}
        return json.dumps({"error": parts, "model": {"digest": self.model.digest}})


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> MeasuringModel:
    """The model in the folder ``path``, verified.

    Args:
        model_config: ``digest``, the digest that the model must have. It is in ``MLmodel``; whoever calls
            ``mlflow.pyfunc.load_model`` can name the approved digest in its place.

    Raises:
        EvidenceRejected: ``MODEL_ALTERED``, ``MLMODEL_ALTERED``.
        ParametersRejected: ``DIGEST_MISSING``.
    """
    folder = Path(path)
    expected = str((model_config or {}).get("digest", ""))
    if not expected:
        found, remedy = "a model without the digest that it must have", "register the model again"
        raise ParametersRejected("DIGEST_MISSING", found, "the digest in MLmodel", remedy)
    found = model_digest(folder)
    if found != expected:
        raise altered_model(found, expected, "as registered")
    require_own_mlmodel(folder, found)
    return MeasuringModel(load_model(folder, expected_digest=expected))


def _is_given(value: Any) -> bool:
    return isinstance(value, str | bytes | bytearray) and len(value) > 0


def _bytes(value: str | bytes | bytearray) -> bytes:
    """A file's bytes. MLflow decodes base64 in JSON; whoever calls ``predict`` directly may give it undecoded."""
    if not isinstance(value, str):
        return bytes(value)
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        expected, remedy = "a file's bytes, in JSON as base64", "encode the file as base64"
        raise InputRejected("BASE64_INVALID", "a text that is no base64", expected, remedy) from None
