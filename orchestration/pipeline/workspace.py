"""The folders of a workspace: data, evidence and the state of its services.

Contract: a workspace is any folder with ``dvc.yaml`` and ``params.yaml``. DVC versions ``data/``. DVC must not
version ``state/`` (tracking database, verdicts, ledgers, keys). No folder is made before ``prepare``.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from validation.registry.database import sqlite_address


class Below:
    """A path below the root of a workspace; ``{name}`` in it is replaced by the workspace's field ``name``."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __get__(self, workspace: "Workspace", _: type) -> Path:
        return workspace.root / self.path.format_map(vars(workspace))


@dataclass(frozen=True)
class Workspace:
    """The files and folders of a workspace.

    Attributes:
        root: the workspace's folder, absolute.
        tracking: MLflow's server or database; None for ``PLUMBLINE_TRACKING_URI`` or else the workspace's own database.
    """

    root: Path
    tracking: str | None = field(default=None, kw_only=True)

    params_file = Below("params.yaml")
    """The parameters of every stage."""
    pipeline_file = Below("dvc.yaml")
    """The pipeline as DVC stages."""

    data = Below("data")
    """The data that DVC versions."""
    drop = Below("data/drop")
    """The virtual cohort as DICOM and reconstruction files."""
    inbox = Below("data/inbox")
    """New batches of studies, one folder each, with ``COMPLETE`` written last."""
    studies = Below("data/studies")
    """The study store."""
    landmarks = Below("data/landmarks")
    """Projected landmarks, one file for each study."""
    dataset = Below("data/dataset")
    """Manifest and images."""
    screening = Below("data/screening")
    """Studies that were excluded from the dataset, if ``validation.on_bad_study`` is ``exclude``."""
    validation = Below("data/validation")
    """Result and pages of the dataset validation."""
    candidate = Below("data/candidate")
    """The trained candidate and its journal."""
    evaluation = Below("data/evaluation")
    """The candidate's evaluation record, predicted landmarks and overlays."""

    corrections = Below("corrections")
    """Cases whose measurement a person accepted, corrected, rejected or annotated. They contain patient identifiers."""

    state = Below("state")
    """The state that DVC does not version."""
    quarantine = Below("state/quarantine")
    """Studies that cannot be used, with reasons. They contain patient identifiers, so DVC must not copy them."""
    drift = Below("state/drift")
    """The comparison of new studies with the training population."""
    champion_evaluation = Below("state/champion_evaluation")
    """The champion's evaluation on the same test set."""
    baseline_evaluation = Below("state/baseline_evaluation")
    """The evaluation of the last approved model on the same test set, if that model is not the champion."""
    verdict_file = Below("state/verdicts/latest.json")
    """The gate's latest verdict. Every verdict is kept beside it, under its digest."""
    report_page = Below("state/report/report.html")
    """The report on the candidate, from which a reviewer decides."""
    change_plan = Below("state/change_plan")
    """The predetermined change control plan, written by `plumbline plan`."""
    champion = Below("state/champion")
    """Local copy of the champion, verified against its digest at every use."""
    champion_record = Below("state/champion.json")
    """The version and the digest that the local copy must have."""
    site_calibration = Below("state/site_calibration.json")
    """The site's own calibration of a model (``plumbline calibrate``)."""
    previous_champion = Below("state/previous_champion")
    """Local copy of the previous champion, for a rollback while the registry is down."""
    served_copy = Below("state/serving/champion")
    """The champion's files that `plumbline serve` fetched where the local copy does not follow the history."""
    correction_cases = Below("state/correction_cases")
    """Radiographs that are open on the correction page."""
    challenger = Below("state/shadow/challenger")
    """The files of the challenger that `plumbline serve` runs in the shadow."""
    shadow_cases = Below("state/shadow/cases.jsonl")
    """What the shadow runs found: digests and differences, one JSON object on a line."""
    shadow_evidence = Below("state/shadow/record.json")
    """The record of the shadow runs with which the latest verdict was made, if its policy asks for them."""
    watch = Below("state/watch")
    """The states of the studies in the loop with a PACS (``plumbline watch``)."""
    rollback_pending = Below("state/rollback_pending.json")
    """Record of a rollback that was made while the registry was down. It exists until the history has it."""
    alerts = Below("state/logs/alerts.jsonl")
    """What a person must look at, one JSON object on a line."""
    reports = Below("state/reports")
    """The report of each step's last run."""
    test_set_ledger = Below("state/test_set_reads.jsonl")
    """The ledger of every read of a frozen test set."""
    gathered_evidence = Below("state/evidence")
    """Copies of the evaluation records, during a promotion."""
    history_copy = Below("state/history.jsonl")
    """The readable copy of the history, which is in the database."""
    dagster_home = Below("state/dagster")
    """The Dagster instance."""
    artifact_root = Below("state/mlflow/artifacts")
    """MLflow's artefacts, if the database is the workspace's own."""
    pseudonym_key_file = Below("state/pseudonym.key")
    """The random key of the patients' pseudonyms, made at first use and readable by its owner only."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", self.root.expanduser().resolve())

    @property
    def tracking_uri(self) -> str:
        """``tracking``, or else the value of ``PLUMBLINE_TRACKING_URI``, or else the workspace's own database."""
        return self.tracking or os.environ.get("PLUMBLINE_TRACKING_URI") or self.own_tracking_uri

    @property
    def own_tracking_uri(self) -> str:
        """MLflow's database inside the workspace."""
        return sqlite_address(self.state / "mlflow" / "mlflow.db")

    def prepare(self) -> None:
        """Make the folders that the steps need."""
        for folder in (
            self.data,
            self.inbox,
            self.corrections,
            self.state,
            self.reports,
            self.dagster_home,
            self.artifact_root,
        ):
            folder.mkdir(parents=True, exist_ok=True)
