"""Three fits that differ in their seed only: measured by `plumbline seeds`, then read by the gate and by promotion."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestration.cli.seeds import seeds
from orchestration.lifecycle.judging import judge_candidate, rescore_champion
from orchestration.lifecycle.promotion import promote_champion
from orchestration.lifecycle.registration import register_candidate
from orchestration.lifecycle.seed_evidence import seed_evidence_folder
from orchestration.pipeline.names import CANDIDATES_MODEL
from orchestration.pipeline.params import read_params
from orchestration.pipeline.steps import compute_step
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.registry import history_state
from spine.errors import GateRefused
from tests.small_workspace import small_workspace
from validation.gates.verdict import read_verdict
from validation.registry.client import open_registry, versions_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@dataclass(frozen=True)
class Recipe:
    """A workspace with a valid dataset, in which nothing is fitted yet."""

    workspace: Workspace
    command: Callable[..., str]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, made_once: Any, empty_mlflow_database: Path, quiet: Any) -> Recipe:
    workspace = small_workspace(tmp_path_factory.mktemp("seeds"), made_once, empty_mlflow_database)

    def command(*arguments: str) -> str:
        done = CliRunner().invoke(seeds, ["-w", str(workspace.root), *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return Recipe(workspace, command)


def test_seeds_are_fitted_once_under_one_parent_and_none_is_promoted(recipe: Recipe) -> None:
    output = recipe.command("--seeds", "1,2")
    assert "Seeds 1, 2 of one recipe, 8 virtual patients" in output
    assert "Pelvic tilt" in output and "0.75 deg" in output
    client = open_registry(recipe.workspace.tracking_uri)
    runs = [client.get_run(v.run_id) for v in versions_of(client, CANDIDATES_MODEL)]
    assert sorted(r.data.params["seed"] for r in runs) == ["1", "2"]
    (parent,) = {r.data.tags["mlflow.parentRunId"] for r in runs}
    assert parent in output
    assert client.get_run(parent).data.metrics["seeds/count"] == 2
    assert history_state(recipe.workspace).champion is None
    assert not recipe.workspace.candidate.exists() and not recipe.workspace.verdict_file.exists()
    reads = recipe.workspace.test_set_ledger.read_text()
    assert recipe.command("--seeds", "2,1").count("exists already") == 2
    assert recipe.workspace.test_set_ledger.read_text() == reads, "nothing was evaluated again"
    assert len(versions_of(client, CANDIDATES_MODEL)) == 2, "and nothing fitted"


def test_by_other_code_they_are_evaluated_again_and_not_fitted(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    client = open_registry(recipe.workspace.tracking_uri)
    with monkeypatch.context() as patch:
        patch.setattr("orchestration.pipeline.evaluate.code_version", lambda: ("f" * 40, False))
        assert recipe.command("--seeds", "1,2").count("evaluated again by the present code") == 2
        assert recipe.command("--seeds", "1,2").count("exists already") == 2
    assert recipe.command("--seeds", "1,2").count("evaluated again by the present code") == 2
    assert len(versions_of(client, CANDIDATES_MODEL)) == 2


def test_the_gate_finds_them_and_promotion_finds_the_same(recipe: Recipe) -> None:
    workspace = recipe.workspace
    params = read_params(workspace.params_file)
    compute_step("candidate", workspace)
    compute_step("evaluation", workspace)
    register_candidate(workspace, params)
    rescore_champion(workspace, params)
    figures = judge_candidate(workspace, params).figures
    verdict = read_verdict(workspace.verdict_file)
    assert (figures["other seeds"], len(verdict.seed_evidence)) == ("1, 2", 2)
    spread = [r for r in verdict.results if r.rule.endswith("/seed_spread")]
    assert {r.code for r in spread} == {"ABOVE_SEED_SPREAD"} and len(spread) == 6
    assert all("source: 2 fits of other seeds" in r.found for r in spread)
    assert verdict.decision == "PROMOTE", verdict.refusals
    (seed_evidence_folder(workspace) / "seed_1.json").rename(workspace.root / "aside.json")
    with pytest.raises(GateRefused, match="EVIDENCE_MISSING"):
        promote_champion(workspace, params, "test")
    (workspace.root / "aside.json").rename(seed_evidence_folder(workspace) / "seed_1.json")
    promote_champion(workspace, params, "test")
    champion = history_state(workspace).champion
    assert champion is not None and champion.digest == verdict.challenger_model
