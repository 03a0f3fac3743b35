"""The request for a promotion: which candidate, by which verdict and evidence, into which registry, by whom."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from validation.promotion.smoke_test import MeasureVirtualStudy


@dataclass(frozen=True)
class PromotionRequest:
    """What ``promote`` needs.

    Attributes:
        verdict_path: the sealed verdict; policy_path: the policy that it was judged by.
        evidence_folder: holds the evaluation records, under any names, at any depth.
        tracking_uri: MLflow's tracking store and registry.
        candidate_uri: ``models:/<name>/<version>`` or ``runs:/<run id>/<path>`` of the judged model.
        production_model: registered model whose champion changes; ledger_path: its history.
        promoter: the person or program that promotes; at: when.
        measure_virtual_study: how to run a model for the smoke test; None is refused.
        approval: sealed record of an approval, where the policy requires one.
        artifact_root: where the promoter's artefacts go if its experiment does not exist yet; None: where the tracking
            server says, or ``artifacts`` beside a local database.
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
