"""The benchmark of seeds: the data for the GPU machine, finished fits, and the sentence about gains."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks import seed_fits, seeds
from spine.dataset import Example, ExampleView, read_manifest
from spine.dataset_writing import write_manifest
from tests.validation.gates.records import build_record
from validation.gates.policy import DEFAULT_POLICY, read_policy


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two training, three validation and one test study."""
    folder, examples = tmp_path / "dataset", []
    (folder / "images").mkdir(parents=True)
    for k, split in enumerate(("train", "train", "validation", "validation", "validation", "test")):
        np.save(folder / f"images/{k}.npy", np.full((4, 2), k, dtype=np.uint16))
        view = ExampleView("frontal", f"images/{k}.npy", f"{k:064d}", (4, 2), None, "NONE", None, {})  # type: ignore[arg-type]
        examples.append(Example(f"s{k}", f"p{k}", split, "virtual", {"frontal": view}))  # type: ignore[arg-type]
    write_manifest(folder, "margins175", 0, examples)
    return folder


def test_no_test_image_is_packed(dataset: Path, tmp_path: Path) -> None:
    assert seed_fits.main(["pack", str(dataset), str(tmp_path / "it.tar.gz"), "--validation", "2"]) == 0
    with tarfile.open(tmp_path / "it.tar.gz") as archive:
        archive.extractall(tmp_path / "there", filter="data")
    there = read_manifest(tmp_path / "there")
    assert [e.split for e in there.examples()] == ["train", "validation", "validation"]
    assert sorted(p.name for p in (tmp_path / "there/images").iterdir()) == ["2.npy", "3.npy"]


def test_finished_seeds_are_not_fitted_again(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []

    def run(arguments: list[str], gpu: int, what: str) -> bool:
        calls.append(list(arguments))
        out = Path(arguments[arguments.index("--out") + 1])
        out.mkdir()
        (out / "fitted.json").write_text(json.dumps(what))
        (out / "checkpoints.pt").write_text("too large to pack")
        return what != "seed 3"

    monkeypatch.setattr(seed_fits, "_run", run)
    seed_fits.pack(dataset, tmp_path / "it.tar.gz")
    there = ["fit", "--dataset", str(tmp_path / "it.tar.gz"), "--out", str(tmp_path / "out"), "--epochs", "2"]
    assert seed_fits.main([*there, "--seeds", "1,2", "--", "--device", "cpu"]) == 0
    fitted = [a[a.index("--seed") + 1] for a in calls if "--seed" in a]
    assert (fitted, calls[1][:2], calls[1][-2:]) == (["1", "2"], ["--device", "cpu"], ["--epochs", "2"])
    with tarfile.open(tmp_path / "out/seed2.tar") as archive:
        assert archive.getnames() == ["fitted.json"]
        assert json.load(io.TextIOWrapper(archive.extractfile("fitted.json"))) == "seed 2"  # type: ignore[arg-type]
    calls.clear()
    assert seed_fits.main([*there, "--seeds", "1,2"]) == 0
    assert calls == [], "neither a fit nor a warm-up"
    assert seed_fits.main([*there, "--seeds", "1,2,3"]) == 1
    assert not (tmp_path / "out/seed3.tar").exists()


def test_gains_by_seed_are_counted_over_ordered_pairs() -> None:
    """Fits with errors of 1, 1 and 4 degrees: the first two are better than the third, and equal to each other."""
    fits = [build_record("challenger", str(k) * 64, noise=noise, seed=k) for k, noise in enumerate((1.0, 1.0, 4.0))]
    text = seeds.gains_by_seed(read_policy(DEFAULT_POLICY), fits)
    assert "Of 6 ordered pairs" in text
    assert text.endswith("better by more than chance in 2 with a required gain of 0, 2 with a required gain of 0.02.")
