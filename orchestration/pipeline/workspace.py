"""Workspace: where one chain keeps its data, its evidence and its services' state.

Contract: a workspace is any folder with ``dvc.yaml`` and ``params.yaml``; ``data/`` holds what DVC versions,
``state/`` what it must not (tracking database, verdicts, ledgers, keys). Nothing is made until ``prepare``.
"""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """The folders of one chain below ``root`` (absolute)."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", self.root.expanduser().resolve())

    @property
    def params_file(self) -> Path:
        """What every stage reads."""
        return self.root / "params.yaml"

    @property
    def pipeline_file(self) -> Path:
        """The chain as DVC stages."""
        return self.root / "dvc.yaml"

    @property
    def data(self) -> Path:
        """What DVC versions."""
        return self.root / "data"

    @property
    def state(self) -> Path:
        """What DVC does not version."""
        return self.root / "state"

    @property
    def drop(self) -> Path:
        """The virtual cohort as DICOM and reconstruction files."""
        return self.data / "drop"

    @property
    def inbox(self) -> Path:
        """Where new batches of studies are dropped, one folder each, ``COMPLETE`` written last."""
        return self.data / "inbox"

    @property
    def studies(self) -> Path:
        """The study store."""
        return self.data / "studies"

    @property
    def quarantine(self) -> Path:
        """Studies that cannot be used, with their reasons; they keep their identifiers, so DVC must not copy them."""
        return self.state / "quarantine"

    @property
    def landmarks(self) -> Path:
        """Projected landmarks, one file a study."""
        return self.data / "landmarks"

    @property
    def dataset(self) -> Path:
        """Manifest and images."""
        return self.data / "dataset"

    @property
    def screening(self) -> Path:
        """Which studies were screened out of the dataset, where the parameters ask for that."""
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
        """The champion, re-scored on the same test set."""
        return self.state / "champion_evaluation"

    @property
    def baseline_evaluation(self) -> Path:
        """The last model a human approved, re-scored on the same test set, where it is not the champion."""
        return self.state / "baseline_evaluation"

    @property
    def verdict_file(self) -> Path:
        """The gate's latest verdict (copies by digest lie beside it)."""
        return self.state / "verdicts" / "latest.json"

    @property
    def approvals(self) -> Path:
        """What humans said of verdicts, one sealed record a word."""
        return self.state / "approvals"

    @property
    def report_page(self) -> Path:
        """The report on the candidate: the page from which a reviewer decides."""
        return self.state / "report" / "report.html"

    @property
    def champion(self) -> Path:
        """Local copy of the champion's bytes, verified against their digest at every use."""
        return self.state / "champion"

    @property
    def champion_record(self) -> Path:
        """Which version and digest the local copy must be."""
        return self.state / "champion.json"

    @property
    def previous_champion(self) -> Path:
        """Local copy of the model that served before, to return to while the registry is down."""
        return self.state / "previous_champion"

    @property
    def rollback_pending(self) -> Path:
        """Which model was left while the registry was down; there until the registry was told."""
        return self.state / "rollback_pending.json"

    @property
    def reports(self) -> Path:
        """What each step said when it last ran."""
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
        """MLflow's database; ``PLUMBLINE_TRACKING_URI`` names a server or database instead."""
        return os.environ.get("PLUMBLINE_TRACKING_URI") or self.own_tracking_uri

    @property
    def own_tracking_uri(self) -> str:
        """MLflow's database inside the workspace."""
        return f"sqlite:///{self.state / 'mlflow' / 'mlflow.db'}"

    @property
    def artifact_root(self) -> Path:
        """MLflow's artefacts, where the database is the workspace's own."""
        return self.state / "mlflow" / "artifacts"

    def prepare(self) -> None:
        """Make the folders that steps expect to exist."""
        for folder in (self.data, self.inbox, self.state, self.reports, self.dagster_home, self.artifact_root):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def pseudonym_key_file(self) -> Path:
        """The key of the patients' pseudonyms, drawn at first use and readable by its owner alone."""
        return self.state / "pseudonym.key"
