"""Judges a candidate: scores the champion on the same frozen test set, and compares the evidence with the policy."""

import shutil
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from orchestration.lifecycle.baseline import baseline_record, score_baseline
from orchestration.lifecycle.champion_training import champion_training
from orchestration.lifecycle.seed_evidence import gather_seed_evidence
from orchestration.pipeline.evaluate import evaluate_model, is_evaluated
from orchestration.pipeline.lock import require_lock
from orchestration.pipeline.names import CANDIDATES_MODEL, PRODUCTION_MODEL
from orchestration.pipeline.params import Params
from orchestration.pipeline.policies import workspace_policy
from orchestration.pipeline.step_report import Figure, Row, StepReport, read_step_report, write_step_report
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.describe import review_candidate
from orchestration.tracking.registry import candidate_with, history_state
from orchestration.tracking.shadow_cases import shadow_record
from spine.errors import GateRefused
from spine.types import Progress
from validation.evaluation.record import EvaluationRecord, read_record
from validation.gates.evidence import Evidence
from validation.gates.shadow_record import ShadowRecord, write_shadow_record
from validation.gates.verdict import judge, write_verdict
from validation.promotion.sync import name_challenger
from validation.registry.client import fetch_version, open_registry
from validation.registry.errors import errors_as_refusals
from validation.review.rule_table import ABSENT, RuleRow, rule_row


def rescore_champion(workspace: Workspace, params: Params, progress: Progress | None = None) -> StepReport:
    """Score the champion on the candidate's frozen test set with the same code, before the candidate is judged.

    A record of the same model, test set and code is used again.
    """
    champion = history_state(workspace).champion
    if champion is None:
        shutil.rmtree(workspace.champion_evaluation, ignore_errors=True)
        shutil.rmtree(workspace.baseline_evaluation, ignore_errors=True)
        return write_step_report(StepReport("champion_evaluation", {"champion": "none yet"}), workspace)
    before = read_step_report("champion_evaluation", workspace)
    known = is_evaluated(workspace, champion.digest, workspace.champion_evaluation / "record.json")
    if known and before is not None:
        report = replace(before, skipped=True)
    else:
        folder, out = workspace.state / "champion_to_score", workspace.champion_evaluation
        with errors_as_refusals():
            where = (workspace.tracking_uri, PRODUCTION_MODEL, champion.version, champion.digest)
            fetch_version(*where, into=folder)
        report = evaluate_model(
            workspace,
            folder,
            out,
            role="champion",
            step="champion_evaluation",
            progress=progress,
            training=champion_training(workspace, champion.digest),
        )
    scored = {"last approved": score_baseline(workspace, champion.digest, progress)}
    report = replace(report, figures={**report.figures, **scored})
    write_step_report(replace(report, skipped=False), workspace)
    return report


def judge_candidate(workspace: Workspace, params: Params) -> StepReport:
    """Compare evidence and policy, and write the verdict (as latest verdict and under its digest) and the report."""
    challenger = read_record(workspace.evaluation / "record.json")
    champion_record = workspace.champion_evaluation / "record.json"
    champion = read_record(champion_record) if champion_record.exists() else None
    policy = workspace_policy(params, workspace)
    _require_champion_is_scored(workspace, champion)
    baseline = baseline_record(workspace, champion)
    seeds = gather_seed_evidence(workspace, policy, challenger)
    shadow = _shadow_evidence(workspace, challenger, champion) if policy.shadow else None
    evidence = Evidence(challenger, champion, baseline, tuple(seeds.records.values()), shadow)
    verdict = judge(policy, evidence, judged_at=datetime.now(UTC))
    require_lock(workspace)
    for path in (workspace.verdict_file, workspace.verdict_file.with_name(f"{verdict.digest}.json")):
        write_verdict(verdict, path)
    figures: dict[str, Figure] = {"decision": verdict.decision, "verdict": verdict.digest[:12]}
    _name_challenger(workspace, verdict.challenger_model)
    figures |= {"rules passed": f"{len(verdict.passed)} of {len(verdict.evaluated)}"}
    figures |= {"other seeds": ", ".join(seeds.records) or "none"}
    tables: dict[str, list[Row]] = {"seeds left out": [{"fit and reason": why} for why in seeds.left_out]}
    tables["rules that did not pass"] = [_rule(row) for row in map(rule_row, verdict.refusals)]
    page, run = review_candidate(workspace, params)
    shown = {title: rows for title, rows in tables.items() if rows}
    return write_step_report(StepReport("verdict", figures | run, shown, pages={"report": str(page)}), workspace)


def _shadow_evidence(
    workspace: Workspace, challenger: EvaluationRecord, champion: EvaluationRecord | None
) -> ShadowRecord | None:
    """The record of the challenger's shadow runs, which is kept for the promotion; None without such runs."""
    if champion is None:
        return None
    record = shadow_record(workspace, champion.model_digest, challenger.model_digest)
    if record is not None:
        write_shadow_record(record, workspace.shadow_evidence)
    return record


def _rule(row: RuleRow) -> Row:
    return {
        "outcome": row.outcome,
        "rule": row.about,
        "found": row.found if row.figure == ABSENT else row.figure,
        "limit": row.limit,
        "why": row.reason,
        "code": row.code,
    }


def _require_champion_is_scored(workspace: Workspace, champion: EvaluationRecord | None) -> None:
    """Refuse to judge without a champion if the history has one.

    Raises:
        GateRefused: CHAMPION_UNSCORED, or any error of ``history_state``.
    """
    serving = history_state(workspace).champion
    if champion is None and serving is not None:
        raise GateRefused(
            "CHAMPION_UNSCORED",
            found=f"no evaluation of the champion, version {serving.version}",
            expected="the champion's errors on the candidate's test set",
            remedy="run `plumbline run`, whose step champion_evaluation evaluates the champion",
        )


def _name_challenger(workspace: Workspace, digest: str) -> None:
    """Set the alias ``challenger`` to the judged candidate, if the candidate is registered."""
    with suppress(GateRefused):
        version = candidate_with(workspace, digest).rpartition("/")[2]
        name_challenger(open_registry(workspace.tracking_uri), CANDIDATES_MODEL, version)
