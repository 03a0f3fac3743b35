"""The pipeline as a table of stages, and the ``dvc.yaml`` that is generated from this table.

Contract: tests compare the table with ``dvc.yaml`` at the top of the repository and with the Dagster graph. Promotion
is never a DVC stage: it moves the champion and is not a function of its inputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from orchestration.pipeline.params import Params


@dataclass(frozen=True)
class Stage:
    """One DVC-versioned step.

    Attributes:
        name: name of the stage, the step function and the Dagster asset.
        description: one line for dvc.yaml.
        deps: paths that the stage reads, relative to the workspace.
        outs: paths that the stage writes, relative to the workspace.
        params: sections of params.yaml that the stage depends on.
        persist: whether DVC keeps the outputs when the stage runs again, because the stage adds to them.
    """

    name: str
    description: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    params: tuple[str, ...]
    persist: bool


STAGES: tuple[Stage, ...] = (
    Stage("cohort", "virtual patients as DICOM and reconstruction files", (), ("data/drop",), ("cohort",), True),
    Stage(
        "studies", "checked, calibrated, pseudonymous studies; the rest in quarantine",
        ("data/drop", "data/inbox", "corrections"), ("data/studies",), ("source",), True,
    ),
    Stage(
        "landmarks", "3D points projected into each view, with visibility", ("data/studies",),
        ("data/landmarks",), ("dataset.landmark_set",), True,
    ),
    Stage(
        "dataset", "splits by patient, frozen test set, manifest", ("data/studies", "data/landmarks"),
        ("data/dataset", "data/screening"), ("dataset", "validation"), True,
    ),
    Stage(
        "validation", "Great Expectations over studies, landmarks and splits", ("data/dataset",),
        ("data/validation",), ("validation",), False,
    ),
    Stage(
        "candidate", "a trained network with a DSNT layer, exported", ("data/dataset", "data/validation"),
        ("data/candidate",), ("training",), True,
    ),
    Stage(
        "evaluation", "the candidate's errors on the frozen test set", ("data/dataset", "data/candidate"),
        ("data/evaluation",), (), False,
    ),
)  # fmt: skip

STAGE_NAMES: tuple[str, ...] = tuple(stage.name for stage in STAGES)

OUTPUTS: Mapping[str, tuple[str, ...]] = {stage.name: stage.outs for stage in STAGES}
"""Name of a stage -> the paths that the stage writes, relative to the workspace."""

WRITTEN_IN_PLACE = frozenset({"candidate", "evaluation"})
"""Stages that add to a file of an earlier run, or write over it: the journal of a fit, the overlays. DVC's cache has
copies of their files. All others replace files, so the cache may have links to theirs."""


def stages_for(params: Params) -> tuple[Stage, ...]:
    """The stages of a workspace. A real source has no cohort stage and reads its own location."""
    if params.source.kind == "virtual":
        return STAGES
    locations = dict.fromkeys((params.source.location, "data/inbox", "corrections"))
    return tuple(replace(s, deps=tuple(locations)) if s.name == "studies" else s for s in STAGES if s.name != "cohort")


def dvc_yaml(params: Params) -> str:
    """The text of ``dvc.yaml`` for a workspace."""
    header = (
        "# The pipeline as plain DVC stages, to run without Dagster: `dvc repro`.\n"
        "# Generated from orchestration/pipeline/stages.py by `plumbline init`; a test compares the two.\n"
    )
    stages = {stage.name: _dvc_stage(stage) for stage in stages_for(params)}
    return header + yaml.safe_dump({"stages": stages}, sort_keys=False, width=110)


def _dvc_stage(stage: Stage) -> dict[str, Any]:
    outs = [{out: {"persist": True}} if stage.persist else out for out in stage.outs]
    record: dict[str, Any] = {"desc": stage.description, "cmd": f"plumbline stage {stage.name}"}
    record |= {"deps": list(stage.deps)} if stage.deps else {}
    record |= {"params": list(stage.params)} if stage.params else {}
    return record | {"outs": outs}
