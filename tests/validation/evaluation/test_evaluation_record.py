"""The evaluation record: its content, the input it refuses, and changes of its file."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from spine.dataset import Truth
from spine.dataset_writing import digest_of_test_split
from spine.errors import ContractViolation, EvidenceRejected
from spine.measurement.registry import CENTRES_NOTE, PARAMETERS, Measured
from spine.storage import sha256_of_image
from validation.evaluation.outcomes import NO_PREDICTION, NOT_MEASURED
from validation.evaluation.record import rank_patients, read_record, verify_statistics, write_record
from validation.evaluation.sealing import write_sealed
from validation.evaluation.test_set_check import verify_images
from validation.evaluation.test_set_ledger import count_reads, read_ledger, record_read


def test_a_record_has_outcomes_and_statistics(make_trial):
    record = make_trial(5, off_deg=2.0).score()
    assert record.statistics.keys() == PARAMETERS.keys()
    assert (record.simulated, record.patients_are, record.n_patients) == (True, "virtual patients", 3)
    cobb = record.statistics["cobb"]
    assert (cobb.n, cobb.n_truth, cobb.n_patients, cobb.unit) == (5, 5, 3, "deg")
    assert cobb.figures["bias"].value == pytest.approx(2.0)
    assert record.level_shift_rate.value == 0.0
    study = record.studies[1]
    assert dict(study.facts) == {"condition": "normal"}, "only what subgroups are made of travels"
    assert study.parameter("coronal_balance_t1").unit == "mm"
    assert study.seconds == 0.5
    with pytest.raises(KeyError):
        study.parameter("unheard_of")


def test_absences_carry_reasons_and_lower_coverage(make_trial):
    trial = make_trial(5)
    trial.predictions[0] = replace(trial.predictions[0], parameters={})
    unseen = Measured(None, "deg", "T1 not seen", absent_code="LANDMARKS_NOT_SEEN")
    trial.predictions[1] = replace(trial.predictions[1], parameters={"cobb": unseen})
    del trial.predictions[4]
    truth = {**trial.examples[2].truth, "cobb": Truth(None, "deg", "cut off")}
    trial.examples[2] = replace(trial.examples[2], truth=truth)
    record = trial.score()
    reasons = [s.parameter("cobb").predicted_absent_reason for s in record.studies]
    assert reasons == [NOT_MEASURED, "T1 not seen", None, None, NO_PREDICTION]
    assert record.studies[2].parameter("cobb").truth_absent_reason == "cut off"
    cobb = record.statistics["cobb"]
    assert (cobb.n_truth, cobb.n) == (4, 1)
    assert cobb.figures["coverage"].value == pytest.approx(1 / 4)
    assert cobb.figures["mae"].value is None
    assert cobb.figures["mae"].absent_reason == "too few predictions: 1, at least 3 needed"
    assert record.statistics["pelvic_tilt"].n == 2


def test_digest_covers_everything(make_trial):
    trial = make_trial(3)
    record = trial.score()
    assert trial.score().digest == record.digest
    others = [
        trial.score(model_role="champion"),
        trial.score(model_digest="b" * 64),
        trial.score(code_dirty=True),
        trial.score(dvc_version=None),
        trial.score(seed=2),
        make_trial(3, off_deg=2.0000001).score(),
    ]
    assert len({record.digest, *(o.digest for o in others)}) == 7


def test_file_round_trip(make_trial, tmp_path):
    record = make_trial(4).score(dvc_version=None, code_commit=None)
    write_record(record, tmp_path / "deep" / "record.json")
    again = read_record(tmp_path / "deep" / "record.json")
    assert again == record
    assert again.digest == record.digest
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize(
    ("code", "damage"),
    [
        ("EVIDENCE_ALTERED", lambda text: text.replace('"predicted": 22.0', '"predicted": 21.0', 1)),
        ("EVIDENCE_ALTERED", lambda text: text.replace('"challenger"', '"champion"')),
        ("EVIDENCE_UNREADABLE", lambda text: text[:-40]),
        ("EVIDENCE_UNREADABLE", lambda text: ""),
        ("EVIDENCE_UNREADABLE", lambda text: "[]"),
        ("EVIDENCE_UNREADABLE", lambda text: text.replace('"predicted": 22.0', '"predicted": NaN', 1)),
        ("EVIDENCE_SCHEMA", lambda text: text.replace("plumbline.evaluation/5", "plumbline.evaluation/9")),
        ("EVIDENCE_SCHEMA", lambda text: json.dumps({**json.loads(text), "schema": "plumbline.verdict/1"})),
    ],
)
def test_damaged_files_are_refused(make_trial, tmp_path, code, damage):
    path = tmp_path / "record.json"
    write_record(make_trial(3).score(), path)
    text = damage(path.read_text())
    assert text != path.read_text()
    path.write_text(text)
    with pytest.raises(EvidenceRejected, match=code):
        read_record(path)


def test_missing_file(tmp_path):
    with pytest.raises(EvidenceRejected, match="EVIDENCE_MISSING"):
        read_record(tmp_path / "none.json")


@pytest.mark.parametrize(
    "forge",
    [
        lambda content: content["studies"][0]["parameters"][0].update(predicted="22.0"),
        lambda content: content.update(approved=True),
        lambda content: content["statistics"]["cobb"]["figures"]["mae"].update(value=0.1),
        lambda content: content["landmarks"][0].update(n_found=content["landmarks"][0]["n_found"] + 1),
        lambda content: content["level_shift_rate"].update(value=0.5),
        lambda content: content["statistics"].pop("cobb"),
    ],
)
def test_sealed_forgeries_are_refused(make_trial, tmp_path, forge):
    """Content that was changed and sealed again: wrong types, unknown fields and wrong figures are refused."""
    path = tmp_path / "record.json"
    write_record(make_trial(4).score(), path)
    content = json.loads(path.read_text())["content"]
    forge(content)
    write_sealed("plumbline.evaluation/5", content, path)
    with pytest.raises(EvidenceRejected, match=r"EVIDENCE_UNREADABLE|STATISTICS_INCONSISTENT"):
        read_record(path)


def test_a_record_from_before_a_parameter_is_refused(make_trial, tmp_path):
    record, path = make_trial(3).score(), tmp_path / "record.json"
    kept = [replace(s, parameters=tuple(p for p in s.parameters if p.parameter != "cobb")) for s in record.studies]
    statistics = {name: figures for name, figures in record.statistics.items() if name != "cobb"}
    write_record(replace(record, studies=tuple(kept), statistics=statistics), path)
    with pytest.raises(EvidenceRejected, match="without the parameters cobb") as refused:
        read_record(path)
    assert refused.value.code == "EVIDENCE_UNREADABLE"


def test_a_record_that_is_not_finite_cannot_be_written(make_trial, tmp_path):
    record = make_trial(3).score()
    study = record.studies[0]
    bad = replace(study.parameters[0], predicted=math.nan)
    broken = replace(record, studies=(replace(study, parameters=(bad, *study.parameters[1:])), *record.studies[1:]))
    with pytest.raises(EvidenceRejected, match="NON_FINITE"):
        write_record(broken, tmp_path / "record.json")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(EvidenceRejected, match="NON_FINITE"):
        broken.digest  # noqa: B018
    verify_statistics(record)


def test_other_test_sets_are_refused(make_trial):
    """Fault S2 of docs/faults.md: a label moved by a hundredth of a pixel, and one study less."""
    trial = make_trial(4)
    frozen = trial.test_digest
    example = trial.examples[0]
    view = example.views["frontal"]
    moved = {**view.points, "T4_sup": view.points["T4_sup"] + 0.01}
    trial.examples[0] = replace(example, views={**example.views, "frontal": replace(view, points=moved)})
    with pytest.raises(EvidenceRejected, match="TEST_SET_ALTERED"):
        trial.score(test_digest=frozen)
    trial.examples[0] = example
    del trial.examples[3], trial.predictions[3]
    with pytest.raises(EvidenceRejected, match="TEST_SET_ALTERED"):
        trial.score(test_digest=frozen)


NAN_POINT = {"frontal": {"T4_sup": np.array([math.nan, 3.0])}}


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("PREDICTIONS_MISMATCH", lambda t: t.predictions.append(t.predictions[0])),
        ("PREDICTIONS_MISMATCH", lambda t: t.predictions.append(replace(t.predictions[0], study_id="unknown"))),
        ("NOT_THE_TEST_SET", lambda t: t.examples.clear()),
        ("NOT_THE_TEST_SET", lambda t: t.examples.append(replace(t.examples[0], study_id="x", split="train"))),
        ("MIXED_PATIENTS", lambda t: t.examples.append(replace(t.examples[0], study_id="x", facts={}))),
        ("PREDICTION_NOT_FINITE", lambda t: t.predictions.append(replace(t.predictions.pop(), points=NAN_POINT))),
    ],
)
def test_contract_violations(make_trial, code, change):
    trial = make_trial(3)
    change(trial)
    with pytest.raises(ContractViolation, match=code):
        trial.score()


def test_real_patients_are_named_real(make_trial):
    assert make_trial(3, condition="normal").score().patients_are == "real patients"


def test_ranking(make_trial):
    trial = make_trial(5, off_deg=1.0)
    for i, off in enumerate((3.0, 0.5, 1.0, 9.0, 2.0)):
        truth = trial.examples[i].truth
        measured = {n: Measured(float(t.value) + off, PARAMETERS[n].unit) for n, t in truth.items()}
        trial.predictions[i] = replace(trial.predictions[i], parameters=measured)
    assert rank_patients(trial.score()) == {"best": "s1", "median": "s4", "worst": "s3"}
    trial.predictions[1] = replace(trial.predictions[1], parameters={})
    assert rank_patients(trial.score())["worst"] == "s1", "no prediction is worse than a bad one"
    for i in range(5):
        trial.examples[i] = replace(trial.examples[i], truth={})
    assert rank_patients(trial.score()) == {}


def test_images_are_verified(make_trial, tmp_path):
    """Fault S2 of docs/faults.md. One grey value of one test image changed, or the file cut short."""
    trial = make_trial(2)
    examples = []
    for k, example in enumerate(trial.examples):
        views = {}
        for name, view in example.views.items():
            image = np.full((7, 5), 100 * k, dtype=np.uint16)
            np.save(tmp_path / view.image, image)
            views[name] = replace(view, sha256=sha256_of_image(image), shape=(7, 5))
        examples.append(replace(example, views=views))
    verify_images(tmp_path, examples)
    changed = np.full((7, 5), 100, dtype=np.uint16)
    changed[6, 4] += 1
    np.save(tmp_path / examples[1].views["lateral"].image, changed)
    frontal = tmp_path / examples[0].views["frontal"].image
    frontal.write_bytes(frontal.read_bytes()[:-1])
    with pytest.raises(EvidenceRejected, match="s0/frontal, s1/lateral"):
        verify_images(tmp_path, examples)
    assert digest_of_test_split("galbusera39", examples) != trial.test_digest


def test_reads_of_the_test_set_are_counted(tmp_path):
    path = tmp_path / "state" / "reads.jsonl"
    at = datetime(2026, 1, 2, tzinfo=UTC)
    assert count_reads(path, "t1") == 0
    for expected, (test, role) in enumerate((("t1", "challenger"), ("t1", "champion"), ("t2", "challenger"))):
        assert record_read(path, test, "m", role, at) == (1 if test == "t2" else expected + 1)
    assert [r.role for r in read_ledger(path)] == ["challenger", "champion", "challenger"]
    path.write_text(path.read_text().replace("champion", "cha\nmpion", 1))
    with pytest.raises(EvidenceRejected, match="TEST_LEDGER_UNREADABLE"):
        read_ledger(path)


def test_an_evaluation_states_the_error_of_truths_from_plate_centres(make_trial):
    trial = make_trial()
    assert trial.score().studies_from_centres == 0 and CENTRES_NOTE not in trial.score().truth_is
    first = trial.examples[0]
    truth = {**first.truth, "cobb": replace(first.truth["cobb"], definition="centres")}
    trial.examples[0] = replace(first, truth=truth)
    record = trial.score()
    assert record.studies_from_centres == 1
    assert record.truth_is == f"1 of 5 studies {CENTRES_NOTE}"
