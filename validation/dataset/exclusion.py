"""Excluding bad studies from a data set: counted, listed, remembered.

Contract: nothing is lost silently: ``excluded.json`` names every excluded study and the rules it broke, ``build.json``
counts them among the studies left out, and later builds leave them out too.

The test set may lose a bad study once, before it is settled by the first exclusion run, because nothing has been
measured on it; afterwards that takes a new test version. Either way its version and digest change openly.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spine.dataset import Manifest, read_manifest, write_manifest
from validation.dataset.build import read_build_record, write_build_record
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


def exclude_studies(dataset: Path, findings: Sequence[Finding], *, new_test_version: bool = False) -> Manifest:
    """Exclude every study with an error among ``findings`` and write the data set's records anew.

    A second call with the same findings changes nothing. Call it with no findings too: it settles the test set.

    Raises:
        ContractViolation: ``TEST_SET_CHANGED``, a member of a settled test set would go; ``MANIFEST_ALTERED``.
    """
    settled = (dataset / EXCLUDED_FILE).exists()
    rules: dict[str, set[str]] = defaultdict(set)
    for finding in findings:
        if finding.severity == "error":
            rules[finding.study_id].add(finding.rule)
    manifest = read_manifest(dataset)
    kept = replace(manifest, examples=tuple(e for e in manifest.examples if e.study_id not in rules))
    gone = [e.study_id for e in manifest.examples if e.study_id in rules]
    frozen = freeze(
        kept, read_frozen(dataset), new_version=new_test_version or not settled, reason="bad studies excluded"
    )
    write_frozen(frozen, dataset)  # before the list that settles it: a run killed in between is simply run again
    write_excluded(read_excluded(dataset) | {study: tuple(rules[study]) for study in gone}, dataset)
    _count(kept, gone, frozen.version, dataset)
    if gone:
        write_manifest(kept, dataset)
    return kept


def _count(kept: Manifest, gone: Sequence[str], test_version: int, dataset: Path) -> None:
    record = read_build_record(dataset)
    per_split: Counter[str] = Counter(example.split for example in kept.examples)
    left_out = {**record.left_out, **dict.fromkeys(gone, EXCLUDED)}
    changed = replace(
        record, used=len(kept.examples), left_out=left_out, per_split=dict(per_split), test_version=test_version
    )
    write_build_record(changed, dataset)
