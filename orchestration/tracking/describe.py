"""Describes a candidate in MLflow: writes verdict, report, model card and links to its run and model version.

Contract: no gate reads this description, so an edited tag or metric cannot change a decision. Describing the same
verdict again changes nothing. A candidate that is not registered has a report, but no MLflow page.

A run has at most 40 metrics: the errors of the paper's parameters (``test/<parameter>``), their paired differences to
the champion (``difference/<parameter>``), ``landmarks/mean_mm``, and those of the training. All other figures are in
the tables of the run (``tables/``), which MLflow's Evaluation view compares.
"""

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.links import TO_DAGSTER, run_page
from orchestration.pipeline.names import CANDIDATES_MODEL, PRODUCTION_MODEL
from orchestration.pipeline.params import Params
from orchestration.pipeline.step_report import Figure
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.metrics import statistics_table
from orchestration.tracking.review_page import gather_material, status_of_actions
from orchestration.tracking.run_facts import DIGEST_TAG, candidate_of, read_run_facts
from orchestration.tracking.run_table import named_with
from orchestration.tracking.seed_groups import group_seeds
from spine.errors import GateRefused, PlumblineError
from spine.measurement.registry import COMPARED_PARAMETERS, PAPER_PARAMETERS, PARAMETERS
from spine.storage import write_text_atomically
from training.tracking import log_table
from validation.gates.figure_words import figure_words
from validation.gates.verdict import Verdict, read_verdict
from validation.gates.verdict_text import decision_sentence, explain
from validation.registry.client import open_registry, versions_of
from validation.review.card_text import card_json, card_markdown
from validation.review.changes import RunFacts
from validation.review.claim import ClaimSource, claim_json, claim_markdown, fill_checklist
from validation.review.model_card import ModelCard, judged_card
from validation.review.page import ReviewMaterial, write_review
from validation.review.verdict_status import VerdictStatus

if TYPE_CHECKING:
    from mlflow import MlflowClient


FOLDER, PAGE = "report", "report.html"
_LONGEST_DESCRIPTION = 4900
"""MLflow stores at most 5000 characters of a version's description."""

_HEAD, _DONE = "## ", "**Status:** "
"""The beginnings of a candidate's description and of its line on the verdict's status."""


def review_candidate(workspace: Workspace, params: Params) -> tuple[Path, dict[str, Figure]]:
    """Write the report and describe a judged candidate in MLflow; return the page, and figures that name the run.

    The verdict already exists. If MLflow does not respond, the figure ``not described in MLflow`` states why.

    Raises:
        EvidenceRejected: verdict or records are missing, altered or do not belong together.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    material = gather_material(workspace, params)
    page = write_review(material, workspace.report_page)
    if material.verdict is None:
        return page, {}
    try:
        return page, _describe_candidate(workspace, material, material.verdict, page)
    except (MlflowException, SQLAlchemyError, OSError, GateRefused) as error:
        return page, {"not described in MLflow": str(error)[:200]}


def _describe_candidate(
    workspace: Workspace, material: ReviewMaterial, verdict: Verdict, page: Path
) -> dict[str, Figure]:
    """Write report, card, metrics, tags and descriptions to the candidate's run and version; return its MLflow ids."""
    client = open_registry(workspace.tracking_uri)
    version = candidate_of(client, verdict.challenger_model)
    if version is None or not version.run_id:
        return {}
    run = client.get_run(version.run_id)
    facts = read_run_facts(client, verdict.challenger_model)
    card = judged_card(material.challenger, verdict, facts)
    _log_artifacts(client, run.info.run_id, page, card, ClaimSource(material.challenger, verdict, facts))
    _log_metrics(client, run, metrics_of(material, verdict))
    _log_tables(client, run.info.run_id, material, verdict)
    client.update_run(run.info.run_id, name=named_with(str(run.info.run_name), verdict.decision))
    _tag(client, run.info.run_id, version, verdict)
    _describe(client, run, version, _head(material, verdict, links_of(run, version, facts)), material, verdict, card)
    group_seeds(client, run)
    return {"mlflow experiment id": run.info.experiment_id, "mlflow run id": run.info.run_id}


def describe_served(workspace: Workspace, version: str) -> bool:
    """Copy the candidate's description to its version of the model in service; return whether the version has it.

    The promotion is already done, and remains valid if the registry does not accept the description.
    """
    from mlflow.exceptions import MlflowException

    client = open_registry(workspace.tracking_uri)
    try:
        served = client.get_model_version(PRODUCTION_MODEL, version)
        candidate = candidate_of(client, served.tags.get(DIGEST_TAG, ""))
        if candidate is None or not candidate.description:
            return False
        if candidate.description not in (served.description or ""):
            own = (served.description or "").partition(f"\n\n{_HEAD}")[0]
            text = f"{own}\n\n{candidate.description}"[:_LONGEST_DESCRIPTION]
            client.update_model_version(served.name, served.version, text)
    except (MlflowException, OSError):
        return False
    return True


def describe_status(workspace: Workspace, params: Params) -> None:
    """Update report, runs and versions after an approval, a rejection, a promotion or a rollback.

    The report is written for the latest evaluation only; runs and versions are updated for every verdict. Nothing is
    raised if the report or MLflow cannot be written, because the action itself is done.
    """
    from mlflow.exceptions import MlflowException

    with suppress(PlumblineError, OSError):
        review_candidate(workspace, params)
    with suppress(MlflowException, OSError, PlumblineError):
        client = open_registry(workspace.tracking_uri)
        for version in versions_of(client, CANDIDATES_MODEL):
            _describe_status_of(client, workspace, version)
        for version in versions_of(client, PRODUCTION_MODEL):
            describe_served(workspace, str(version.version))


def _describe_status_of(client: "MlflowClient", workspace: Workspace, version: Any) -> None:
    """Update the status line of a candidate's run and version."""
    path = workspace.verdict_file.with_name(f"{version.tags.get('plumbline.verdict', '')}.json")
    if not path.is_file():
        return
    line = _status_line(status_of_actions(workspace, read_verdict(path)))
    note = client.get_run(version.run_id).data.tags.get("mlflow.note.content", "")
    if line not in note:
        client.set_tag(version.run_id, "mlflow.note.content", _with_status(note, line))
    if line not in (version.description or ""):
        client.update_model_version(version.name, version.version, _with_status(version.description or "", line))


def _status_line(status: VerdictStatus) -> str:
    return f"{_DONE}{status.text}."


def _with_status(text: str, line: str) -> str:
    """The description with ``line`` as its status line, added below the heading if it has no status line."""
    lines = [line if old.startswith(_DONE) else old for old in text.split("\n")]
    if line not in lines:
        lines[1:1] = ["", line]
    return "\n".join(lines)[:_LONGEST_DESCRIPTION]


def metrics_of(material: ReviewMaterial, verdict: Verdict) -> dict[str, float]:
    """Metric name -> value: the mean landmark error, and the differences to the champion with their bounds."""
    means = [row.mean_mm for row in material.challenger.landmarks if row.group == "all" and row.mean_mm is not None]
    metrics = {"landmarks/mean_mm": float(means[0])} if means else {}
    for row in verdict.differences:
        name = row.subject.replace(" ", "_")
        if row.group == "all" and name in PAPER_PARAMETERS:
            ends = (("mean", row.mean), ("low", row.low), ("high", row.high))
            metrics |= {f"difference/{name}/{end}": value for end, value in ends}
    return metrics


def _log_tables(client: "MlflowClient", run_id: str, material: ReviewMaterial, verdict: Verdict) -> None:
    """Log the tables of errors (of challenger and champion), landmarks, differences and rules."""
    log_table(client, run_id, "errors", *statistics_table(material.challenger.statistics))
    if material.champion is not None:
        log_table(client, run_id, "errors_of_champion", *statistics_table(material.champion.statistics))
    figures = ("coverage", "median_mm", "mean_mm", "p95_mm")
    landmarks = [[r.space, r.group, *(getattr(r, f) for f in figures)] for r in material.challenger.landmarks]
    log_table(client, run_id, "landmarks", ("space", "landmarks", *figures), landmarks)
    differences = [[r.subject, r.group, r.mean, r.low, r.high, r.margin] for r in verdict.differences]
    log_table(client, run_id, "differences", ("parameter", "group", "mean", "low", "high", "margin"), differences)
    rules = [[r.rule, r.outcome, r.code, r.figure, r.threshold, r.unit] for r in verdict.results]
    log_table(client, run_id, "rules", ("rule", "outcome", "code", "figure", "threshold", "unit"), rules)


def _log_artifacts(client: "MlflowClient", run_id: str, page: Path, card: ModelCard, source: ClaimSource) -> None:
    checklist = fill_checklist(source)
    texts = {
        "model_card.md": card_markdown(card),
        "model_card.json": card_json(card),
        "claim.md": claim_markdown(checklist),
        "claim.json": claim_json(checklist),
        "verdict.txt": explain(source.verdict),
    }
    with tempfile.TemporaryDirectory() as scratch:
        for name, text in texts.items():
            write_text_atomically(Path(scratch) / name, text)
        client.log_artifacts(run_id, scratch, FOLDER)
    client.log_artifact(run_id, str(page), FOLDER)


def _log_metrics(client: "MlflowClient", run: Any, metrics: Mapping[str, float]) -> None:
    from mlflow.entities import Metric

    at = int(run.info.end_time or run.info.start_time)
    new = [Metric(n, float(v), at, 0) for n, v in metrics.items() if run.data.metrics.get(n) != float(v)]
    if new:
        client.log_batch(run.info.run_id, metrics=new)


def _tag(client: "MlflowClient", run_id: str, version: Any, verdict: Verdict) -> None:
    tags = {
        "plumbline.verdict": verdict.digest,
        "plumbline.decision": verdict.decision,
        "plumbline.compared_with": verdict.champion_model or "none",
        "plumbline.evidence": str(verdict.challenger_evidence),
        "plumbline.policy_hash": verdict.policy_hash,
    }
    for name, value in tags.items():
        client.set_tag(run_id, name, value)
        client.set_model_version_tag(version.name, version.version, name, value)
    client.set_tag(run_id, "plumbline.model_version", f"{version.name} version {version.version}")


def _describe(
    client: "MlflowClient",
    run: Any,
    version: Any,
    head: str,
    material: ReviewMaterial,
    verdict: Verdict,
    card: ModelCard,
) -> None:
    """Write the descriptions of the run (rules that did not pass, comparison) and of the version (model card)."""
    reasons = "".join(
        f"- `{r.code}` {r.subject.replace('_', ' ')}: {figure_words(r.figure_name)}\n" for r in verdict.refusals[:8]
    )
    note = head + (f"Rules that did not pass:\n\n{reasons}\n" if reasons else "") + _comparison_table(material)
    client.set_tag(run.info.run_id, "mlflow.note.content", note)
    text = head + card_markdown(card, brief=True)
    client.update_model_version(version.name, version.version, text[:_LONGEST_DESCRIPTION])


def _head(material: ReviewMaterial, verdict: Verdict, links: Mapping[str, str]) -> str:
    """The beginning of both descriptions: decision, links, status, test set and policy."""
    listed = " · ".join(f"[{title}]({address})" for title, address in links.items())
    ours = material.challenger
    return (
        f"{_HEAD}{verdict.decision}\n\n{listed}\n\n{_status_line(material.status or VerdictStatus())}\n\n"
        f"{decision_sentence(verdict)}\n\n"
        f"{len(verdict.passed)} of {len(verdict.evaluated)} rules passed on {ours.n_patients} **{ours.patients_are}**, "
        f"policy `{verdict.policy}` version {verdict.policy_version}. Verdict `{verdict.digest}`.\n\n"
    )


def links_of(run: Any, version: Any, facts: RunFacts) -> dict[str, str]:
    """Title -> address of the candidate's report, run, version and Dagster run."""
    place = (run.info.experiment_id, run.info.run_id)
    links = {
        "report": f"#/{run_page(*place, f'{FOLDER}/{PAGE}')}",
        "run": f"#/{run_page(*place)}",
        f"{CANDIDATES_MODEL} version {version.version}": f"#/models/{version.name}/versions/{version.version}",
    }
    return links | ({"Dagster run": f"{TO_DAGSTER}/runs/{facts.dagster_run}"} if facts.dagster_run else {})


def _comparison_table(material: ReviewMaterial) -> str:
    """A table with the standard errors of both models for each parameter."""
    champion = material.champion
    lines = ["| parameter | challenger | champion | n |", "|---|---|---|---|"]
    for name in COMPARED_PARAMETERS:
        agreement = material.challenger.statistics[name]
        error = agreement.figures["standard_error_of_estimate"].value
        if error is None:
            continue
        other = champion.statistics[name].figures["standard_error_of_estimate"].value if champion else None
        theirs = "–" if other is None else f"{other:.2f}"
        lines.append(f"| {PARAMETERS[name].label}, {agreement.unit} | {error:.2f} | {theirs} | {agreement.n} |")
    return "Standard error of the estimate:\n\n" + "\n".join(lines) + "\n"
