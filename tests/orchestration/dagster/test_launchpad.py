"""The parameters in Dagster's launchpad: every one is a field, and given values reach params.yaml."""

from dataclasses import fields

import dagster as dg
import pytest
import yaml

from orchestration.dagster.assets.launchpad import KEPT, TAG, form_of
from orchestration.dagster.assets.model import candidate
from orchestration.dagster.definitions import definitions_with, defs
from orchestration.dagster.jobs import PROMOTION, RETRAIN
from orchestration.dagster.resources import resources_for
from orchestration.environment import WORKSPACE_VARIABLE
from orchestration.pipeline import steps
from orchestration.pipeline.params import Params, change_params, read_params
from orchestration.pipeline.step_report import StepReport
from training.config import Augmentation, NextStage, TrainingParameters
from training.fields import help_of

DEFINITIONS = definitions_with(resources_for("/nowhere"))
RETRAINED = {key.to_user_string() for key in DEFINITIONS.resolve_job_def(RETRAIN).asset_layer.selected_asset_keys}


@pytest.fixture
def launch(workspace, instance, monkeypatch):
    """``launch(**given)`` materialises ``candidate`` with its real versioning and a step that only writes a file."""

    def fit(ws, params, progress):
        (ws.candidate / "model").parent.mkdir(parents=True, exist_ok=True)
        (ws.candidate / "model").write_text(repr(params.training))
        return StepReport("candidate", {"minutes": params.training.minutes})

    monkeypatch.setitem(steps.STEPS, "candidate", fit)
    for folder in (workspace.dataset, workspace.validation):
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")

    def call(**given):
        config, resources = {"ops": {"candidate": {"config": given}}}, resources_for(str(workspace.root))
        where = {"instance": instance, "resources": resources, "raise_on_error": False}
        return dg.materialize([candidate.with_form(None)], run_config=config, **where)

    return call


def recorded(workspace) -> dict:
    """The training parameters of the candidate in dvc.lock."""
    lock = yaml.safe_load((workspace.root / "dvc.lock").read_text())
    return lock["stages"]["candidate"]["params"]["params.yaml"]["training"]


def recomputed(result) -> bool:
    return result.asset_materializations_for_node("candidate")[0].metadata["recomputed"].value


def test_every_parameter_is_a_described_field_and_none_has_to_be_given():
    shown = form_of("training").to_fields_dict()
    assert shown.keys() == {field.name for field in fields(TrainingParameters)}
    for field in fields(TrainingParameters):
        assert shown[field.name].description == help_of(field)
        assert not shown[field.name].is_required and not shown[field.name].default_provided
    strengths = shown["augmentation"].config_type.inner_type.fields
    assert strengths.keys() == {field.name for field in fields(Augmentation)}
    stage = shown["next_stages"].config_type.inner_type.inner_type.fields
    assert stage.keys() == {field.name for field in fields(NextStage)}


@pytest.mark.parametrize(
    ("op", "given"),
    [
        ("candidate", {"minuts": 3.0}),
        ("candidate", {"preset": "magic"}),
        ("candidate", {"batch_size": "many"}),
        ("candidate", {"augmentation": {"tilt": 1.0}}),
        *[(name, {"minutes": 3.0}) for name in sorted(RETRAINED - {"candidate"})],
    ],
)
def test_config_that_an_asset_does_not_have_is_refused(workspace, op, given):
    job = definitions_with(resources_for(str(workspace.root))).resolve_job_def(RETRAIN)
    with pytest.raises(dg.DagsterInvalidConfigError):
        job.execute_in_process(run_config={"ops": {op: {"config": given}}})


def test_a_given_parameter_is_used_recorded_and_kept(workspace, launch, instance):
    before = read_params(workspace.params_file).training
    given = {"minutes": None, "epochs": 3, "augmentation": {"rotation_deg": 6.0}, "next_stages": [{"epochs": 1}]}
    result = launch(**given, device="cpu")
    assert result.success
    training = read_params(workspace.params_file).training
    assert (training.minutes, training.epochs, training.device) == (None, 3, "cpu")
    assert training.augmentation == Augmentation(rotation_deg=6.0)
    assert training.next_stages == (NextStage(epochs=1),)
    assert (training.learning_rate, training.seed) == (before.learning_rate, before.seed)
    assert (workspace.candidate / "model").read_text() == repr(training)
    assert recorded(workspace) == read_params(workspace.params_file).plain()["training"]
    tags = instance.get_run_by_id(result.run_id).tags
    said = [entry.user_message for entry in instance.all_logs(result.run_id) if KEPT in entry.user_message]
    assert len(said) == 1 and "training.epochs=3" in said[0]
    own = f"{TAG}training."
    tagged = {name.removeprefix(own): value for name, value in tags.items() if name.startswith(own)}
    assert tagged == {name: str(value) for name, value in (given | {"device": "cpu"}).items()}


def test_a_given_value_makes_a_new_candidate_and_an_empty_form_none(workspace, launch):
    text = workspace.params_file.read_text()
    assert recomputed(launch()) and workspace.params_file.read_text() == text
    assert not recomputed(launch())
    assert recomputed(launch(minutes=2.0)) and recorded(workspace)["minutes"] == 2.0
    assert not recomputed(launch()) and recorded(workspace)["minutes"] == 2.0  # kept, as after `plumbline run --set`


def test_an_impossible_value_is_refused_with_its_reason_and_nothing_is_written(workspace, launch):
    text = workspace.params_file.read_text()
    result = launch(virtual_pairs=5, minutes=2.0)
    failure = result.failure_data_for_node("candidate").user_failure_data
    assert failure.metadata["code"].value == "PARAMS_INVALID"
    assert "virtual_pairs 5, not a multiple of 32 x reuse x devices" in failure.metadata["found"].value
    assert workspace.params_file.read_text() == text
    assert not workspace.candidate.exists()


SECTIONS = {
    "cohort": "cohort",
    "studies": "source",
    "dataset": "dataset",
    "validation": "validation",
    "verdict": "gate",
}
"""Asset -> the section of params.yaml that its form shows."""


@pytest.mark.parametrize(("op", "section"), SECTIONS.items())
def test_every_section_is_a_form_with_descriptions(op, section):
    shown = DEFINITIONS.resolve_job_def(RETRAIN).get_node_named(op).definition.config_schema.config_type.fields
    known = Params.model_fields[section].annotation.model_fields
    assert shown.keys() == known.keys()
    for name, field in known.items():
        assert shown[name].description.startswith(field.description) and "default:" in shown[name].description
        assert not shown[name].is_required and not shown[name].default_provided


def test_given_values_of_every_section_are_used_and_recorded(workspace, stubs, instance):
    given = {"cohort": {"count": 33}, "dataset": {"test_patients": 7}, "verdict": {"policy": "frontal_radiographs"}}
    given |= {"validation": {"on_bad_study": "exclude"}, "studies": {"kind": "folder", "location": "/somewhere"}}
    job = definitions_with(resources_for(str(workspace.root))).resolve_job_def(RETRAIN)
    config = {"ops": {op: {"config": values} for op, values in given.items()}}
    result = job.execute_in_process(run_config=config, instance=instance)
    params = read_params(workspace.params_file)
    assert (params.cohort.count, params.dataset.test_patients) == (33, 7)
    assert (params.gate.policy, params.validation.on_bad_study) == ("frontal_radiographs", "exclude")
    assert (params.source.kind, params.source.location) == ("folder", "/somewhere")
    tags = instance.get_run_by_id(result.run_id).tags
    wanted = {f"{TAG}{SECTIONS[op]}.{name}": str(v) for op, values in given.items() for name, v in values.items()}
    assert wanted.items() <= tags.items()
    assert stubs.tags["launchpad.dataset.test_patients"] == "7", "the candidate's MLflow run has them too"
    assert "cohort" not in yaml.safe_load(workspace.pipeline_file.read_text())["stages"]


def test_the_launchpad_shows_the_values_of_the_workspace(workspace, monkeypatch):
    change_params(workspace.params_file, {"cohort": {"count": 33}, "training": {"minutes": 7.5}}, "the test")
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(workspace.root))
    job = defs().resolve_job_def(RETRAIN)
    shown = {op: job.get_node_named(op).definition.config_schema.config_type.fields for op in ("cohort", "candidate")}
    assert shown["cohort"]["count"].description.endswith("(default: 274; this workspace: 33)")
    assert shown["candidate"]["minutes"].description.endswith("this workspace: 7.5)")
    assert not shown["cohort"]["count"].default_provided, "Dagster would write it into params.yaml at every run"
    workspace.params_file.write_text("cohort: 3")
    assert defs().resolve_job_def(RETRAIN), "the code location loads, and a run says what is wrong"


def test_every_field_of_an_approval_is_described():
    form = DEFINITIONS.resolve_job_def(PROMOTION).get_node_named("champion").definition.config_schema
    assert all(field.description for field in form.config_type.fields.values())
