"""A site's intervals hold on its other patients, belong to one model, and need enough patients."""

import json
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from inference.model import Model, load_model
from inference.site_calibration import (
    LEAST_SITE_PATIENTS,
    SiteCalibration,
    read_site_calibration,
    write_site_calibration,
)
from spine.dataset import read_manifest
from spine.errors import EvidenceRejected, ParametersRejected
from tests.inference.fake_model import CONTRACT
from tests.training.export.test_interval_widths import CALIBRATION, covered, images
from training.export.interval_widths import Score, conformal_quantile
from training.export.site_calibration import calibrate_site, left_out_coverage, require_unseen, site_calibration_of

MODEL = Model(replace(CONTRACT, calibration=CALIBRATION), "a" * 64, None)
DAY = date(2026, 11, 30)


def site_of(count: int, seed: int) -> SiteCalibration:
    return site_calibration_of(MODEL, images(count, seed, 0.1, 0.3), "Elsewhere", DAY)


def test_intervals_of_a_site_hold_on_its_other_patients():
    shares = []
    for seed in range(20):
        served = site_of(LEAST_SITE_PATIENTS, seed).applied_to(MODEL).contract.calibration
        assert served is not None
        limited = replace(served, clear={})
        shares.append(covered(limited, images(300, 100 + seed, 0.1, 0.3)))
    assert 0.87 < np.mean(shares) < 0.96
    assert covered(CALIBRATION, images(1000, 99, 0.1, 0.3)) < 0.6  # the model's own intervals do not


def test_the_stated_share_is_that_of_patients_left_out():
    scores = [Score(str(i // 2), "cobb", float(sigmas), "frontal", 0.0) for i, sigmas in enumerate(range(80))]
    expected = np.mean([i <= conformal_quantile([s for s in range(80) if s // 2 != i // 2]) for i in range(80)])
    assert left_out_coverage(scores) == pytest.approx(expected) != 1.0
    assert site_of(60, 3).coverage["cobb"] == pytest.approx(0.9, abs=0.06)


def test_every_interval_names_the_site_and_no_value_changes():
    site = site_of(40, 1)
    served = site.applied_to(MODEL).contract.calibration
    assert served is not None
    basis = served.basis("frontal", {"T2_sup": float(np.exp(0.2))})
    assert basis.calibration == "the own calibration of Elsewhere, 2026-11-30, images like these"
    assert (basis.patients, basis.unlike) == (40, False)
    assert served.basis("frontal", {"T2_sup": float(np.exp(0.31))}).withheld is not None
    assert served.neighbour_width == CALIBRATION.neighbour_width
    assert served.sigma_cells("frontal", {"T2_sup": 1.3}) == CALIBRATION.sigma_cells("frontal", {"T2_sup": 1.3})
    law, own = served.laws["frontal"]["centres"], CALIBRATION.laws["frontal"]["centres"]
    assert law.radius == pytest.approx(own.radius * site.radius) and site.radius > 1.5


def test_too_few_patients_are_refused():
    with pytest.raises(ParametersRejected, match="SITE_PATIENTS_TOO_FEW") as refusal:
        site_of(LEAST_SITE_PATIENTS - 1, 0)
    assert "29" in refusal.value.found and "30" in refusal.value.expected
    same = [(p, replace(e, patient=str(i // 2))) for i, (p, e) in enumerate(images(50, 0, 0.1, 0.3))]
    with pytest.raises(ParametersRejected, match="SITE_PATIENTS_TOO_FEW"):
        site_calibration_of(MODEL, same, "Elsewhere", DAY)  # 25 patients


def test_every_study_of_the_data_set_is_measured(taught, drawn):
    with pytest.raises(ParametersRejected, match="SITE_PATIENTS_TOO_FEW") as refusal:
        calibrate_site(load_model(taught[0]), drawn[0], "Elsewhere", DAY)
    assert refusal.value.found.startswith(f"{drawn[1].count()} studies")


def test_a_model_without_uncertainty_is_refused():
    with pytest.raises(ParametersRejected, match="MODEL_WITHOUT_CALIBRATION"):
        site_calibration_of(replace(MODEL, contract=CONTRACT), images(40, 0, 0.1, 0.3), "Elsewhere", DAY)


def test_the_file_keeps_the_calibration_and_another_model_is_refused(tmp_path):
    path, site = tmp_path / "new" / "site.json", site_of(40, 2)
    write_site_calibration(site, path)
    assert read_site_calibration(path) == site
    with pytest.raises(EvidenceRejected, match="SITE_CALIBRATION_OF_OTHER_MODEL"):
        site.applied_to(replace(MODEL, digest="b" * 64))
    record = json.loads(path.read_text())
    wrong = {"schema": "other", "widths": {"cobb": -1.0}, "more": 1, "name": "", "model_digest": None, "radius": -5}
    wrong |= {"patients": "many", "clear": {"frontal": "a"}, "coverage": {"height": 0.9}, "made_on": "today\nor so"}
    broken = [{**record, name: value} for name, value in wrong.items()]
    broken += [{**record, "widths": 3}, {**record, "patients": 3}, [], {n: v for n, v in record.items() if n != "name"}]
    for content in broken:
        path.write_text(json.dumps(content))
        with pytest.raises(EvidenceRejected, match="SITE_CALIBRATION_UNREADABLE") as refused:
            read_site_calibration(path)
        assert "Error" not in str(refused.value)


def test_the_half_widths_are_those_of_the_intervals():
    known = images(40, 1, 0.1, 0.3)
    site = site_calibration_of(MODEL, known, "Elsewhere", DAY)
    sigmas = [m.sigma for p, _ in known if (m := p.parameters["cobb"]).value is not None]
    assert site.half_widths["cobb"] == pytest.approx(site.widths["cobb"] * np.mean(sigmas))


def test_the_data_set_of_the_fit_is_refused(taught, drawn, tmp_path):
    assert read_manifest(drawn[0]).digest == taught[1].dataset_digest
    with pytest.raises(ParametersRejected, match="MODEL_LEARNED_FROM_STUDIES"):
        require_unseen(taught[0], drawn[0])
    require_unseen(tmp_path, drawn[0])  # without a record of a fit
