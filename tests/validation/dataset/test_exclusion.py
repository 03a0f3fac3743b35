import pytest

from spine.dataset import read_manifest
from spine.errors import ContractViolation
from tests.validation.dataset.constructed_datasets import RADIOGRAPHS, add_radiograph, radiograph_labels
from validation.dataset.build import read_build_record
from validation.dataset.exclusion import exclude_studies
from validation.dataset.frozen_test_set import read_excluded, read_frozen
from validation.dataset.results import Finding


def finding(study, severity="error"):
    return Finding(study, "some_rule", "a message", severity)


@pytest.mark.slow
def test_a_radiograph_with_errors_stays_excluded(radiographs, workspace, validated):
    labels = radiograph_labels(10.0, 0.9)
    add_radiograph(workspace / "store", 12, labels=labels | {"T5_sup_left": labels["T5_inf_right"]})
    dataset = workspace / "dataset"
    radiographs(11, test_patients=4)
    result = validated(RADIOGRAPHS)
    assert result.success
    assert result.to_exclude == (f"{12:016x}",)
    kept = exclude_studies(dataset, result.findings)
    assert f"{12:016x}" not in {e.study_id for e in kept.examples()}
    assert read_manifest(dataset).digest == kept.digest
    record = read_build_record(dataset)
    assert record.left_out == {f"{12:016x}": "EXCLUDED_BY_VALIDATION"}
    assert record.studies == record.used + len(record.left_out) == 12
    assert "corner_order" in read_excluded(dataset)[f"{12:016x}"]
    again = validated(RADIOGRAPHS)
    assert again.success
    assert again.counts["bad_studies"] == 0
    # an idempotent end state: neither another exclusion nor another build changes it
    assert exclude_studies(dataset, again.findings).digest == kept.digest
    assert radiographs(0, test_patients=4).digest == kept.digest
    assert read_build_record(dataset) == record


def test_the_first_exclusion_may_change_the_test_set_and_later_ones_may_not(radiographs, workspace):
    dataset = workspace / "dataset"
    first, second, third, *_ = (e.study_id for e in radiographs(12, test_patients=4).in_split("test"))
    exclude_studies(dataset, [finding(first)])
    frozen = read_frozen(dataset)
    assert frozen.version == 2
    assert frozen.history[-1].reason == "bad studies excluded"
    assert set(frozen.members) == {e.study_id for e in read_manifest(dataset).in_split("test")}
    before = {p.name: p.read_bytes() for p in dataset.glob("*.json")}
    with pytest.raises(ContractViolation, match="TEST_SET_CHANGED"):
        exclude_studies(dataset, [finding(second)])
    assert {p.name: p.read_bytes() for p in dataset.glob("*.json")} == before
    exclude_studies(dataset, [finding(second)], new_test_version=True)
    assert read_frozen(dataset).version == 3
    exclude_studies(dataset, [finding(third, "warning")])
    assert third in {e.study_id for e in read_manifest(dataset).examples()}


def test_excluding_nothing_settles_the_test_set(radiographs, workspace):
    dataset = workspace / "dataset"
    manifest = radiographs(9, test_patients=3)
    assert exclude_studies(dataset, []).digest == manifest.digest
    assert read_frozen(dataset).version == 1
    with pytest.raises(ContractViolation, match="TEST_SET_CHANGED"):
        exclude_studies(dataset, [finding(manifest.in_split("test")[0].study_id)])
