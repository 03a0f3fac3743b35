"""The request for a promotion: candidate, verdict, evidence, registry and promoter."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from validation.promotion.smoke_test import MeasureVirtualStudy


@dataclass(frozen=True)
class PromotionRequest:
    """The input of ``promote``.

    Attributes:
        verdict_path: the file of the sealed verdict.
        policy_path: the file of the verdict's policy.
        evidence_folder: the folder of the evaluation records, which can have any names and be at any depth.
        tracking_uri: the address of MLflow's tracking store and registry.
        candidate_uri: ``models:/<name>/<version>`` or ``runs:/<run id>/<path>`` of the judged model.
        production_model: the registered model whose champion changes.
        ledger_path: the file of the history.
        promoter: the person or program that promotes the model.
        measure_virtual_study: the function that runs a model for the smoke test. A request with None is refused.
        approval: the file of the sealed approval, if the policy requires an approval.
        artifact_root: the address below which a new experiment of promotions stores its artefacts. None means the
            folder ``artifacts`` beside an SQLite database, or the tracking server's choice.
    """

    verdict_path: Path
    policy_path: Path
    evidence_folder: Path
    tracking_uri: str
    candidate_uri: str
    production_model: str
    ledger_path: Path
    promoter: str
    at: datetime
    measure_virtual_study: MeasureVirtualStudy | None
    approval: Path | None = None
    artifact_root: str | None = None
