"""The training parameters: one schema, its options on the command line, its stages, and the shipped recipes."""

import json
from dataclasses import asdict, fields, replace

import pytest

from spine.dataset_writing import write_manifest
from spine.errors import ParametersRejected
from training.__main__ import config_of, main, parser
from training.config import (
    Augmentation,
    NextStage,
    TrainingConfig,
    TrainingParameters,
    config_from_json,
    config_to_json,
)
from training.fields import help_of, merged
from training.recipe import read_recipes, shipped_recipes


@pytest.fixture
def asked(tmp_path):
    """The config that options ask for, on an empty data set of the landmarks ``margins175``."""
    write_manifest(tmp_path, "margins175", 1, ())

    def call(*options: str) -> TrainingConfig:
        return config_of(parser().parse_args(["--dataset", str(tmp_path), "--out", "x", *options]), {})

    return call


def test_every_parameter_is_an_option_with_its_description_bounds_and_default():
    options = {o.removeprefix("--").replace("-", "_"): a for a in parser()._actions for o in a.option_strings}
    for field in fields(TrainingParameters):
        assert options[field.name].help == help_of(field)
        assert field.metadata["description"] in help_of(field)
    assert "at least 1; default: 8" in str(options["batch_size"].help)
    assert options["preset"].choices == ("shared", "galbusera2019")
    assert options["heatmap_stride"].choices == (4, 8)


def test_options_of_every_type_reach_the_fit(asked):
    config = asked(
        "--preset=galbusera2019", "--landmark-subset=T4_sup,HIP_L", "--input-shape=128x64", "--heatmap-stride=4",
        "--minutes=3", "--no-deterministic", "--augmentation=rotation_deg=6,scale=0.15", "--augmentation=scale=0.2",
        "--next-stages=epochs=4", "--next-stages=minutes=2.5,learning_rate=1e-4", "--init-from=bundled",
    )  # fmt: skip
    assert config == TrainingConfig(
        preset="galbusera2019", landmark_subset=("T4_sup", "HIP_L"), input_shape=(128, 64), heatmap_stride=4,
        minutes=3.0, deterministic=False, augmentation=Augmentation(rotation_deg=6.0, scale=0.2),
        next_stages=(NextStage(epochs=4), NextStage(minutes=2.5, learning_rate=1e-4)), init_from="bundled",
        landmark_set="margins175",
    )  # fmt: skip
    assert isinstance(config.minutes, float)  # as params.yaml reads it, or the same fit would have two records


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--input-shape=12y", "expected ROWSxCOLUMNS such as 512x256"),
        ("--augmentation=scale", "expected NAME=NUMBER such as rotation_deg=6"),
        ("--augmentation=scale=much", "expected NAME=NUMBER such as rotation_deg=6"),
        ("--preset=magic", "invalid choice"),
        ("--epochs=many", "invalid int value"),
        ("--augment=scale=1", "unrecognized arguments"),
    ],
)
def test_an_option_that_cannot_be_read_is_a_usage_error(asked, capsys, option, reason):
    with pytest.raises(SystemExit) as stopped:
        asked(option)
    assert stopped.value.code == 2
    assert reason in capsys.readouterr().err


def test_all_violations_are_named_at_once_with_what_is_possible():
    with pytest.raises(ParametersRejected) as refused:
        TrainingConfig(
            epochs=0,
            width="wide",
            augmentation=Augmentation(mirror=2.0),
            next_stages=(NextStage(minutes=-1.0),),
        )
    assert refused.value.found == (
        "epochs 0, not a whole number at least 1, or none; width 'wide', not a number at least 0.125 and at most 8; "
        "augmentation.mirror 2.0, not a number at least 0 and at most 1; "
        "next_stages.minutes -1.0, not a number more than 0, or none"
    )
    with pytest.raises(ParametersRejected, match=r"augmentation\.tilt, learning_rte, next_stages\.minuts"):
        config_from_json({"learning_rte": 1, "augmentation": {"tilt": 1}, "next_stages": [{"minuts": 1}]})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"epochs": None}, "no budget"),
        ({"epochs": 0}, "epochs 0"),
        ({"minutes": float("nan")}, "minutes nan"),
        ({"input_shape": (100, 64)}, "multiples of 64"),
        ({"landmark_set": "none"}, "landmark_set 'none'"),
        ({"landmark_subset": ("T99_sup",)}, "T99_sup"),
        ({"learning_rate": 0.0}, "learning_rate 0.0, not a number more than 0 and less than 1"),
        ({"workers": -1}, "workers -1"),
        ({"precision": "8"}, "precision '8', not one of auto, 32, bf16-mixed"),
        ({"virtual_pairs": 100}, "virtual_pairs 100, not a multiple of 32 x reuse x devices = 256"),
        ({"virtual_frontals": 100}, "virtual_frontals 100, not a multiple of 32 x reuse x devices = 256"),
        ({"virtual_frontals": 256}, "virtual_frontals 256 without virtual_pairs or preload"),
        ({"virtual_pairs": 256, "batch_size": 257}, "virtual_pairs 256, fewer than batch_size 257"),
        ({"severe_share": 0.5}, "severe_share 0.5 without virtual_frontals"),
        ({"severe_share": 1.5}, "severe_share 1.5, not a number at least 0 and at most 1"),
        ({"virtual_pairs": 256, "severe_repeats": 2}, "severe_repeats 2 without the train split"),
        (
            {"virtual_pairs": 256, "preload": True, "calibration_splits": ("train",)},
            "the split that the model learns from",
        ),
        (
            {"augmentation": Augmentation(cut=0.5)},
            "augmentation.cut or augmentation.shading without preload or virtual_pairs",
        ),
        ({"reuse": -1}, "reuse -1"),
        ({"devices": 0}, "devices 0"),
        ({"calibration_splits": ("train", "validation")}, "the split that the model learns from"),
        ({"calibration_splits": ()}, "without a split"),
        ({"calibration_splits": ("test",)}, "each one of train, validation"),
        ({"input_shape": (128, 64, 64)}, "not 2 values, each a whole number"),
    ],
)
def test_invalid_configs_are_refused(changes, reason):
    with pytest.raises(ParametersRejected, match=reason):
        TrainingConfig(**{"epochs": 1, **changes})


def test_a_config_is_read_back_from_json():
    config = TrainingConfig(minutes=2.0, input_shape=(128, 64), next_stages=(NextStage(epochs=4),))
    assert config_from_json(json.loads(json.dumps(config_to_json(config)))) == config
    assert replace(config, seed=3) != config


@pytest.mark.parametrize(
    ("options", "reason"),
    [([], "no budget"), (["--epochs", "1", "--augmentation", "turn=6"], "unknown parameters augmentation.turn")],
)
def test_the_command_line_names_invalid_parameters_and_writes_nothing(tmp_path, capsys, options, reason):
    write_manifest(tmp_path, "margins175", 1, ())
    assert main(["--dataset", str(tmp_path), "--out", str(tmp_path / "out"), *options]) == ParametersRejected.exit_code
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_stage_keeps_what_it_does_not_change_and_takes_the_next_seed():
    asked = TrainingConfig(
        minutes=17.4, learning_rate=2e-3, seed=7, next_stages=(NextStage(learning_rate=1e-3), NextStage(epochs=4))
    )
    first, second, third = asked.stages
    assert first == replace(asked, next_stages=())
    assert second == replace(first, learning_rate=1e-3, seed=8)
    assert third == replace(second, minutes=None, epochs=4, seed=9)  # a budget in epochs is not one in minutes too


def test_merging_goes_into_mappings_and_replaces_lists():
    before = {"a": {"x": 1, "y": 2}, "b": [1, 2], "c": None}
    assert merged(before, {"a": {"y": 3}, "b": [4], "c": {"z": 5}}) == {"a": {"x": 1, "y": 3}, "b": [4], "c": {"z": 5}}
    assert before["a"] == {"x": 1, "y": 2}


def test_the_bundled_recipe_asks_for_what_its_model_was_made_with(asked):
    config = asked("--recipe", "bundled")
    assert (config.virtual_pairs, config.virtual_frontals, config.reuse, config.devices) == (8192, 2048, 8, 2)
    assert [(s.minutes, s.learning_rate, s.seed) for s in config.stages] == [(17.4, 2e-3, 1), (8.5, 1e-3, 2)]
    assert asdict(config.augmentation) == asdict(Augmentation(rotation_deg=6.0, scale=0.15))
    assert config.landmark_set == "margins175"
    small = asked("--recipe", "bundled", "--recipe", "miniature", "--seed", "5", "--minutes", "none", "--epochs", "3")
    assert (small.virtual_pairs, small.devices, small.heatmap_stride) == (32, 1, 4)
    assert (small.minutes, small.epochs, small.seed) == (None, 3, 5)
    assert len(small.stages) == len(config.stages)


def test_a_recipe_that_is_none_is_refused_with_the_names_of_those_there_are(tmp_path, asked):
    assert set(shipped_recipes()) == {"any_field", "bundled", "miniature", "mostly_whole"}
    with pytest.raises(ParametersRejected, match=r"RECIPE_UNKNOWN.*any_field, bundled, miniature, mostly_whole"):
        read_recipes(["bundeld"])
    for text in ("training = [", "minutes = 3"):
        (tmp_path / "own.toml").write_text(text)
        with pytest.raises(ParametersRejected, match="RECIPE_INVALID"):
            read_recipes([str(tmp_path / "own.toml")])
    (tmp_path / "own.toml").write_text("[training]\nminuts = 3")
    with pytest.raises(ParametersRejected, match="unknown parameters minuts"):
        asked("--recipe", str(tmp_path / "own.toml"))
