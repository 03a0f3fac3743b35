"""The steps after the versioned ones: register, re-score the champion, judge, promote.

Contract: none of these is a DVC stage; each reads its evidence from disk and registry, so launching one alone is safe:
``promote_champion`` verifies everything itself and refuses what does not hold.
"""

import getpass
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.lifecycle.baseline import baseline_record, score_baseline
from orchestration.lifecycle.local_champion import CANDIDATES_MODEL, PRODUCTION_MODEL, refresh_local_champion
from orchestration.lifecycle.seed_evidence import gather_siblings, seed_evidence_folder
from orchestration.pipeline import versioning
from orchestration.pipeline.evaluate import code_version, evaluate_model
from orchestration.pipeline.params import Params
from orchestration.pipeline.step_report import Figure, StepReport, write_step_report
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.metrics import demand_metrics_as_sealed, metrics_of_test
from orchestration.tracking.registry_ownership import EXPERIMENT
from spine.dataset import read_manifest
from spine.errors import GateRefused, ParametersRejected, PlumblineError
from spine.measurement.registry import PAPER_PARAMETERS, PARAMETERS

if TYPE_CHECKING:
    from training.tracking import DatasetReference
    from validation.evaluation.record import EvaluationRecord

AUTHOR_VARIABLE = "PLUMBLINE_AUTHOR"
"""Whose candidate it is, where that is not the account the chain runs under: nobody approves their own."""


def register_candidate(workspace: Workspace, params: Params, tags: Mapping[str, str] | None = None) -> StepReport:
    """Replay the candidate's journal into MLflow, register it, and attach its evaluation; exactly once."""
    from orchestration.tracking.run_facts import log_data
    from training.tracking import log_evidence, replay_journal
    from validation.evaluation.record import read_record
    from validation.promotion.champion import open_registry

    record = read_record(workspace.evaluation / "record.json")
    tracked = replay_journal(
        workspace.candidate,
        tracking_uri=workspace.tracking_uri,
        experiment=EXPERIMENT,
        registered_model=CANDIDATES_MODEL,
        tags={**_facts(params, record), **(tags or {})},
        dataset=_dataset_reference(workspace, params),
        artifact_root=workspace.artifact_root,
    )
    log_evidence(
        tracked.run_id,
        workspace.tracking_uri,
        metrics=metrics_of_test(record.statistics),
        artifacts=workspace.evaluation,
        tags={"plumbline.evidence": record.digest},
    )
    log_data(open_registry(workspace.tracking_uri), tracked.run_id, read_manifest(workspace.dataset))
    figures: dict[str, Figure] = {
        "registered model": CANDIDATES_MODEL,
        "version": str(tracked.model_version),
        "model": record.model_digest[:12],
        "mlflow experiment id": tracked.experiment_id,
        "mlflow run id": tracked.run_id,
    }
    return _kept(StepReport("registered_candidate", figures), workspace)


def _facts(params: Params, record: "EvaluationRecord") -> dict[str, str]:
    commit, dirty = code_version()
    return {
        "plumbline.author": os.environ.get(AUTHOR_VARIABLE) or getpass.getuser(),
        "plumbline.patients": record.patients_are,
        "plumbline.policy": params.gate.policy,
        "git.commit": commit or "unknown",
        "git.dirty": str(dirty).lower(),
        "mlflow.note.content": _description(params, record),
    }


def _description(params: Params, record: "EvaluationRecord") -> str:
    """The run in words, for MLflow's page: what it was trained and judged on, and how far off it is."""
    rows = []
    for name in PAPER_PARAMETERS:
        figures = record.statistics[name].figures
        error, bias = figures["standard_error_of_estimate"].value, figures["bias"].value
        if error is not None and bias is not None:
            rows.append(f"| {PARAMETERS[name].label} | {error:.2f} | {bias:+.2f} | {record.statistics[name].n} |")
    head = (
        f"Preset `{params.training.preset}`, landmark set `{record.landmark_set}`, judged on {record.n_patients} "
        f"**{record.patients_are}** of frozen test set `{record.test_digest[:12]}`, policy `{params.gate.policy}`.\n\n"
        "| parameter | standard error, deg | bias, deg | n |\n|---|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n\nPage with plots and overlays: artefact `evaluation/report.html`.\n"


def _dataset_reference(workspace: Workspace, params: Params) -> "DatasetReference":
    from training.tracking import DatasetReference

    manifest = read_manifest(workspace.dataset)
    return DatasetReference(
        name=f"{params.source.kind}-{params.dataset.landmark_set}",
        digest=manifest.digest,
        test_digest=manifest.test_digest,
        dvc_version=versioning.data_version(workspace),
        folder=workspace.dataset,
    )


def rescore_champion(workspace: Workspace, params: Params) -> StepReport:
    """Score the champion on the same frozen test set with the same code, before anything is judged."""
    from validation.promotion.champion import current_champion, fetch_champion
    from validation.promotion.promote import refusing

    with refusing():
        champion = current_champion(workspace.tracking_uri, PRODUCTION_MODEL, workspace.promotion_ledger)
    if champion is None:
        shutil.rmtree(workspace.champion_evaluation, ignore_errors=True)
        shutil.rmtree(workspace.baseline_evaluation, ignore_errors=True)
        return _kept(StepReport("champion_evaluation", {"champion": "none yet"}), workspace)
    folder = workspace.state / "champion_to_score"
    fetch_champion(workspace.tracking_uri, PRODUCTION_MODEL, into=folder)
    report = evaluate_model(
        workspace, folder, workspace.champion_evaluation, role="champion", step="champion_evaluation"
    )
    scored = {"last approved": score_baseline(workspace, champion.model_digest)}
    report = replace(report, figures={**report.figures, **scored})
    return _kept(report, workspace)


def judge_candidate(workspace: Workspace, params: Params) -> StepReport:
    """Hold the evidence against the policy, keep the verdict (the latest, and by digest), write the reviewer's page."""
    from orchestration.tracking.describe import review_candidate
    from validation.evaluation.record import read_record
    from validation.evaluation.report import write_report
    from validation.gates.policy import read_policy
    from validation.gates.verdict import judge, sentence, write_verdict

    challenger = read_record(workspace.evaluation / "record.json")
    champion_record = workspace.champion_evaluation / "record.json"
    champion = read_record(champion_record) if champion_record.exists() else None
    policy = read_policy(policy_path(params, workspace))
    _demand_champion_is_scored(workspace, champion)
    baseline = baseline_record(workspace, champion)
    found = gather_siblings(workspace, policy, challenger)
    siblings = list(found.records.values())
    verdict = judge(policy, challenger, champion, judged_at=datetime.now(UTC), baseline=baseline, siblings=siblings)
    for path in (workspace.verdict_file, workspace.verdict_file.with_name(f"{verdict.digest}.json")):
        write_verdict(verdict, path)
    figures: dict[str, Figure] = {"decision": verdict.decision, "verdict": verdict.digest[:12]}
    _name_challenger(workspace, verdict.challenger_model)
    figures |= {"rules passed": f"{len(verdict.passed)} of {len(verdict.weighed)}"}
    figures |= {"other seeds": ", ".join(found.records) or "none"}
    figures |= {f"seed left out {i}": why for i, why in enumerate(found.left_out, start=1)}
    figures |= {f"reason {i}": sentence(r) for i, r in enumerate(verdict.refusals[:8], start=1)}
    drawn = {title: workspace.evaluation / f"overlay_{title}.png" for title in ("best", "median", "worst")}
    overlays = {title: path for title, path in drawn.items() if path.exists()}
    page = write_report(challenger, workspace.report_page.parent, overlays=overlays, verdict=verdict)
    review, run = review_candidate(workspace, params)
    return _kept(StepReport("verdict", figures | run, pages={"report": str(page), "review": str(review)}), workspace)


def _demand_champion_is_scored(workspace: Workspace, champion: "EvaluationRecord | None") -> None:
    """Refuse to judge "against nobody" where the history tells of a champion that the registry has lost.

    Raises:
        GateRefused: CHAMPION_LOST, and what else reading the champion raises.
    """
    from validation.promotion.champion import current_champion
    from validation.promotion.history import last_champion, read_history
    from validation.promotion.promote import refusing

    with refusing():
        if champion is None and last_champion(read_history(workspace.promotion_ledger), PRODUCTION_MODEL) is not None:
            current_champion(workspace.tracking_uri, PRODUCTION_MODEL, workspace.promotion_ledger)


def promote_champion(workspace: Workspace, params: Params, promoter: str, approval: str = "") -> StepReport:
    """Promote the judged candidate, or refuse.

    Args:
        approval: path or digest of a human's grant; "": the latest of this verdict that is good now, if any is.

    Raises:
        GateRefused: verdict, evidence, policy, bytes or the present champion do not permit it.
    """
    from orchestration.lifecycle.approvals import find_approval
    from orchestration.lifecycle.smoke_answer import ask_phantom
    from orchestration.tracking.describe import describe_served, tell_what_was_done
    from validation.gates.verdict import read_verdict
    from validation.promotion.approval import sealed_refusals
    from validation.promotion.history import read_history
    from validation.promotion.promote import promote, refusing
    from validation.promotion.refusals import demand_no_refusal

    uri = _judged_candidate(workspace)
    with refusing():
        demand_metrics_as_sealed(workspace, uri)
        judged, history = read_verdict(workspace.verdict_file), read_history(workspace.promotion_ledger)
        demand_no_refusal(judged.challenger_model, history, sealed_refusals(workspace.approvals))
    with _gathered_evidence(workspace) as evidence:
        promotion = promote(
            workspace.verdict_file,
            tracking_uri=workspace.tracking_uri,
            candidate_uri=uri,
            evidence_folder=evidence,
            policy_path=policy_path(params, workspace),
            production_model=PRODUCTION_MODEL,
            promoter=promoter,
            at=datetime.now(UTC),
            ask_phantom=ask_phantom,
            approval=find_approval(workspace, approval),
            ledger_path=workspace.promotion_ledger,
        )
    _serve(workspace, promotion.champion.version)
    describe_served(workspace, promotion.champion.version)
    tell_what_was_done(workspace, params)
    figures: dict[str, Figure] = {
        "champion": f"{PRODUCTION_MODEL} version {promotion.champion.version}",
        "model": promotion.champion.model_digest[:12],
        "before": (promotion.previous_digest or "none")[:12],
        "verdict": promotion.verdict[:12],
        "by": promoter,
    }
    return _kept(StepReport("champion", figures), workspace)


def _serve(workspace: Workspace, version: str) -> None:
    """Renew the local copy that serves; where that fails the promotion stands, and this says so."""
    try:
        refresh_local_champion(workspace)
    except (OSError, PlumblineError) as error:
        raise GateRefused(
            "LOCAL_COPY_BEHIND",
            found=f"version {version}, promoted, and a local copy that could not be renewed: {error}",
            expected="the champion's bytes in state/champion",
            remedy="see to the cause and run `plumbline champion --fetch`; until then the earlier copy measures here",
        ) from error


def policy_path(params: Params, workspace: Workspace) -> Path:
    """The policy's file: a name among the shipped ones, or a path (relative to the workspace)."""
    from validation.gates import policy as shipped

    named = Path(shipped.__file__).parent / "policies" / f"{params.gate.policy}.yaml"
    if named.exists():
        return named
    path = Path(params.gate.policy).expanduser()
    return path if path.is_absolute() else workspace.root / path


def demand_policy(params: Params, workspace: Workspace) -> None:
    """Refuse a policy that is not there or not valid before anything is trained for it.

    Raises:
        ParametersRejected: with the names of the shipped policies.
    """
    from validation.gates import policy as shipped

    path = policy_path(params, workspace)
    if not path.exists():
        names = sorted(p.stem for p in (Path(shipped.__file__).parent / "policies").glob("*.yaml"))
        raise ParametersRejected(
            "POLICY_MISSING",
            found=f"gate.policy {params.gate.policy!r}",
            expected=f"one of {', '.join(names)}, or the path of a policy file",
            remedy="correct gate.policy in params.yaml",
        )
    shipped.read_policy(path)


def _judged_candidate(workspace: Workspace) -> str:
    """The registered version whose bytes the latest verdict speaks of, found by digest and not by alias."""
    from validation.gates.verdict import read_verdict

    if not workspace.verdict_file.exists():
        raise _nothing_judged("no verdict")
    return candidate_with(workspace, read_verdict(workspace.verdict_file).challenger_model)


def candidate_with(workspace: Workspace, wanted: str) -> str:
    """Address of the registered candidate with this model digest.

    Raises:
        GateRefused: VERDICT_ABSENT.
    """
    from validation.promotion.champion import open_registry, versions_of

    for version in versions_of(open_registry(workspace.tracking_uri), CANDIDATES_MODEL):
        if version.tags.get("plumbline.model_digest") == wanted:
            return f"models:/{CANDIDATES_MODEL}/{version.version}"
    raise _nothing_judged(f"no registered candidate with the judged digest {wanted[:12]}")


def _name_challenger(workspace: Workspace, digest: str) -> None:
    """Show in the registry which candidate was judged last; a candidate adopted but not registered yet has no page."""
    from validation.promotion.champion import open_registry
    from validation.promotion.champion_change import name_challenger

    with suppress(GateRefused):
        version = candidate_with(workspace, digest).rpartition("/")[2]
        name_challenger(open_registry(workspace.tracking_uri), CANDIDATES_MODEL, version)


def _nothing_judged(found: str) -> GateRefused:
    return GateRefused(
        "VERDICT_ABSENT",
        found=found,
        expected="a candidate that was evaluated, registered and judged",
        remedy="run the chain (`plumbline run`), then promote",
    )


@contextmanager
def _gathered_evidence(workspace: Workspace) -> Iterator[Path]:
    """One folder with all evaluation records, under their roles, for as long as they are needed.

    A copy that stays would be one that nobody verifies; what was judged lies with the served model's run.
    """
    folder = workspace.state / "evidence"
    shutil.rmtree(folder, ignore_errors=True)
    if seed_evidence_folder(workspace).is_dir():
        shutil.copytree(seed_evidence_folder(workspace), folder / "seeds")
    sources = {"challenger": workspace.evaluation, "champion": workspace.champion_evaluation}
    for role, source in {**sources, "baseline": workspace.baseline_evaluation}.items():
        if (source / "record.json").exists():
            (folder / role).mkdir(parents=True)
            shutil.copy2(source / "record.json", folder / role / "record.json")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kept(report: StepReport, workspace: Workspace) -> StepReport:
    write_step_report(report, workspace)
    return report
