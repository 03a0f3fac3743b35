"""The request for a promotion: candidate, verdict, evidence and promoter."""

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
        candidate_uri: ``models:/<name>/<version>`` or ``runs:/<run id>/<path>`` of the judged model.
        promoter: the person or program that promotes the model.
        measure_virtual_study: the function that runs a model for the smoke test. A request with None is refused.
        approval: the beginning of an approval's digest; "" for the latest usable approval of the verdict.
    """

    verdict_path: Path
    policy_path: Path
    evidence_folder: Path
    candidate_uri: str
    promoter: str
    at: datetime
    measure_virtual_study: MeasureVirtualStudy | None
    approval: str = ""
