"""Outputs and landmarks, warm starts from another landmark set, and process groups."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inference.bundled import BUNDLED
from inference.contract import ModelContract, write_contract
from spine.errors import ParametersRejected
from spine.landmarks import CORNERS68, GALBUSERA39, MARGINS175, VIEWS
from training.config import TrainingConfig
from training.data.dataset import Sample
from training.export.candidate import read_summary
from training.fitting.lightning_module import margin_pairs
from training.model.checkpoints import load_weights, save_weights
from training.model.networks import ServedNetwork, build_network
from training.model.output_map import output_map_of, to_outputs
from training.model.warm_start import load_warm_start
from training.process_group import ProcessGroup, process_group_of

CONFIG = TrainingConfig(epochs=1, landmark_set="margins175", input_shape=(128, 64), width=0.25)
OUTPUT_MAP = output_map_of("margins175", MARGINS175.names, VIEWS)


def test_a_landmark_has_a_map_in_the_views_it_is_looked_for_in():
    assert OUTPUT_MAP.count == 39 + 68
    assert not OUTPUT_MAP.is_identity
    for view, row in zip(VIEWS, OUTPUT_MAP.landmark, strict=True):
        assert tuple(MARGINS175.names[k] for k in row) == MARGINS175.names_in(view)
    assert output_map_of("galbusera39", GALBUSERA39.names, VIEWS).is_identity


def test_labels_map_to_outputs_and_back():
    view = torch.tensor([1, 0, 1])
    marked = torch.arange(175.0).expand(3, 175)
    sample = Sample(
        pixels=torch.zeros(3, 1, 4, 2),
        view=view,
        target=torch.stack([marked, -marked], dim=-1),
        present=torch.ones(3, 175, dtype=torch.bool),
        unit_per_px=torch.ones(3),
        weight=torch.ones(3),
    )
    labels = to_outputs(sample, OUTPUT_MAP.table(view.device))
    assert labels.target.shape == (3, 107, 2)
    for image, v in enumerate(view.tolist()):
        assert labels.target[image, :, 0].tolist() == list(OUTPUT_MAP.landmark[v])
        landmarks = OUTPUT_MAP.to_landmarks(labels.target[:, :, 0], view, -7.0)[image]
        for k, name in enumerate(MARGINS175.names):
            assert landmarks[k] == (k if name in MARGINS175.names_in(VIEWS[v]) else -7.0)


def test_a_landmark_without_an_output_is_flat_and_never_visible():
    network = ServedNetwork(build_network(CONFIG, VIEWS), OUTPUT_MAP).eval()
    with torch.no_grad():
        maps, visibility = network(torch.rand(2, 1, 128, 64), torch.tensor([0, 1]))
    front, left = (MARGINS175.names.index(n) for n in ("T4_sup_ant", "T4_sup_left"))
    assert maps.shape == (2, 175, 16, 8)
    assert torch.allclose(maps.sum((2, 3)), torch.ones(2, 175), atol=1e-5)
    assert visibility[0, front] < -20 < visibility[0, left]
    assert visibility[1, left] < -20 < visibility[1, front]
    assert maps[0, front].std() == 0 < maps[0, left].std()


def test_networks_side_by_side_are_independent():
    """The networks of the paper: the weights of one change nothing in another."""
    config = replace(CONFIG, preset="galbusera2019", landmark_set="galbusera39", landmark_subset=("HIP_L", "S1_ant"))
    network = build_network(config, VIEWS).eval()
    image, view = torch.rand(2, 1, 128, 64), torch.tensor([0, 1])
    with torch.no_grad():
        before = network(image, view)
        for name, weights in network.named_parameters():
            if "networks.0" in name:
                half = len(weights) // 2
                weights[half:] += 0.3  # the second landmark's, in the first view
        after = network(image, view)
    assert torch.equal(before[0][0, 0], after[0][0, 0])
    assert not torch.equal(before[0][0, 1], after[0][0, 1])
    assert torch.equal(before[0][1], after[0][1])


def test_in_training_each_image_passes_its_own_view_alone():
    config = replace(CONFIG, preset="galbusera2019", landmark_set="galbusera39", landmark_subset=("HIP_L",))
    network = build_network(config, VIEWS)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    image, view = torch.rand(5, 1, 128, 64), torch.tensor([1, 0, 0, 1, 0])
    with torch.no_grad():
        apart = network(image, view)
        network.eval()
        whole = network(image, view)
    assert all(torch.allclose(a, w, atol=1e-5) for a, w in zip(apart, whole, strict=True))


def test_plates_have_their_two_margins_as_a_pair():
    starts, ends = margin_pairs(OUTPUT_MAP, MARGINS175.names).tolist()
    named = [
        {(MARGINS175.names[row[a]], MARGINS175.names[row[b]]) for a, b in zip(starts, ends, strict=True)}
        for row in OUTPUT_MAP.landmark
    ]
    assert len(starts) == 35
    assert ("L3_sup_right", "L3_sup_left") in named[0]
    assert ("L3_sup_post", "L3_sup_ant") in named[1]
    assert ("S1_post", "S1_ant") in named[0] & named[1]


def _model_folder(folder: Path) -> dict[str, torch.Tensor]:
    save_weights(build_network(CONFIG, VIEWS).state_dict(), folder)
    write_contract(ModelContract("margins175", MARGINS175.names, VIEWS, (128, 64), 8), folder)
    return {name: value.float() for name, value in load_weights(folder).items()}  # kernels as they were stored


def test_a_warm_start_from_another_landmark_set_takes_the_common_heads(tmp_path):
    theirs = _model_folder(tmp_path)
    config = replace(CONFIG, landmark_set="corners68")
    output_map, network = output_map_of("corners68", CORNERS68.names, ("frontal",)), build_network(config, ("frontal",))
    assert load_warm_start(network, output_map, CORNERS68.names, tmp_path) == 68
    ours = network.state_dict()
    assert torch.equal(ours["trunk.stem.1.0.weight"], theirs["trunk.stem.1.0.weight"])
    there = OUTPUT_MAP.landmark[0].index(MARGINS175.names.index("L2_inf_left"))
    here = CORNERS68.names.index("L2_inf_left")
    for head in ("trunk.heads.0.weight", "trunk.heads.2.bias", "trunk.seen.weight"):
        assert torch.equal(ours[head][here], theirs[head][there])


def test_the_bundled_model_is_a_warm_start_for_frontal_corners():
    config = replace(CONFIG, landmark_set="corners68", input_shape=(512, 256), heatmap_stride=4, width=1.0)
    output_map, network = output_map_of("corners68", CORNERS68.names, ("frontal",)), build_network(config, ("frontal",))
    assert load_warm_start(network, output_map, CORNERS68.names, BUNDLED) == 68


def test_a_warm_start_of_another_width_is_refused(tmp_path):
    _model_folder(tmp_path)
    network = build_network(replace(CONFIG, width=0.5), VIEWS)
    with pytest.raises(ParametersRejected, match="WARM_START_DIFFERS"):
        load_warm_start(network, OUTPUT_MAP, MARGINS175.names, tmp_path)


def test_a_process_group_of_another_size_than_the_devices_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert process_group_of(2) == ProcessGroup(1, 2)
    assert not process_group_of(2).is_leader
    with pytest.raises(ParametersRejected, match=r"PROCESS_GROUP_DIFFERS.*2 processes for 1 device"):
        process_group_of(1)
    monkeypatch.delenv("WORLD_SIZE")
    with pytest.raises(ParametersRejected, match=r"--nproc-per-node 3"):
        process_group_of(3)


@pytest.mark.slow
def test_two_processes_fit_one_network(drawn, tmp_path):
    """Started by torchrun: one journal, one candidate, both processes' images counted, and 0 at the end."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "training"]
    command += ["--dataset", str(drawn[0]), "--out", str(tmp_path / "out"), "--epochs", "2", "--devices", "2"]
    command += ["--input-shape", "128x64", "--batch-size", "4", "--width", "0.25", "--device", "cpu", "--quiet"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    summary = read_summary(tmp_path / "out")
    assert summary.epochs == 2
    assert summary.steps == 6  # 24 images, two processes, batches of four
    assert done.stderr.count("validation landmark error") == 1
    assert len(load_weights(tmp_path / "out")) > 0
    steps = [json.loads(line).get("step") for line in (tmp_path / "out" / "journal.jsonl").read_text().splitlines()]
    assert [s for s in steps if s is not None] == [3, 6]
