"""Exports a fitted network to an ONNX graph, on the machine of the fit or on another machine.

Contract: the outputs of the graph are compared with the outputs of the network before the graph is written.
``candidate.json`` is written last. Pickle files are neither written nor read.
"""

import importlib.util
import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from inference.contract import ModelContract, read_contract
from inference.model import INPUTS, OUTPUTS, import_onnxruntime
from spine.errors import ContractViolation
from spine.landmarks import VIEWS
from spine.model_digest import GRAPH_FILE, model_digest
from spine.storage import write_bytes_atomically
from training.export.candidate import CANDIDATE_FILE, FITTED_FILE, FitSummary, read_summary, write_summary
from training.model.checkpoints import load_weights, save_weights
from training.model.networks import ServedNetwork, build_network
from training.model.output_map import output_map_of

OPSET = 18
TOLERANCE = 1e-4
"""Largest permitted difference of a heat map or a visibility between torch and onnxruntime."""

HALF_TOLERANCE = 0.01
"""Largest permitted difference for weights in half precision. Visibility is compared as a probability, because a logit
far from zero can differ by more without a change of meaning."""

_SMALL = 1024
"""Tensors with fewer values than this number stay in single precision."""


def can_export() -> bool:
    """Whether this machine has the packages that the export needs."""
    return all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxscript"))


def finish_export(out: Path, dataset: Path | None = None) -> FitSummary:
    """Export the fitted network in ``out``, calibrate it and write ``candidate.json``; returns the written summary.

    A finished candidate is only read. A candidate without a calibration is exported again if it can now be calibrated.

    Args:
        out: folder of a finished fit.
        dataset: data set of the fit, for the calibration on the config's ``calibration_splits``; None: no calibration.

    Raises:
        ContractViolation: there is no finished fit in ``out``, or the graph and the network have different outputs.
    """
    contract = read_contract(out)
    can_run = importlib.util.find_spec("onnxruntime") is not None
    to_calibrate = contract.calibration is None and dataset is not None and can_run
    if (out / CANDIDATE_FILE).is_file() and not to_calibrate:
        return read_summary(out)
    (out / CANDIDATE_FILE).unlink(missing_ok=True)
    summary = read_summary(out, FITTED_FILE)
    network = build_network(summary.config, contract.views)
    weights = load_weights(out)
    network.load_state_dict(weights)
    if not (out / "weights.safetensors").is_file():
        save_weights(weights, out)  # safetensors was not installed where the fit ran
    payload = export_network(network, contract)
    _compare(network, contract, payload, TOLERANCE)
    stored = with_half_weights(payload)
    _compare(network, contract, stored, HALF_TOLERANCE, probabilities=True)
    write_bytes_atomically(out / GRAPH_FILE, stored)
    if to_calibrate and dataset is not None:
        from training.export.calibrate import calibrate  # it needs onnxruntime, which a training machine may lack

        calibrate(out, dataset, summary.config.calibration_splits, summary.config.label_shift)
    finished = replace(summary, model_digest=model_digest(out))
    write_summary(finished, out / CANDIDATE_FILE)
    return finished


def export_network(network: nn.Module, contract: ModelContract) -> bytes:
    """The serialised ONNX graph of ``network`` with a soft-max on its heat maps."""
    served = _served(network, contract).eval().float().cpu()
    # The batch has two images, because the exporter would treat a size of one as a constant.
    image, view = example_inputs(contract)
    batch = torch.export.Dim("batch", min=1, max=1024)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside torch's exporter and onnxscript
        # The exporter warns four times that torchvision is not installed, but nothing here needs it.
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program: Any = torch.onnx.export(
            served,
            (torch.from_numpy(image), torch.from_numpy(view)),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_shapes=({0: batch}, {0: batch}),
            verbose=False,
        )
    graph = program.model_proto
    _remove_metadata(graph)
    payload: bytes = graph.SerializeToString(deterministic=True)
    return payload


def with_half_weights(payload: bytes) -> bytes:
    """The serialised graph with large tensors stored as float16, which halves the size of the file.

    The graph still computes in float32, because onnxruntime casts the tensors once when the session opens.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(payload)
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.ndim < 2 or values.size < _SMALL:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    stored: bytes = model.SerializeToString(deterministic=True)
    return stored


def _served(network: nn.Module, contract: ModelContract) -> ServedNetwork:
    return ServedNetwork(network, output_map_of(contract.landmark_set, contract.names, contract.views))


def example_inputs(contract: ModelContract) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Inputs (2, 1, H, W) and (2,) of the exported graph: one image of the first view and one of the last view."""
    image = np.random.default_rng(0).uniform(-1, 1, (2, 1, *contract.input_shape)).astype(np.float32)
    return image, np.array([VIEWS.index(contract.views[k]) for k in (0, -1)], dtype=np.int64)


def _remove_metadata(graph: Any) -> None:
    """Remove the exporter's notes, because their stack traces name folders of this machine."""
    inner = graph.graph
    for part in (*inner.node, *inner.value_info, *inner.input, *inner.output, *inner.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
    del graph.metadata_props[:], inner.metadata_props[:]


def _compare(
    network: nn.Module, contract: ModelContract, payload: bytes, tolerance: float, probabilities: bool = False
) -> None:
    """Refuse a graph whose outputs differ from the network's outputs. Without onnxruntime, nothing is compared."""
    try:
        onnxruntime = import_onnxruntime()
    except ImportError:
        return
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(payload, options, providers=["CPUExecutionProvider"])
    image, view = example_inputs(contract)
    found = session.run(list(OUTPUTS), dict(zip(INPUTS, (image, view), strict=True)))
    with torch.no_grad():
        wanted = _served(network, contract).eval()(torch.from_numpy(image), torch.from_numpy(view))
    pairs = [(f, w.numpy()) for f, w in zip(found, wanted, strict=True)]
    if probabilities:
        pairs[1] = (1 / (1 + np.exp(-pairs[1][0])), 1 / (1 + np.exp(-pairs[1][1])))
    # The difference is relative for values beyond 10, because all logits of that size mean certainty.
    worst = max(float((np.abs(f - w) / np.maximum(1.0, np.abs(w) / 10)).max()) for f, w in pairs)
    if not worst <= tolerance:
        raise ContractViolation(
            "EXPORT_DIFFERS",
            found=f"an exported model whose outputs differ from the network's outputs by {worst:.2g}",
            expected=f"a difference of at most {tolerance}",
            remedy="do not use this export; check the versions of torch and onnxscript",
        )
