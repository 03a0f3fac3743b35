"""Checks a dataset against its suites: rules of one row part by part, the other rules on the whole.

Contract: of each study only a record of about 5 kB stays in memory, and no landmark, row or image. A part is a few
shards, of up to ``PART`` examples. ``check_part`` is a task (``spine.work``): it depends on its shards only, writes
nothing, and returns counts and small records. The outcomes are the same for any division into parts and for any number
of workers.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spine.dataset import Example, Manifest, Shard, read_manifest
from spine.types import Progress
from spine.work import IN_THIS_PROCESS, Work
from validation.dataset.expectation_run import RuleOutcome, Tallies, added, outcomes_of, tallies_of
from validation.dataset.leakage import Duplicate, StudyImages, duplicates_of, images_of
from validation.dataset.second_reading import Reading
from validation.dataset.suites import Suite
from validation.dataset.tables import Member, joined, member_of, table_of_readings, tables_of_part, tables_of_whole

PART = 128
"""Great Expectations takes about a second for a part, however few rows the part has."""

WHOLE_COLUMNS = ("same_radiograph_in_other_split", "same_radiograph_in_split", "sibling_agreement")
"""Columns of the table ``studies`` that compare a study with the others."""


@dataclass(frozen=True)
class PartRecord:
    """What is kept of one part: the tallies of the rules of one row, and a record of each study."""

    tallies: Tallies
    members: tuple[Member, ...]
    images: tuple[StudyImages, ...]


@dataclass(frozen=True)
class Check:
    """The outcomes of all rules, and the duplicates."""

    outcomes: tuple[RuleOutcome, ...]
    duplicates: tuple[Duplicate, ...] = ()


def check_dataset(
    manifest: Manifest,
    suites: Sequence[Suite],
    readings: Sequence[Reading] = (),
    work: Work = IN_THIS_PROCESS,
    progress: Progress | None = None,
) -> Check:
    """Check all examples and images of a dataset.

    Args:
        progress: called with (studies checked, all studies).

    Raises:
        ContractViolation: ``MANIFEST_ALTERED``.
    """
    tallies: Tallies = {}
    members: list[Member] = []
    images: list[StudyImages] = []
    task = partial(check_part, manifest.folder, _suites_of_one_row(suites))
    for record in work.run(task, parts_of(manifest)):
        tallies = added(tallies, record.tallies)
        images += record.images
        for member in record.members:
            members.append(member)
            if progress is not None:
                progress(len(members), manifest.count())
    duplicates = duplicates_of(manifest.folder, images)
    tallies |= _tallies_of_whole(suites, members, duplicates) | _tallies_of_readings(suites, readings)
    return Check(tuple(outcomes_of(suites, tallies)), duplicates)


def check_labels(
    examples: Iterable[Example], suites: Sequence[Suite], readings: Sequence[Reading] = ()
) -> tuple[RuleOutcome, ...]:
    """The outcomes for examples that are at hand as a whole; their images are not read."""
    known = tuple(examples)
    tallies = tallies_of(_suites_of_one_row(suites), tables_of_part(known))
    tallies |= _tallies_of_whole(suites, [member_of(e) for e in known], ()) | _tallies_of_readings(suites, readings)
    return tuple(outcomes_of(suites, tallies))


def check_part(dataset: Path, suites: Sequence[Suite], shards: Sequence[Shard]) -> PartRecord:
    """Check the examples of some shards of a dataset's folder against rules of one row, and read their images."""
    manifest = read_manifest(dataset)
    tables, members, images = [], [], []
    for shard in shards:
        examples = manifest.shard_examples(shard)
        read = [images_of(dataset, example) for example in examples]
        tables.append(tables_of_part(examples, {r.study_id: r.damaged for r in read}))
        members += [member_of(example) for example in examples]
        images += read
    return PartRecord(tallies_of(suites, joined(tables)), tuple(members), tuple(images))


def parts_of(manifest: Manifest) -> Iterator[tuple[Shard, ...]]:
    """The shards in groups of up to ``PART`` examples."""
    part: list[Shard] = []
    for shard in manifest.shards:
        if part and sum(s.examples for s in part) + shard.examples > PART:
            yield tuple(part)
            part = []
        part.append(shard)
    if part:
        yield tuple(part)


def _suites_of_one_row(suites: Sequence[Suite]) -> tuple[Suite, ...]:
    return tuple(
        Suite(suite.table, tuple(r for r in suite.rules if not r.unique and r.column not in WHOLE_COLUMNS))
        for suite in suites
        if suite.table in ("studies", "landmarks", "levels")
    )


def _tallies_of_whole(suites: Sequence[Suite], members: Sequence[Member], duplicates: Iterable[Duplicate]) -> Tallies:
    chosen = [
        Suite(suite.table, tuple(r for r in suite.rules if r.unique or r.column in WHOLE_COLUMNS))
        if suite.table == "studies"
        else suite
        for suite in suites
        if suite.table in ("studies", "splits")
    ]
    return tallies_of(chosen, tables_of_whole(members, duplicates))


def _tallies_of_readings(suites: Sequence[Suite], readings: Sequence[Reading]) -> Tallies:
    chosen = [suite for suite in suites if suite.table == "readings"]
    found: Tallies = {}
    for start in range(0, len(readings) if chosen else 0, PART):
        found = added(found, tallies_of(chosen, {"readings": table_of_readings(readings[start : start + PART])}))
    return found
