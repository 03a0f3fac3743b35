"""The part of a candidate's report that comes from the workspace's own files: records, images, landmarks.

Contract: the report can be written again at any time from the evaluation on disk. Verdict, run facts and status come
from ``orchestration.tracking.review_page``.
"""

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from inference.drawing import windowed
from orchestration.pipeline.drift import compare_test_with_training
from orchestration.pipeline.params import Params
from orchestration.pipeline.policies import workspace_policy
from orchestration.pipeline.workspace import Workspace
from spine.dataset import Example, load_example_image, read_manifest
from spine.landmarks import ViewName
from validation.evaluation.predicted_points import FILE, read_predicted_points
from validation.evaluation.record import EvaluationRecord, read_record
from validation.evaluation.test_set_ledger import count_reads
from validation.review.page import ReviewMaterial, write_review
from validation.review.patients import EncodedImage, Points, chosen_studies

IMAGES_LIMIT_BYTES = 8_000_000
"""Limit for the total size of all images. Base64 makes images a third larger, and a page may have 15 MB."""

HEIGHTS = (900, 720, 560, 420, 320, 240)
"""Heights in pixels, tried in this order until the images are within the limit."""

_QUALITY = 78

RECORD = "record.json"


def write_unjudged_report(workspace: Workspace, params: Params) -> Path:
    """Write the report on the latest evaluation before it is judged, and return its path.

    Raises:
        EvidenceRejected: the record is missing or altered.
    """
    material = gather_report(workspace, params, read_record(workspace.evaluation / RECORD))
    return write_review(material, workspace.report_page)


def gather_report(
    workspace: Workspace, params: Params, challenger: EvaluationRecord, champion: EvaluationRecord | None = None
) -> ReviewMaterial:
    """The report's material without verdict, run facts and status."""
    policy = workspace_policy(params, workspace)
    examples = {e.study_id: e for e in read_manifest(workspace.dataset).examples("test")}
    chosen = [examples[s] for s in chosen_studies(challenger, champion, policy.comparison) if s in examples]
    points: dict[str, Points] = {"challenger": read_predicted_points(workspace.evaluation / FILE, challenger)}
    if champion is not None:
        points["champion"] = read_predicted_points(workspace.champion_evaluation / FILE, champion)
    points["truth"] = {e.study_id: {name: v.points for name, v in e.views.items()} for e in chosen}
    return ReviewMaterial(
        verdict=None,
        policy=policy,
        challenger=challenger,
        champion=champion,
        images=encode_images(workspace.dataset, chosen),
        points=points,
        populations=compare_test_with_training(workspace, params),
        test_set_reads=count_reads(workspace.test_set_ledger, challenger.test_digest) or None,
        written_at=datetime.now(UTC).isoformat(),
    )


def encode_images(
    dataset: Path, examples: Iterable[Example], limit: int = IMAGES_LIMIT_BYTES
) -> dict[tuple[str, ViewName], EncodedImage]:
    """(study, view) -> JPEG. All images have one height: the greatest at which their total size is within the limit."""
    chosen = list(examples)
    encoded: dict[tuple[str, ViewName], EncodedImage] = {}
    for height in HEIGHTS:
        encoded = {(e.study_id, v): _encode(dataset, e, v, height) for e in chosen for v in e.views}
        if sum(len(p.jpeg) for p in encoded.values()) <= limit:
            break
    return encoded


def _encode(dataset: Path, example: Example, view: ViewName, height: int) -> EncodedImage:
    image = np.asarray(load_example_image(dataset, example.views[view]))
    rows, columns = image.shape
    jpeg = Image.fromarray(windowed(image))
    if rows > height:
        jpeg = jpeg.resize((max(1, round(columns * height / rows)), height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    jpeg.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return EncodedImage(buffer.getvalue(), (columns, rows))
