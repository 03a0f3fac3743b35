"""The input of a report page without a workspace: judged virtual patients with images and landmarks."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spine.landmarks import VIEWS
from spine.prediction import Prediction
from tests.charts_drawn_once import charts_drawn_once
from tests.validation.review.constructed_reviews import AT, SHAPE, N, predicted_points, record
from validation.evaluation.record import EvaluationRecord
from validation.gates.evidence import Evidence
from validation.gates.policy import Policy
from validation.gates.verdict import judge
from validation.review.changes import PatientFact, RunFacts
from validation.review.page import ReviewMaterial
from validation.review.patients import EncodedImage


@pytest.fixture(scope="session", autouse=True)
def _charts_once() -> Iterator[None]:
    with charts_drawn_once():
        yield


@pytest.fixture(scope="session")
def scored() -> dict[str, tuple[EvaluationRecord, list[Prediction]]]:
    return {"challenger": record("challenger", "a" * 64, 1), "champion": record("champion", "b" * 64, 2)}


@pytest.fixture(scope="session")
def image() -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


@pytest.fixture
def material(scored: Any, policy: Policy, image: bytes) -> Callable[..., ReviewMaterial]:
    """A function that returns the input of a page, with or without a champion. Keywords replace fields."""

    def make(*, with_champion: bool = True, **changes: Any) -> ReviewMaterial:
        roles = ("challenger", "champion") if with_champion else ("challenger",)
        records = {role: scored[role][0] for role in roles}
        challenger, champion = records["challenger"], records.get("champion")
        facts = RunFacts(
            run_id="run1", commit="c" * 40, dirty=False, versions={"torch": "2.13"}, preset="shared", seed="2",
            device="x86_64 CPU", devices=1, seconds=90.0, epochs=3, images=24, dataset="d" * 64,
            patients=(PatientFact("p1", "train", "normal"), PatientFact("p2", "test", "normal")),
        )  # fmt: skip
        before = replace(facts, run_id="run0", seed="1", patients=(PatientFact("p1", "test", "normal"),))
        whole = ReviewMaterial(
            verdict=judge(policy, Evidence(challenger, champion), judged_at=AT),
            policy=policy,
            challenger=challenger,
            champion=champion,
            challenger_run=facts,
            champion_run=before if with_champion else None,
            images={(f"s{i:03d}", v): EncodedImage(image, (SHAPE[1], SHAPE[0])) for i in range(N) for v in VIEWS},
            points={role: {p.study_id: dict(p.points) for p in scored[role][1]} for role in roles}
            | {"truth": {f"s{i:03d}": dict.fromkeys(VIEWS, predicted_points(i, 0.0)) for i in range(N)}},
            test_set_reads=3,
        )  # fmt: skip
        return replace(whole, **changes)

    return make
