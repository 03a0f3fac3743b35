"""Exclusion of studies with errors from a dataset.

Contract: ``excluded.json`` lists every excluded study and the rules that the study breaks. ``build.json`` counts these
studies as left out. Later builds leave these studies out too.

The first exclusion may remove studies from the test set, because no model was evaluated on it yet. The first
exclusion settles the test set: a later removal requires a new test version. Each change gives the test set a new
version and a new digest.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from spine.dataset import Manifest, read_manifest
from spine.dataset_writing import write_header, write_shards
from validation.dataset.build import build_record, read_build_record, write_build_record
from validation.dataset.frozen_test_set import (
    EXCLUDED_FILE,
    freeze,
    read_excluded,
    read_frozen,
    write_excluded,
    write_frozen,
)
from validation.dataset.results import Finding
from validation.dataset.selection import EXCLUDED


def readmit(dataset: Path, accepted: Collection[str]) -> None:
    """Remove studies that a person accepted from ``excluded.json``. The next screening checks their other rules."""
    excluded = read_excluded(dataset)
    kept = {study: rules for study, rules in excluded.items() if study not in accepted}
    if kept != excluded:
        write_excluded(kept, dataset)


def exclude_studies(dataset: Path, findings: Sequence[Finding], *, new_test_version: bool = False) -> Manifest:
    """Exclude every study with an error among ``findings``, and rewrite the dataset's records.

    A second call with the same findings changes nothing. A call without findings only settles the test set.

    Raises:
        ContractViolation: ``TEST_SET_CHANGED``: a study of a settled test set would be removed;
            ``MANIFEST_ALTERED``.
    """
    settled = (dataset / EXCLUDED_FILE).exists()
    rules: dict[str, set[str]] = defaultdict(set)
    for finding in findings:
        if finding.severity == "error":
            rules[finding.study_id].add(finding.rule)
    manifest = read_manifest(dataset)
    gone = [entry.study_id for entry in manifest.index() if entry.study_id in rules]
    remaining = (e for e in manifest.examples() if e.study_id not in rules)
    kept = write_shards(dataset, manifest.landmark_set, manifest.split_seed, remaining) if gone else manifest
    new_version = new_test_version or not settled
    frozen = freeze(kept, read_frozen(dataset), new_version=new_version, reason="bad studies excluded")
    write_frozen(frozen, dataset)  # before excluded.json, which settles the test set: a killed run can be repeated
    write_excluded(read_excluded(dataset) | {study: tuple(rules[study]) for study in gone}, dataset)
    left_out = {**read_build_record(dataset).left_out, **dict.fromkeys(gone, EXCLUDED)}
    write_build_record(build_record(kept, left_out, frozen.version), dataset)
    if gone:
        write_header(kept)
    return kept
