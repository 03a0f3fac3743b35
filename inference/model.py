"""A model ready to be asked: the network in onnxruntime, with its contract and digest.

Contract: nothing is executed but an ONNX graph (no pickle, no torch); a folder that is not a whole model of this
version is refused with a reason; what is measured with a model can name the model by ``digest``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.contract import MODEL_FILE, ModelContract, model_digest, read_contract
from spine.errors import ContractViolation, EvidenceRejected
from spine.landmarks import VIEWS, ViewName

INPUTS = ("image", "view")
OUTPUTS = ("heatmaps", "visibility")


@dataclass(frozen=True)
class NetworkOutput:
    """What the network says of N images: ``heatmaps`` (N, K, h, w) and ``visibility`` (N, K) logits, float32."""

    heatmaps: NDArray[np.float32]
    visibility: NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """A loaded model.

    Attributes:
        contract: what it promises.
        digest: SHA-256 over its two files.
        session: the onnxruntime session.
    """

    contract: ModelContract
    digest: str
    session: Any

    def run(self, pixels: NDArray[np.float32], views: Sequence[ViewName]) -> NetworkOutput:
        """Run the network once on N images.

        Args:
            pixels: (N, 1, H, W) float32 as ``preprocessing.prepare`` makes them.
            views: the view of each image.

        Raises:
            ContractViolation: a shape or view the contract does not know.
        """
        expected = (len(views), 1, *self.contract.input_shape)
        unknown = [v for v in views if v not in self.contract.views]
        if pixels.shape != expected or unknown:
            raise ContractViolation(
                "MODEL_INPUT_INVALID",
                found=f"pixels {pixels.shape}, views {tuple(views)}",
                expected=f"pixels {expected}, views out of {self.contract.views}",
                remedy="prepare images with inference.preprocessing and this model's contract",
            )
        index = np.array([VIEWS.index(v) for v in views], dtype=np.int64)
        heatmaps, visibility = self.session.run(list(OUTPUTS), {"image": pixels, "view": index})
        return NetworkOutput(heatmaps, visibility)


def load_model(folder: Path, *, expected_digest: str | None = None) -> Model:
    """Load the model in ``folder``.

    Args:
        folder: holds ``model.onnx`` and ``contract.json``.
        expected_digest: the digest that was approved; a model swapped afterwards is refused.

    Raises:
        EvidenceRejected: the folder is incomplete or altered.
        ContractViolation: its graph is no ONNX graph, or not of the contract's signature.
    """
    contract = read_contract(folder)
    digest = model_digest(folder)
    if expected_digest is not None and digest != expected_digest:
        raise altered(digest, expected_digest, "as approved")
    session = _open_session(folder / MODEL_FILE)
    _check_signature(session, contract)
    return Model(contract, digest, session)


def altered(found: str, expected: str, why: str) -> EvidenceRejected:
    """The refusal of bytes with another digest than they must have; ``why`` says who says so."""
    return EvidenceRejected(
        "MODEL_ALTERED",
        found=f"a model of digest {found[:12]}",
        expected=f"digest {expected[:12]}, {why}",
        remedy="fetch the model again; do not use this one",
    )


def _open_session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    # onnxruntime raises one class per status code, all below RuntimeError or Exception without a common public base.
    except Exception as error:
        raise ContractViolation(
            "MODEL_UNREADABLE",
            found=f"{path.name}: {str(error).splitlines()[0][:160]}",
            expected="an ONNX graph that onnxruntime can run",
            remedy="export the model again",
        ) from error


def _check_signature(session: Any, contract: ModelContract) -> None:
    inputs = {i.name: list(i.shape) for i in session.get_inputs()}
    outputs = {o.name: list(o.shape) for o in session.get_outputs()}
    violations = [f"no input {n!r}" for n in INPUTS if n not in inputs]
    violations += [f"no output {n!r}" for n in OUTPUTS if n not in outputs]
    if not violations:
        wanted = {
            "image": (inputs, [1, *contract.input_shape]),
            "heatmaps": (outputs, [len(contract.names), *contract.heatmap_shape]),
            "visibility": (outputs, [len(contract.names)]),
        }
        for name, (found, shape) in wanted.items():
            if found[name][1:] != shape:
                violations.append(f"{name} has shape {found[name]}, the contract says (N, {shape})")
    if violations:
        raise ContractViolation.gathered(
            "MODEL_SIGNATURE",
            violations,
            expected="the signature of inference.contract",
            remedy="model.onnx and contract.json do not belong together: export the model again",
        )
