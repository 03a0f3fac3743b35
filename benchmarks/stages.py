"""Speed of the pipeline's stages before training: rendering, ingest, projection, data set, validation."""

import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure
from orchestration.pipeline.params import Params, parse_params, write_params
from orchestration.pipeline.stages import dvc_yaml
from orchestration.pipeline.steps import compute_step
from orchestration.pipeline.workspace import Workspace
from spine.storage import write_text_atomically

PATIENTS = 40


def figures() -> list[Figure]:
    """Patients per second of each stage, with its files."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        content = Params().model_dump()
        content["cohort"]["count"] = PATIENTS
        content["dataset"]["test_patients"] = 10
        params = parse_params(content)
        write_params(params, workspace.params_file)
        write_text_atomically(workspace.pipeline_file, dvc_yaml(params))
        workspace.prepare()
        return [_stage(workspace, name) for name in ("cohort", "studies", "landmarks", "dataset", "validation")]


def _stage(workspace: Workspace, name: str) -> Figure:
    started = time.perf_counter()
    compute_step(name, workspace)
    rate = PATIENTS / (time.perf_counter() - started)
    return Figure(f"{name}", rate, "patients/s", "", f"{PATIENTS} virtual patients, 2 views 512x256, once")
