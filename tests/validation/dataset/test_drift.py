"""Drift: equal populations are stable, changed ones are found, and few studies prove nothing."""

from dataclasses import replace

import numpy as np
import pytest

from spine.study import Study
from tests.validation.dataset.constructed_datasets import add_study
from validation.dataset.drift import DriftLimits, compare_populations, read_drift, write_drift
from validation.dataset.drift_page import write_drift_page
from validation.dataset.population import StudyFeatures, features_of, image_numbers

LIMITS = DriftLimits()


def population(count, seed, *, age=40.0, maker="A", width=1.0, features=30):
    random = np.random.default_rng(seed)
    return [
        StudyFeatures(
            f"{seed}-{i}",
            {"maker": maker if random.random() < 0.9 else "other", "sex": str(random.choice(["F", "M"]))},
            {"age": random.normal(age, 10), "width": random.normal(width, 0.2)}
            | {f"noise {n}": random.normal() for n in range(features)},
        )
        for i in range(count)
    ]


def test_equal_populations_are_stable():
    report = compare_populations(population(200, 1), population(40, 2), LIMITS)
    assert report.outcome == "stable"
    assert len(report.features) == 34
    assert report.drifted == ()


@pytest.mark.parametrize(
    ("change", "named"), [({"age": 75.0}, "age"), ({"maker": "B"}, "maker"), ({"width": 1.8}, "width")]
)
def test_a_changed_feature_is_found_and_no_other(change, named):
    report = compare_populations(population(200, 1), population(30, 2, **change), LIMITS)
    assert (report.outcome, report.drifted) == ("drifted", (named,))
    assert report.features[0].name == named
    assert report.features[0].distance > 0.6


def test_false_alarms_among_equal_populations_are_rare():
    """60 comparisons of 34 features: without the adjustment about 20 features would be alarms at p <= 0.01."""
    sensitive = DriftLimits(distance=0.0)
    alarms = [compare_populations(population(80, n), population(40, 1000 + n), sensitive).outcome for n in range(60)]
    assert alarms.count("drifted") <= 3


def test_a_small_difference_in_a_large_sample_is_no_drift():
    report = compare_populations(population(3000, 1), population(3000, 2, age=42.0), LIMITS)
    age = next(f for f in report.features if f.name == "age")
    assert age.adjusted < 0.01 and age.distance < LIMITS.distance
    assert report.outcome == "stable"


@pytest.mark.parametrize(("old", "new"), [(100, 9), (9, 100), (0, 30), (30, 0)])
def test_few_studies_are_no_evidence_of_stability(old, new):
    assert compare_populations(population(old, 1), population(new, 2, age=90.0), LIMITS).outcome == "too few studies"


def test_the_record_returns_as_it_was_and_the_page_names_the_features(tmp_path):
    report = compare_populations(population(60, 1), population(30, 2, maker="<b>B</b>"), LIMITS)
    write_drift(report, tmp_path / "drift.json")
    assert read_drift(tmp_path / "drift.json") == report
    assert read_drift(tmp_path / "none.json") is None
    write_drift_page(report, LIMITS, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "1 of 34 features have drifted" in page and "&lt;b&gt;B" in page and "<b>B" not in page


def test_the_features_of_a_study_name_scanner_image_and_spine(tmp_path):
    study = add_study(tmp_path, 1)
    study = replace(study, facts={"sex": "F", "age_years": 61, "seed": 5})
    images = {name: np.load(tmp_path / study.study_id / view.image) for name, view in study.views.items()}
    features = features_of(study, images)
    assert features.categories["sex"] == "F"
    assert features.categories["views"] == "frontal and lateral"
    assert features.numbers["age (years)"] == 61
    assert features.numbers["frontal spacing (mm)"] == 4.0
    assert features.numbers["lateral height (mm)"] == 760.0
    assert features.numbers["pelvic_tilt (deg)"] == pytest.approx(13.0)
    assert not {name for name in (*features.categories, *features.numbers) if "seed" in name}


def test_a_study_without_images_has_features_of_its_spine_only():
    assert features_of(Study("a", "p", "test", {}), {}).numbers == {}


def test_image_statistics_do_not_depend_on_the_resolution_of_the_sampling():
    random = np.random.default_rng(0)
    image = np.kron(random.integers(0, 4096, (64, 32)), np.ones((4, 4))).astype(np.uint16)
    small, large = image_numbers(image), image_numbers(np.kron(image, np.ones((4, 4))).astype(np.uint16))
    for name in ("median grey", "dark grey (5 %)", "bright grey (95 %)", "width to height"):
        assert small[name] == pytest.approx(large[name], abs=0.02)
