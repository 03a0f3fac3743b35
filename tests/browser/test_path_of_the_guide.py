"""The path of engineer and reviewer in a browser: launch with a changed learning rate, compare two runs, decide.

The tests share one workspace and are in the order of the path. They take images of the guide if asked for.
"""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from orchestration.cli.main import plumbline
from orchestration.dagster.instance import open_instance
from orchestration.dagster.run import run_retrain
from orchestration.environment import quiet_environment
from orchestration.pipeline.names import CANDIDATES_MODEL
from orchestration.pipeline.params import change_params, read_params
from orchestration.pipeline.workspace import Workspace
from orchestration.services.processes import Supervised, free_port
from orchestration.services.up import environment_of, pages_of, services_of
from orchestration.tracking.describe import FOLDER, PAGE
from orchestration.tracking.registry import history_state
from orchestration.tracking.run_facts import candidate_of
from spine.measurement.registry import PAPER_PARAMETERS
from tests.browser.chromium import Page, browser, needs_chromium
from tests.browser.guide_images import keep
from tests.browser.mlflow_pages import open_run, put_assistant_aside
from tests.small_workspace import POLICY, small_workspace, write_loose_policy
from validation.gates.policy import DEFAULT_POLICY
from validation.gates.verdict import read_verdict
from validation.registry.client import open_registry, versions_of

pytestmark = [
    pytest.mark.slow,
    needs_chromium,
    pytest.mark.filterwarnings("ignore:.*noload.*", "ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]

TOO_HIGH, CHANGED = 0.003, 0.0001
RUN_S = 300.0
"""The patience for a run of the pipeline, which takes 30 s on two idle cores."""

CONFIG = f"ops:\n  candidate:\n    config:\n      learning_rate: {CHANGED}\n"
STATUS = "document.body.innerText.match(/^(Success|Failure|Canceled)$/m)?.[0]"
SELECT = ".ag-row .ag-selection-checkbox .ag-checkbox-input"
EDITOR = "document.querySelector('.CodeMirror')?.CodeMirror"


@dataclass(frozen=True)
class Served:
    """A workspace whose champion was fitted with a learning rate that is too high, and the pages of its services."""

    workspace: Workspace
    dagster: str
    mlflow: str

    @property
    def mlflow_root(self) -> str:
        return self.mlflow.split("/#")[0]


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
    made_once: Callable[[str, Callable[[Path], object]], Path],
    empty_mlflow_database: Path,
) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in quiet_environment().items():
            patch.setenv(name, value)
        workspace = small_workspace(tmp_path_factory.mktemp("served"), made_once, empty_mlflow_database)
        change_params(workspace.params_file, {"training": {"learning_rate": TOO_HIGH}}, "the test")
        first = run_retrain(workspace, on_step=lambda report: None)
        assert first.promoted, first.reason
        policy_with_approval(workspace)
        dagster, mlflow = free_port(), free_port()
        with (
            open_instance(workspace),
            Supervised(
                services_of(workspace, dagster, mlflow, workspace.root / "code"),
                workspace.state / "logs",
                environment_of(workspace, mlflow, dagster),
            ) as running,
        ):
            running.wait_until_up()
            pages = pages_of(dagster, mlflow)
            yield Served(workspace, pages["Dagster"], pages["MLflow"])


def policy_with_approval(workspace: Workspace) -> None:
    """From now on a better model needs an approval. Wide margins make eight patients enough for a comparison."""
    comparison = yaml.safe_load(DEFAULT_POLICY.read_text())["comparison"]
    comparison["required_gain"] = 0.0
    comparison["margins"]["margin"] = dict.fromkeys(comparison["margins"]["margin"], 10.0)
    approval = {"required": "always", "reason": "a person decides about every model"}
    write_loose_policy(workspace.root / POLICY, approval=approval, comparison=comparison)


@pytest.fixture
def tab() -> Iterator[Page]:
    with browser(1280, 800) as opened:
        put_assistant_aside(opened)
        yield opened


def test_an_engineer_launches_with_another_learning_rate(served: Served, tab: Page) -> None:
    tab.open(f"{served.dagster}/playground")
    tab.wait_for(f"{EDITOR} && document.body.innerText.includes('candidate?')")
    tab.click(".CodeMirror-lines")
    tab.evaluate(f"{EDITOR}.execCommand('selectAll')")
    tab.type(CONFIG)
    assert tab.evaluate(f"{EDITOR}.getValue()") == CONFIG
    tab.wait_for("document.body.innerText.includes('No errors')")
    tab.wait_for_button("Launch Run")
    keep(tab, "launchpad")
    tab.press_button("Launch Run")
    tab.wait_for("/runs\\/[0-9a-f-]{36}/.test(location.pathname)")
    assert tab.wait_for(STATUS, patience_s=RUN_S) == "Success", "a run that waits for an approval is no failure"
    tab.wait_for("document.body.innerText.includes('RUN_SUCCESS')")
    keep(tab, "dagster-run")
    assert read_params(served.workspace.params_file).training.learning_rate == CHANGED
    verdict = read_verdict(served.workspace.verdict_file)
    assert verdict.decision == "PROMOTE", verdict.refusals
    assert "APPROVAL_MISSING" in tab.evaluate("document.body.innerText"), "the policy asks for a person"


def test_both_runs_are_compared_in_mlflow(served: Served, tab: Page) -> None:
    client = open_registry(served.workspace.tracking_uri)
    versions = sorted(versions_of(client, CANDIDATES_MODEL), key=lambda v: int(v.version))
    names = [str(client.get_run(v.run_id).info.run_name) for v in versions]
    assert [name.split(maxsplit=3)[3] for name in names] == ["lr 3e-3 bundled: PROMOTE", "lr 1e-4 bundled: PROMOTE"]
    tab.open(served.mlflow)
    tab.wait_for(f"document.querySelectorAll({SELECT!r}).length == 2")
    cut = "[...document.querySelectorAll('.ag-row a')].filter(a => a.scrollWidth > a.clientWidth + 1)"
    shown = tab.evaluate("document.body.innerText")
    assert all(name in shown for name in names)
    assert not set(names) & set(tab.evaluate(f"{cut}.map(a => a.innerText)")), "the saved view shows whole names"
    assert all(f"test/{name}/mae" in shown for name in PAPER_PARAMETERS)
    assert "plumbline.decision" in shown
    keep(tab, "mlflow-runs")
    tab.evaluate(f"document.querySelectorAll({SELECT!r}).forEach(box => box.click())")
    tab.press_button("Compare")
    tab.wait_for("document.body.innerText.includes('Show diff only')")
    tab.evaluate("[...document.querySelectorAll('label')].find(l => l.innerText.includes('Show diff only')).click()")
    tab.wait_for("!document.body.innerText.includes('weight_decay')")
    row = "[...document.querySelectorAll('tr')].find(r => r.innerText.startsWith('learning_rate'))"
    assert {str(CHANGED), str(TOO_HIGH)} < set(tab.evaluate(f"{row}.innerText").split())
    tab.evaluate(f"{row}.scrollIntoView({{block: 'center'}})")
    keep(tab, "mlflow-compare")


def test_a_reviewer_reads_the_report_and_decides(served: Served, tab: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = served.workspace
    verdict = read_verdict(workspace.verdict_file)
    candidate = candidate_of(open_registry(workspace.tracking_uri), verdict.challenger_model)
    assert candidate is not None and candidate.run_id is not None

    def read(expression: str) -> str:
        return str(tab.wait_for(expression, in_frame=True))

    artifact = f"/artifacts/{FOLDER}/{PAGE}"
    open_run(tab, served.mlflow_root, candidate.run_id, artifact)
    assert read("document.querySelector('.decision')?.textContent") == "PROMOTE"
    assert read("document.getElementById('verdict-digest')?.textContent") == verdict.digest
    changed = read("document.querySelector('#changes tr.differs')?.closest('tbody').innerText")
    assert all(text in changed for text in ("learning_rate", str(CHANGED), str(TOO_HIGH)))
    assert "approve and promote" in read("document.querySelector('.headline')?.innerText")
    approve, promote = read("[...document.querySelectorAll('#decide pre')].map(p => p.textContent).join('\\n')").split(
        "\n"
    )[:2]
    monkeypatch.chdir(workspace.root)
    done(approve)
    done(promote)
    champion = history_state(workspace).champion
    assert champion is not None and champion.digest == verdict.challenger_model
    open_run(tab, served.mlflow_root, candidate.run_id, artifact)
    assert "Nothing is left to decide: promoted" in read("document.querySelector('.headline')?.innerText")
    tab.open("about:blank")
    tab.open(f"{served.mlflow_root}/#/models/{candidate.name}/versions/{candidate.version}")
    tab.wait_for("document.body.innerText.includes('as version 2 by YOUR NAME')")


def done(command: str) -> None:
    """Run a command of the page as a person would, who leaves its placeholders in place."""
    program, *arguments = shlex.split(command)
    assert program == "plumbline"
    result = CliRunner().invoke(plumbline, arguments)
    assert result.exit_code == 0, (command, result.output, result.exception)
