"""The request for a promotion: candidate, verdict, evidence, registry and promoter."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from validation.promotion.smoke_test import MeasureVirtualStudy


@dataclass(frozen=True)
class PromotionRequest:
    """The input of ``promote``.

    Attributes:
        verdict_path: the sealed verdict.
        policy_path: the policy of the verdict.
        evidence_folder: contains the evaluation records, with any names and at any depth.
        tracking_uri: MLflow's tracking store and registry.
        candidate_uri: ``models:/<name>/<version>`` or ``runs:/<run id>/<path>`` of the judged model.
        production_model: the registered model whose champion changes.
        ledger_path: the history of that registered model.
        promoter: the person or program that promotes.
        at: the time of the promotion.
        measure_virtual_study: the function that runs a model for the smoke test; None is refused.
        approval: the sealed approval, if the policy requires one.
        artifact_root: the artefact folder of a new promotions experiment. With None it is ``artifacts`` beside a local
            database, or the tracking server chooses it.
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
