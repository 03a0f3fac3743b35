"""The manifest of a dataset: shards, index and header."""

import json
from dataclasses import replace

import numpy as np
import pytest

from spine.dataset import SHARD_SIZE, Example, ExampleView, Split, Truth, read_manifest
from spine.dataset_writing import digest_of_test_split, write_header, write_manifest, write_shards
from spine.errors import ContractViolation
from spine.landmarks import GALBUSERA39

SPLITS_IN_TURN: tuple[Split, ...] = ("train", "test", "train", "validation")


def example(number: int, split: Split = "train") -> Example:
    points = {"T1_sup": np.array([number + 0.25, 3.5])}
    view = ExampleView("frontal", "images/0.npy", f"{number:064x}", (10, 8), (2.4, 2.3), "GEOMETRY", None, points)
    truth = {"cobb": Truth(12.5, "deg", definition="centres" if number == 1 else "margins")}
    facts = {"condition": "normal", "label_weight": 0.5 if number == 2 else 1.0}
    return Example(f"{number:016x}", f"p{number // 2}", split, "folder", {"frontal": view}, {}, truth, facts)


@pytest.fixture
def examples() -> list[Example]:
    """More than one shard of the train split."""
    return [example(n, SPLITS_IN_TURN[n % 4]) for n in range(2 * SHARD_SIZE + 10)]


def write(folder, examples):
    return write_manifest(folder, GALBUSERA39.name, 7, examples)


def test_what_is_read_is_what_was_written(tmp_path, examples):
    written = write(tmp_path, examples)
    manifest = read_manifest(tmp_path)
    assert manifest == written and manifest.split_seed == 7
    found = list(manifest.examples())
    assert [e.split for e in found] == sorted((e.split for e in examples), key=("train", "validation", "test").index)
    assert [e.study_id for e in manifest.in_split("train")] == [e.study_id for e in examples if e.split == "train"]
    by_id = {e.study_id: e for e in found}
    for original in examples:
        read = by_id[original.study_id]
        assert np.array_equal(read.views["frontal"].points["T1_sup"], original.views["frontal"].points["T1_sup"])
        assert read.truth == original.truth and read.facts == original.facts
        assert read.views["frontal"].shape == (10, 8)


def test_a_shard_has_at_most_so_many_examples_of_one_split(tmp_path, examples):
    manifest = write(tmp_path, examples)
    assert [(s.split, s.examples) for s in manifest.shards] == [
        ("train", 64), ("train", 5), ("validation", 34), ("test", 35),
    ]  # fmt: skip
    assert manifest.count() == len(examples) and manifest.count("train") == 69
    for shard in manifest.shards:
        read = manifest.shard_examples(shard)
        assert len(read) == shard.examples and {e.split for e in read} == {shard.split}


def test_the_index_has_every_example_in_the_order_of_the_shards(tmp_path, examples):
    manifest = write(tmp_path, examples)
    entries = list(manifest.index())
    assert [e.study_id for e in entries] == [e.study_id for e in manifest.examples()]
    assert [e.study_id for e in entries if e.from_centres] == [examples[1].study_id]
    assert [e.study_id for e in entries if e.label_weight < 1] == [examples[2].study_id]
    assert {(e.condition, e.source, e.views) for e in entries} == {("normal", "folder", ("frontal",))}
    assert all(e.study_id in {x.study_id for x in manifest.shard_examples(manifest.shards[e.shard])} for e in entries)


def test_the_digests_depend_on_content_only(tmp_path, examples):
    manifest = write(tmp_path / "a", examples)
    by_split = sorted(examples, key=lambda e: e.split)
    assert write(tmp_path / "b", by_split).digest == manifest.digest
    assert digest_of_test_split(GALBUSERA39.name, [e for e in by_split if e.split == "test"]) == manifest.test_digest
    changed = [replace(e, patient="other") if e.split == "train" else e for e in examples]
    other = write(tmp_path / "c", changed)
    assert other.digest != manifest.digest and other.test_digest == manifest.test_digest
    assert write_manifest(tmp_path / "d", "corners68", 7, examples).test_digest != manifest.test_digest


def test_only_the_shards_of_the_wanted_studies_are_read(tmp_path, examples):
    manifest = write(tmp_path, examples)
    wanted = {examples[1].study_id, examples[-1].study_id}
    for shard in manifest.shards[:2]:
        (tmp_path / shard.file).unlink()
    assert {e.study_id for e in manifest.select({examples[1].study_id})} == {examples[1].study_id}
    with pytest.raises(ContractViolation, match="MANIFEST_ALTERED"):
        list(manifest.select({*wanted, examples[0].study_id}))


@pytest.mark.parametrize("damage", [lambda path: path.write_text("{}\n"), lambda path: path.unlink()])
def test_a_damaged_or_missing_shard_is_named(tmp_path, examples, damage):
    manifest = write(tmp_path, examples)
    damage(tmp_path / manifest.shards[2].file)
    assert len(manifest.in_split("train")) == 69, "the other shards are intact"
    with pytest.raises(ContractViolation, match=f"MANIFEST_ALTERED.*{manifest.shards[2].sha256}"):
        list(manifest.examples())


@pytest.mark.parametrize(
    "change", [lambda r: r["shards"].pop(0), lambda r: r["shards"].pop(), lambda r: r.pop("schema")]
)
def test_an_edited_header_is_refused(tmp_path, examples, change):
    write(tmp_path, examples)
    record = json.loads((tmp_path / "manifest.json").read_text())
    change(record)
    (tmp_path / "manifest.json").write_text(json.dumps(record))
    with pytest.raises(ContractViolation, match="MANIFEST_ALTERED"):
        read_manifest(tmp_path)


def test_the_former_manifest_is_valid_until_the_header_is_written(tmp_path, examples):
    former = write(tmp_path, examples)
    new = write_shards(tmp_path, GALBUSERA39.name, 7, examples[:-1])
    assert len(list(read_manifest(tmp_path).examples())) == len(examples)
    write_header(new)
    assert read_manifest(tmp_path).count() == len(examples) - 1
    named = {shard.sha256 for shard in new.shards} | {new.index_sha256}
    assert {path.stem for path in (tmp_path / "shards").iterdir()} == named
    assert former.shards[0] == new.shards[0], "a shard whose examples stay the same keeps its file"


def test_a_writer_that_fails_leaves_no_half_shard(tmp_path, examples):
    def failing():
        yield from examples[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, failing())
    with pytest.raises(ValueError, match="expected their order"):
        write(tmp_path, [example(2), example(1)])
    assert not list((tmp_path / "shards").iterdir()) and not (tmp_path / "manifest.json").exists()


def test_a_dataset_without_examples_can_be_read(tmp_path):
    manifest = write(tmp_path, [])
    assert (manifest.count(), list(manifest.examples()), list(manifest.index())) == (0, [], [])
    assert read_manifest(tmp_path).digest == manifest.digest


def test_a_reader_of_a_dataset_that_is_built_again_meanwhile_is_told_so(tmp_path, examples):
    """A sensor or a command without the lock may read while a run writes."""
    former = write(tmp_path, examples)
    write(tmp_path, examples[:3])
    with pytest.raises(ContractViolation, match=r"DATASET_REPLACED.*run the same command again"):
        list(former.index())
