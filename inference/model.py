"""A loaded model: the network in onnxruntime, with its contract and digest.

Contract: only an ONNX graph is executed, never a pickle. A model folder that is incomplete or of another version is
refused with a reason. The ``digest`` identifies the model in every result.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.contract import ModelContract, read_contract
from spine.errors import ContractViolation, EvidenceRejected
from spine.landmarks import VIEWS, ViewName
from spine.model_digest import GRAPH_FILE, model_digest
from spine.types import Float

INPUTS = ("image", "view")
OUTPUTS = ("heatmaps", "visibility")
"""Names in the ONNX graph."""


@dataclass(frozen=True)
class NetworkOutput:
    """Output of the network for N images; ``visibility`` consists of logits."""

    heatmaps: Float[NDArray[np.float32], "N K h w"]
    visibility: Float[NDArray[np.float32], "N K"]


@dataclass(frozen=True)
class Model:
    """A loaded model: its contract, its digest (``spine.model_digest``) and the session of onnxruntime.

    ``site_digest`` identifies the calibration of a site that replaced the model's own; it is empty without one.
    """

    contract: ModelContract
    digest: str
    session: Any
    site_digest: str = ""

    @property
    def result_digest(self) -> str:
        """Identifies what results follow from: the model, and the calibration of a site if it has one."""
        if not self.site_digest:
            return self.digest
        return hashlib.sha256(f"{self.digest}|{self.site_digest}".encode()).hexdigest()

    def run(self, pixels: NDArray[np.float32], views: Sequence[ViewName]) -> NetworkOutput:
        """Run the network once on the (N, 1, H, W) pixels of N images, which ``preprocessing.prepare`` makes.

        Raises:
            ContractViolation: a shape or view that the contract does not allow.
        """
        shape = (len(views), 1, *self.contract.input_shape)
        if pixels.shape != shape or not set(views) <= set(self.contract.views):
            found = f"pixels {pixels.shape}, views {tuple(views)}"
            expected = f"pixels {shape}, views from {self.contract.views}"
            remedy = "prepare images with inference.preprocessing and this model's contract"
            raise ContractViolation("MODEL_INPUT_INVALID", found, expected, remedy)
        index = np.array([VIEWS.index(v) for v in views], dtype=np.int64)
        heatmaps, visibility = self.session.run(list(OUTPUTS), dict(zip(INPUTS, (pixels, index), strict=True)))
        return NetworkOutput(heatmaps, visibility)


def load_model(folder: Path, *, expected_digest: str | None = None, threads: int = 0) -> Model:
    """Load the model in ``folder``. A model with another digest than ``expected_digest`` is refused.

    The network runs in ``threads`` threads, or 0 for one on each core. The last bits of its output depend on it.

    Raises:
        EvidenceRejected: the folder is incomplete or altered.
        ContractViolation: ``model.onnx`` is not an ONNX graph, or its signature differs from the contract.
    """
    contract = read_contract(folder)
    digest = model_digest(folder)
    if expected_digest is not None and digest != expected_digest:
        raise altered_model(digest, expected_digest, "as approved")
    session = _open_session(folder / GRAPH_FILE, threads)
    _check_signature(session, contract)
    return Model(contract, digest, session)


def altered_model(found: str, expected: str, why: str) -> EvidenceRejected:
    """The error for a model with the wrong digest; ``why`` names the source of the expected digest."""
    found = f"a model with digest {found[:12]}"
    expected = f"digest {expected[:12]}, {why}"
    return EvidenceRejected("MODEL_ALTERED", found, expected, "fetch the model again; do not use this copy")


def import_onnxruntime() -> Any:
    """The module onnxruntime, without its telemetry, which it otherwise starts at import and sends to its maker.

    Raises:
        ImportError: it is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


def _open_session(path: Path, threads: int) -> Any:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    # onnxruntime raises another class for each status code, without a common public base class.
    except Exception as error:
        found = f"{path.name}: {str(error).splitlines()[0][:160]}"
        expected = "an ONNX graph that onnxruntime can run"
        raise ContractViolation("MODEL_UNREADABLE", found, expected, "export the model again") from error


def _check_signature(session: Any, contract: ModelContract) -> None:
    inputs = {i.name: list(i.shape) for i in session.get_inputs()}
    outputs = {o.name: list(o.shape) for o in session.get_outputs()}
    violations = [f"no input {n!r}" for n in INPUTS if n not in inputs]
    violations += [f"no output {n!r}" for n in OUTPUTS if n not in outputs]
    if not violations:
        wanted = {
            INPUTS[0]: (inputs, [1, *contract.input_shape]),
            "heatmaps": (outputs, [len(contract.names), *contract.heatmap_shape]),
            "visibility": (outputs, [len(contract.names)]),
        }
        for name, (found, shape) in wanted.items():
            if found[name][1:] != shape:
                violations.append(f"{name} has shape {found[name]}, the contract expects (N, {shape})")
    if violations:
        remedy = "model.onnx and contract.json do not belong together: export the model again"
        raise ContractViolation.gathered("MODEL_SIGNATURE", violations, "the signature in inference.contract", remedy)
