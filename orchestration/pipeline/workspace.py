"""The folders of a workspace: data, evidence and the state of its services.

Contract: a workspace is any folder with ``dvc.yaml`` and ``params.yaml``. DVC versions ``data/``. It must not version
``state/`` (tracking database, verdicts, ledgers, keys). Nothing is made before ``prepare``.
"""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """The folders of a workspace below ``root`` (absolute)."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", self.root.expanduser().resolve())

    @property
    def params_file(self) -> Path:
        """The parameters of every stage."""
        return self.root / "params.yaml"

    @property
    def pipeline_file(self) -> Path:
        """The pipeline as DVC stages."""
        return self.root / "dvc.yaml"

    @property
    def data(self) -> Path:
        """The data that DVC versions."""
        return self.root / "data"

    @property
    def state(self) -> Path:
        """The state that DVC does not version."""
        return self.root / "state"

    @property
    def drop(self) -> Path:
        """The virtual cohort as DICOM and reconstruction files."""
        return self.data / "drop"

    @property
    def inbox(self) -> Path:
        """New batches of studies, one folder each, with ``COMPLETE`` written last."""
        return self.data / "inbox"

    @property
    def studies(self) -> Path:
        """The study store."""
        return self.data / "studies"

    @property
    def quarantine(self) -> Path:
        """Studies that cannot be used, with reasons. They contain patient identifiers, so DVC must not copy them."""
        return self.state / "quarantine"

    @property
    def landmarks(self) -> Path:
        """Projected landmarks, one file for each study."""
        return self.data / "landmarks"

    @property
    def dataset(self) -> Path:
        """Manifest and images."""
        return self.data / "dataset"

    @property
    def screening(self) -> Path:
        """Studies that were excluded from the dataset, if ``validation.on_bad_study`` is ``exclude``."""
        return self.data / "screening"

    @property
    def validation(self) -> Path:
        """Result and pages of the dataset validation."""
        return self.data / "validation"

    @property
    def candidate(self) -> Path:
        """The trained candidate and its journal."""
        return self.data / "candidate"

    @property
    def evaluation(self) -> Path:
        """The candidate's evaluation record, found landmarks and overlays."""
        return self.data / "evaluation"

    @property
    def champion_evaluation(self) -> Path:
        """The champion's evaluation on the same test set."""
        return self.state / "champion_evaluation"

    @property
    def baseline_evaluation(self) -> Path:
        """The evaluation, on the same test set, of the last approved model, if that is not the champion."""
        return self.state / "baseline_evaluation"

    @property
    def verdict_file(self) -> Path:
        """The gate's latest verdict. Every verdict is kept beside it, under its digest."""
        return self.state / "verdicts" / "latest.json"

    @property
    def approvals(self) -> Path:
        """Approvals and rejections of verdicts by people, one sealed record each."""
        return self.state / "approvals"

    @property
    def report_page(self) -> Path:
        """The report on the candidate, from which a reviewer decides."""
        return self.state / "report" / "report.html"

    @property
    def champion(self) -> Path:
        """Local copy of the champion, verified against its digest at every use."""
        return self.state / "champion"

    @property
    def champion_record(self) -> Path:
        """Version and digest that the local copy must have."""
        return self.state / "champion.json"

    @property
    def previous_champion(self) -> Path:
        """Local copy of the previous champion, for a rollback while the registry is down."""
        return self.state / "previous_champion"

    @property
    def rollback_pending(self) -> Path:
        """Record of a rollback that was made while the registry was down. It exists until the registry is updated."""
        return self.state / "rollback_pending.json"

    @property
    def reports(self) -> Path:
        """The report of each step's last run."""
        return self.state / "reports"

    @property
    def test_set_ledger(self) -> Path:
        """Every read of a frozen test set."""
        return self.state / "test_set_reads.jsonl"

    @property
    def promotion_ledger(self) -> Path:
        """Every promotion, hash-chained."""
        return self.state / "promotions.jsonl"

    @property
    def dagster_home(self) -> Path:
        """The Dagster instance."""
        return self.state / "dagster"

    @property
    def tracking_uri(self) -> str:
        """MLflow's database: the workspace's own unless ``PLUMBLINE_TRACKING_URI`` names a server or database."""
        return os.environ.get("PLUMBLINE_TRACKING_URI") or self.own_tracking_uri

    @property
    def own_tracking_uri(self) -> str:
        """MLflow's database inside the workspace."""
        return f"sqlite:///{self.state / 'mlflow' / 'mlflow.db'}"

    @property
    def artifact_root(self) -> Path:
        """MLflow's artefacts, if the database is the workspace's own."""
        return self.state / "mlflow" / "artifacts"

    def prepare(self) -> None:
        """Make the folders that the steps need."""
        for folder in (self.data, self.inbox, self.state, self.reports, self.dagster_home, self.artifact_root):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def pseudonym_key_file(self) -> Path:
        """The random key of the patients' pseudonyms, made at first use and readable by its owner only."""
        return self.state / "pseudonym.key"
