"""Corrections of studies that were opened by their link: they find their study in the store, and the newest counts."""

import numpy as np
import pytest

from inference.bundled import BUNDLED
from inference.model import load_model
from orchestration.lifecycle.correcting import radiographs_of_study
from orchestration.pipeline.corrections import listed_corrections
from orchestration.pipeline.steps import compute_step
from serving.correction.answers import proposed_points
from serving.correction.cases import Case, CaseStore
from serving.correction.recording import Recorder
from serving.correction.requests import GivenDecision
from spine.dataset import Manifest, read_manifest
from tests.small_workspace import small_workspace
from validation.dataset.build import read_build_record

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*noload.*", "ignore::DeprecationWarning:mlflow")]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, made_once, empty_mlflow_database, quiet):
    return small_workspace(tmp_path_factory.mktemp("linked") / "ws", made_once, empty_mlflow_database)


def opened(workspace, study_id: str) -> Case:
    model = load_model(BUNDLED)
    store = CaseStore(workspace.correction_cases, lambda: model)
    return store.add(radiographs_of_study(workspace, study_id), proposed=True, study=study_id)


def save(workspace, case: Case, down_px: float, after: int) -> None:
    moved = {v: {n: xy + (0.0, down_px) for n, xy in at.items()} for v, at in proposed_points(case).items()}
    Recorder(workspace.corrections).save(case, GivenDecision("corrected", moved, "", "A. Surgeon", after))


def rebuild(workspace) -> Manifest:
    for step in ("studies", "landmarks", "dataset"):
        compute_step(step, workspace)
    return read_manifest(workspace.dataset)


def test_labels_of_a_linked_study_replace_its_own_in_train_and_never_in_test(workspace):
    before = read_manifest(workspace.dataset)
    train, test = before.in_split("train")[0], before.in_split("test")[0]
    case = opened(workspace, train.study_id)
    save(workspace, case, 1.0, 0)
    save(workspace, opened(workspace, test.study_id), 1.0, 0)
    after = rebuild(workspace)
    (corrected,) = (e for e in after.examples() if e.source == "corrections")
    assert (corrected.split, corrected.patient, corrected.facts["condition"]) == (
        "train", train.patient, train.facts["condition"],
    )  # fmt: skip
    assert {v.sha256 for v in corrected.views.values()} == {v.sha256 for v in train.views.values()}
    assert corrected.views["lateral"].geometry == train.views["lateral"].geometry
    left_out = read_build_record(workspace.dataset).left_out
    assert left_out.pop(train.study_id) == "REVISED"
    assert list(left_out.values()) == ["CORRECTION_OF_TEST_SET"]
    assert after.test_digest == before.test_digest
    assert not any("quarantine" in each.state for each in listed_corrections(workspace))
    # A person moves the points on, and then returns to those of the first record.
    for after_record, down_px in ((1, 2.0), (2, 1.0)):
        save(workspace, case, down_px, after_record)
        (newest,) = (e for e in rebuild(workspace).examples() if e.source == "corrections")
        proposed, found = proposed_points(case)["frontal"], newest.views["frontal"].points
        assert len(proposed.keys() & found.keys()) > 10
        # Which points these are depends on the study, and its id on the key of the workspace.
        for name in proposed.keys() & found.keys():
            np.testing.assert_allclose(found[name], proposed[name] + (0.0, down_px))
