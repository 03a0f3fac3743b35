"""The images of docs/reviewing.md, taken in a browser from a workspace with a challenger and a champion.

    PLUMBLINE_SCREENSHOTS=docs/reviewing PLUMBLINE_SCREENSHOTS_OF=WORKSPACE pytest tests/browser -k guide

Both variables are required. `plumbline run` has judged a challenger against a champion in the workspace.
"""

import os
from pathlib import Path

import pytest

from orchestration.pipeline.workspace import Workspace
from orchestration.services.processes import free_port
from orchestration.tracking.run_facts import candidate_of
from tests.browser.chromium import browser, needs_chromium
from tests.browser.guide_images import FOLDER, keep
from tests.browser.mlflow_pages import mlflow_of, open_run, put_assistant_aside
from validation.gates.verdict import read_verdict
from validation.registry.client import open_registry

OF = os.environ.get("PLUMBLINE_SCREENSHOTS_OF")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (FOLDER and OF), reason="images of the guide are written only when asked for"),
    needs_chromium,
    pytest.mark.filterwarnings("ignore:.*noload.*", "ignore::DeprecationWarning:mlflow"),
]


def test_the_page() -> None:
    workspace = Workspace(Path(str(OF)))
    with browser() as tab:
        tab.open(workspace.report_page.as_uri())
        assert (
            tab.evaluate("document.getElementById('verdict-digest').textContent")
            == read_verdict(workspace.verdict_file).digest
        )
        for section in ("verdict", "differences", "agreement", "changes", "decide"):
            tab.show(section)
            keep(tab, section)
        tab.choose("choose-sort", "worsened")
        tab.show("viewer")
        keep(tab, "patients")
        assert tab.console == []


def test_the_dataset_report() -> None:
    with browser() as tab:
        tab.open((Workspace(Path(str(OF))).validation / "report.html").as_uri())
        keep(tab, "dataset")


def test_mlflow() -> None:
    workspace = Workspace(Path(str(OF)))
    verdict = read_verdict(workspace.verdict_file)
    version = candidate_of(open_registry(workspace.tracking_uri), verdict.challenger_model)
    assert version is not None
    with mlflow_of(workspace, free_port()) as address, browser() as tab:
        put_assistant_aside(tab)
        open_run(tab, address, version.run_id)
        tab.wait_for("document.body.innerText.includes('rules passed')")
        keep(tab, "mlflow-run")
        open_run(tab, address, version.run_id, "/artifacts/report/report.html")
        tab.wait_for("document.getElementById('how-many')?.textContent", in_frame=True)
        # MLflow prints the path of the file on this machine.
        tab.evaluate("[...document.querySelectorAll('*')].filter(e => !e.children.length && "
                     "e.textContent.includes('file:///')).forEach(e => e.textContent = '')")  # fmt: skip
        keep(tab, "mlflow-page")
        tab.open("about:blank")
        tab.open(f"{address}/#/models/{version.name}/versions/{version.version}")
        tab.wait_for(f"document.body.innerText.includes({verdict.digest!r})")
        keep(tab, "mlflow-version")
