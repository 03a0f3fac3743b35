"""The real radiographs and CT keypoint sets, where they are on this machine."""

import os
import shutil
import time
from pathlib import Path

import pytest

from spine.intake.ingest import ingest
from spine.intake.sources import open_source
from spine.landmarks import VERTEBRAE
from spine.study import read_study
from tests.spine.intake.constructed_studies import KEY

DATA = Path(os.environ.get("PLUMBLINE_SHARED") or Path(__file__).parents[4] / "shared") / "data"


@pytest.fixture
def work(tmp_path):
    """A folder that is emptied at once: the radiographs take 1.8 GB."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def take_in(kind, folder, tmp_path):
    location = DATA / folder
    if not location.is_dir():
        pytest.skip(f"the real data of {folder} are not on this machine (PLUMBLINE_SHARED)")
    started = time.monotonic()
    report = ingest(open_source(kind, location), tmp_path / "s", tmp_path / "q", pseudonym_key=KEY)
    print(f"{kind}: {report.received} in {time.monotonic() - started:.1f} s")
    return report


def test_the_ct_keypoint_sets(work):
    report = take_in("ct-keypoints", "ct_keypoints", work)
    assert (report.received, report.used, report.already_present) == (91, 90, 0)
    assert [q.code for q in report.quarantined] == ["SIDES_SWAPPED"]  # left and right pedicle of L5 are exchanged
    for study in (read_study(work / "s" / study_id) for study_id in report.study_ids):
        assert study.views == {}
        assert {f"{v}_body" for v in VERTEBRAE} <= study.reconstruction.points.keys()
        assert study.reconstruction.facts["pedicles_read"]
    assert len(study.reconstruction.points) == 51


@pytest.mark.slow
def test_the_real_radiographs(work):
    report = take_in("aasce", "aasce_training", work)
    assert (report.received, report.used, report.already_present, report.quarantined) == (481, 481, 0, ())
    assert len(set(report.study_ids)) == 481
    studies = [read_study(work / "s" / study_id) for study_id in report.study_ids]
    assert len({study.patient for study in studies}) == 220
    study = read_study(work / "s" / report.study_ids[0])
    assert study.views["frontal"].labels.keys() >= {"T1_sup_left", "L5_inf_right"}
