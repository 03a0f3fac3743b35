"""The file ``MLmodel``, which tells MLflow how to load a registered model: without pickle, by Plumbline's own code.

Contract: the text follows from the model's digest alone, so it is verified by writing it again. It must not change with
the version of Plumbline or of MLflow: a changed text would make every registered version look altered.

``MLmodel`` is not under the model's digest, but MLflow imports the module that it names. Therefore a promotion and the
loader both refuse another text.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from spine.errors import EvidenceRejected
from spine.landmarks import VIEWS, ViewName

MLMODEL_FILE = "MLmodel"
LOADER = "serving.mlflow_model"
"""The module with the function ``_load_pyfunc``, which MLflow calls."""
OUTPUT_COLUMN = "measurement"

_EARLIER_LOADER = "mlflow.onnx"
"""The loader of versions that were registered before: MLflow's own, which runs the graph without measuring."""

_TEXT = """\
flavors:
  python_function:
    code: null
    config:
      digest: {digest}
    env:
      virtualenv: python_env.yaml
    loader_module: {loader}
    streamable: false
is_signature_from_type_hint: false
metadata:
  plumbline.flavour: 1
  plumbline.model_digest: {digest}
saved_input_example_info:
  artifact_path: input_example.json
  pandas_orient: split
  serving_input_path: serving_input_example.json
  type: dataframe
signature:
  inputs: '{inputs}'
  outputs: '{outputs}'
  params: null
type_hint_from_example: false
"""


def mlmodel_text(digest: str) -> str:
    """The text of ``MLmodel`` for the model with this digest."""
    inputs = json.dumps([{"type": "binary", "name": view, "required": False} for view in VIEWS])
    outputs = json.dumps([{"type": "string", "name": OUTPUT_COLUMN, "required": True}])
    return _TEXT.format(digest=digest, loader=LOADER, inputs=inputs, outputs=outputs)


def mlflow_files(digest: str, example: Mapping[ViewName, bytes]) -> dict[str, str]:
    """Name -> text of every file that makes a model folder one of MLflow's, with a study as input example."""
    row = [base64.b64encode(example[view]).decode() if view in example else None for view in VIEWS]
    rows = {"columns": list(VIEWS), "data": [row]}
    return {
        MLMODEL_FILE: mlmodel_text(digest),
        "input_example.json": json.dumps(rows),
        "serving_input_example.json": json.dumps({"dataframe_split": rows}),
        "requirements.txt": "plumbline\n",
        "python_env.yaml": "dependencies:\n- -r requirements.txt\n",
    }


def require_own_mlmodel(folder: Path, digest: str) -> None:
    """Refuse a folder whose ``MLmodel`` is not that of the model. A folder without ``MLmodel`` is accepted.

    Raises:
        EvidenceRejected: ``MLMODEL_ALTERED``.
    """
    path = folder / MLMODEL_FILE
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    if text != mlmodel_text(digest) and not _is_of_earlier_version(text):
        raise EvidenceRejected(
            "MLMODEL_ALTERED",
            found=f"a file {MLMODEL_FILE} that is not that of model {digest[:12]}",
            expected=f"the text that registration writes, with the loader {LOADER}",
            remedy="register the model again; do not load this copy with MLflow, which would run other code",
        )


def _is_of_earlier_version(text: str) -> bool:
    try:
        flavours = yaml.safe_load(text)["flavors"]
        loaders = {flavours[name].get("loader_module", _EARLIER_LOADER) for name in flavours}
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return False
    return set(flavours) <= {"onnx", "python_function"} and loaders == {_EARLIER_LOADER}
