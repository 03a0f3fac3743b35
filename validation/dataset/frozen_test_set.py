"""The frozen test set and the list of excluded studies: two files that stay in the dataset folder from build to build.

Contract:

    frozen_test.json   version, digest and studies of the test set; the studies of a version never change
    excluded.json      studies with errors, and the rules that they break; a build leaves these studies out

A tool that empties the dataset folder before a run (DVC) must keep these two files.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from spine.dataset import Manifest
from spine.errors import ContractViolation
from spine.storage import write_text_atomically

FROZEN_FILE = "frozen_test.json"
EXCLUDED_FILE = "excluded.json"


@dataclass(frozen=True)
class TestVersion:
    """One version of the test set: its number, digest, number of studies, and the reason for this version."""

    __test__ = False

    version: int
    digest: str
    studies: int
    reason: str


@dataclass(frozen=True)
class FrozenTest:
    """The test set in use.

    Attributes:
        version: number of this version, from 1. Results on different versions are not comparable.
        digest: ``Manifest.test_digest`` of this version.
        members: study id -> patient key.
        history: every version of the test set; the last entry is the current version.
    """

    version: int
    digest: str
    members: Mapping[str, str]
    history: tuple[TestVersion, ...] = field(default_factory=tuple)


def read_frozen(folder: Path) -> FrozenTest | None:
    """The frozen test set of a dataset folder; None before the first build."""
    path = folder / FROZEN_FILE
    if not path.exists():
        return None
    record = json.loads(path.read_text())
    history = tuple(TestVersion(**entry) for entry in record["history"])
    return FrozenTest(record["version"], record["digest"], record["members"], history)


def write_frozen(frozen: FrozenTest, folder: Path) -> None:
    """Write ``frozen_test.json`` atomically."""
    record = {"schema": "plumbline.frozen_test/1", **asdict(frozen)}
    write_text_atomically(folder / FROZEN_FILE, json.dumps(record, indent=1, sort_keys=True))


def freeze(manifest: Manifest, previous: FrozenTest | None, *, new_version: bool, reason: str) -> FrozenTest:
    """The frozen test set of ``manifest``, or ``previous`` if the test set is unchanged.

    Raises:
        ContractViolation: ``TEST_SET_CHANGED``: the test set differs and no new version is requested.
    """
    if previous is not None and previous.digest == manifest.test_digest:
        return previous
    if previous is not None and not new_version:
        raise ContractViolation.gathered(
            "TEST_SET_CHANGED",
            _differences(manifest, previous),
            expected=f"the frozen test set, version {previous.version}, digest {previous.digest[:12]}",
            remedy="restore the studies and labels of that version, or request a new test version "
            "(new_test_version: true) and evaluate the champion on the new version",
        )
    members = {entry.study_id: entry.patient for entry in manifest.index() if entry.split == "test"}
    version = previous.version + 1 if previous else 1
    entry = TestVersion(version, manifest.test_digest, len(members), reason)
    return FrozenTest(version, manifest.test_digest, members, (*(previous.history if previous else ()), entry))


def _differences(manifest: Manifest, previous: FrozenTest) -> list[str]:
    now = {entry.study_id for entry in manifest.index() if entry.split == "test"}
    gone = [f"study {study} is missing" for study in sorted(set(previous.members) - now)]
    new = [f"study {study} is new" for study in sorted(now - set(previous.members))]
    return gone + new or ["the same studies, but another image, label, reference value or landmark set"]


def read_excluded(folder: Path) -> dict[str, tuple[str, ...]]:
    """Study id -> rules that the study breaks, for every excluded study."""
    path = folder / EXCLUDED_FILE
    if not path.exists():
        return {}
    record = json.loads(path.read_text())
    return {study: tuple(rules) for study, rules in record["studies"].items()}


def write_excluded(excluded: Mapping[str, tuple[str, ...]], folder: Path) -> None:
    """Write ``excluded.json`` atomically."""
    studies = {study: sorted(rules) for study, rules in excluded.items()}
    record = {"schema": "plumbline.excluded/1", "studies": studies}
    write_text_atomically(folder / EXCLUDED_FILE, json.dumps(record, indent=1, sort_keys=True))
