"""params.yaml is read strictly, and the committed files equal those that the code writes."""

from pathlib import Path

import pytest
import yaml

from orchestration.pipeline.params import FORMAT, Params, change_params, parse_params, read_params, write_params
from orchestration.pipeline.stages import STAGE_NAMES, dvc_yaml, stages_for
from spine.errors import ParametersRejected

ROOT = Path(__file__).parents[3]


def test_all_violations_are_named_at_once():
    with pytest.raises(ParametersRejected) as rejected:
        parse_params({"cohort": {"count": -3}, "training": {"preset": "magic"}, "sourc": {}})
    message = str(rejected.value)
    assert all(word in message for word in ("cohort.count", "training.preset", "sourc"))
    assert rejected.value.exit_code == 2


@pytest.mark.parametrize(
    ("training", "reason"),
    [
        ({"minutes": -2}, "training.minutes: Input should be greater than 0 (got -2)"),
        ({"minutes": 1, "augmentation": {"tilt": 1}}, "training.augmentation.tilt: Unexpected keyword argument"),
        ({"minutes": 1, "next_stages": [{"epochs": 0}]}, "training.next_stages.0.epochs: Input should be greater"),
        ({"learning_rate": 0.1}, "training: no budget: give minutes or epochs;"),
        ({"minutes": 1, "virtual_frontals": 256}, "training: virtual_frontals 256 without virtual_pairs or preload;"),
        ({"minutes": 1, "landmark_subset": ["T99_sup"]}, "landmark_subset with ['T99_sup'], not in margins175;"),
    ],
)
def test_training_parameters_have_the_bounds_of_their_one_schema(training, reason):
    with pytest.raises(ParametersRejected) as rejected:
        parse_params({"training": training})
    assert reason in str(rejected.value)


def test_changes_are_merged_and_an_impossible_one_changes_nothing(tmp_path):
    path = tmp_path / "params.yaml"
    write_params(Params(), path)
    assert read_params(path) == Params()
    changed = change_params(path, {"training": {"augmentation": {"noise": 0.2}, "epochs": 4}}, "a test")
    assert read_params(path) == changed
    assert (changed.training.augmentation.noise, changed.training.augmentation.scale) == (0.2, 0.1)
    text = path.read_text()
    with pytest.raises(ParametersRejected, match="correct a test; nothing was written"):
        change_params(path, {"training": {"epochs": 0}}, "a test")
    assert path.read_text() == text


@pytest.mark.parametrize("text", ["a: [", f"format: {FORMAT}\ncohort: 5", "- 1"])
def test_damaged_files_are_refused_with_a_code(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParametersRejected, match="PARAMS_INVALID"):
        read_params(tmp_path / "params.yaml")


def test_a_missing_file_is_refused_with_the_command_that_makes_one(tmp_path):
    with pytest.raises(ParametersRejected, match="plumbline init"):
        read_params(tmp_path / "params.yaml")


def test_committed_files_are_those_of_the_code():
    assert read_params(ROOT / "params.yaml") == Params()
    assert (ROOT / "dvc.yaml").read_text() == dvc_yaml(Params())


def test_every_output_has_one_writer_and_every_input_a_writer_or_a_person():
    stages = stages_for(Params())
    outs = [out for stage in stages for out in stage.outs]
    assert len(outs) == len(set(outs))
    assert {dep for stage in stages for dep in stage.deps} <= {*outs, "data/inbox", "corrections"}


def test_every_parameter_that_changes_data_is_a_dependency_of_a_stage():
    stages = yaml.safe_load(dvc_yaml(Params()))["stages"]
    named = {p.split(".")[0] for stage in stages.values() for p in stage.get("params", ())}
    assert named == set(Params.model_fields) - {"format", "drift", "gate", "retrain"}, (
        "drift, gate and retrain decide, they do not make data"
    )


def test_a_real_source_has_no_cohort_stage():
    params = parse_params({"source": {"kind": "folder", "location": "/data/x"}})
    names = [stage.name for stage in stages_for(params)]
    assert names == [name for name in STAGE_NAMES if name != "cohort"]
    assert "/data/x" in stages_for(params)[0].deps


@pytest.mark.parametrize("first_line", ["", f"format: {FORMAT - 1}\n", f"format: {FORMAT + 1}\n"])
def test_a_workspace_of_another_format_is_refused_with_the_way_out(tmp_path, first_line):
    path = tmp_path / "params.yaml"
    write_params(Params(), path)
    path.write_text(path.read_text().replace(f"format: {FORMAT}\n", first_line))
    with pytest.raises(
        ParametersRejected, match=r"WORKSPACE_FORMAT.*copy params.yaml, data/ and state/pseudonym.key to a new folder"
    ):
        read_params(path)


@pytest.mark.parametrize(
    "content",
    [
        f"format: {FORMAT}\nsource: {{location: /daten/Röntgen}}\n".encode("latin-1"),
        b"source: {location: /a\x00b}\n",
        b"source: {location: 2026-13-45}\n",
        b"source: [\n",
    ],
)
def test_a_file_that_is_no_text_is_refused_with_its_name(tmp_path, content):
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(ParametersRejected, match=r"correct params.yaml") as rejected:
        read_params(tmp_path / "params.yaml")
    assert rejected.value.code == "PARAMS_INVALID"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_unicode_encoding_is_read(tmp_path, encoding):
    path = tmp_path / "params.yaml"
    write_params(Params(), path)
    path.write_bytes(path.read_text().replace("data/drop", "/daten/Röntgen").encode(encoding))
    assert read_params(path).source.location == "/daten/Röntgen"
