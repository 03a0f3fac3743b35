"""The promotion: a judged candidate becomes the champion, or is refused.

Contract: ``promote`` does not rely on earlier checks by its caller or on tags in MLflow. The function

1. reads verdict, policy, evidence and approval from their files, and verifies every digest;
2. judges again, and requires the same verdict;
3. copies the candidate's files to the promoter's registered model, and requires the judged digest;
4. runs the smoke test on the copy;
5. changes the champion record, if the record has not changed since the start.
"""

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from spine.errors import GateRefused
from spine.model_digest import find_model_folder
from validation.evaluation.record import EvaluationRecord, read_record
from validation.evaluation.sealing import unverified_digest
from validation.gates.evidence import Evidence
from validation.gates.policy import Policy, read_policy
from validation.gates.verdict import Verdict, judge, read_verdict
from validation.gates.verdict_text import decision_sentence
from validation.promotion.approval import may_be_promoted
from validation.promotion.approval_check import require_approval
from validation.promotion.approved_baseline import require_expected_baseline
from validation.promotion.champion import Champion, current_champion, download
from validation.promotion.champion_change import change_champion, open_for_change, sync
from validation.promotion.champion_record import COMPARE_AGAIN, ChampionRecord, ServingVersion
from validation.promotion.cleanup import clean_up
from validation.promotion.history import HistoryEntry, read_history
from validation.promotion.promotion_request import PromotionRequest
from validation.promotion.registry_errors import errors_as_refusals
from validation.promotion.served_copy import author_of, copy_judged_bytes
from validation.promotion.smoke_test import require_smoke_test


@dataclass(frozen=True)
class Promotion:
    """A completed promotion.

    Attributes:
        champion: the new champion.
        previous_digest: digest of the previous champion; None if there was no previous champion.
        verdict: digest of the verdict.
        history_entry: digest of the last entry of the history.
    """

    champion: Champion
    previous_digest: str | None
    verdict: str
    history_entry: str


def promote(request: PromotionRequest) -> Promotion:
    """Make the judged candidate the champion of ``request.production_model``, or refuse.

    Raises:
        GateRefused: these codes mean that nothing has changed: VERDICT_HOLD, VERDICT_REJECT, VERDICT_INSUFFICIENT,
            EVIDENCE_* (missing, altered ...), STATISTICS_INCONSISTENT, POLICY_* (missing, changed ...),
            VERDICT_NOT_REPRODUCED, STALE_CHAMPION, STALE_BASELINE, CHAMPION_* (lost, moved, unknown), MODEL_DENIED,
            APPROVAL_*, SAME_PERSON, AUTHOR_UNKNOWN, CANDIDATE_* (address, missing, run dead), MODEL_* (altered,
            incomplete ...), UNSAFE_FILES, SMOKE_TEST_*, HISTORY_* (broken, cut), CLOCK_WENT_BACK, NO_CHAMPIONS_DB,
            REGISTRY_UNAVAILABLE. After CHANGE_UNFINISHED `plumbline history --repair` completes the change.
    """
    model, ledger = request.production_model, request.ledger_path
    with errors_as_refusals():
        verdict = _promotable_verdict(request.verdict_path)
    with open_for_change(request.tracking_uri, model, ledger, request.at) as (client, record):
        current_champion(request.tracking_uri, model)  # This call refuses an alias that is missing or was changed.
        serving = sync(client, record, ledger, request.at)
        _require_expected_champion(verdict, serving)
        policy = _reproduce(verdict, request.policy_path, request.evidence_folder)
        _require_not_denied(record, verdict)
        author, history = author_of(client, request.candidate_uri), read_history(ledger)
        require_expected_baseline(policy, verdict, history, model, record.denials())
        approval = require_approval(
            request.approval, policy, verdict, production_model=model, author=author, entries=history, at=request.at
        )
        clean_up(client, record, ledger)
        evidence = _evidence_files(request, verdict)
        version = copy_judged_bytes(
            client, request, verdict, evidence, lambda copy: _smoke_test(request, copy, verdict, policy, serving)
        )
        entry = _announcement(request, verdict, version, approval)
        previous = serving.version if serving else ""
        champion, done = change_champion(client, record, ledger, entry, serving, previous=previous)
    return Promotion(champion, verdict.champion_model, verdict.digest, done.digest)


def _announcement(request: PromotionRequest, verdict: Verdict, version: str, approval: str | None) -> HistoryEntry:
    return HistoryEntry(
        event="intended",
        at=request.at.isoformat(),
        promoter=request.promoter,
        production_model=request.production_model,
        version=version,
        model_digest=verdict.challenger_model,
        previous_digest=verdict.champion_model,
        verdict=verdict.digest,
        policy_hash=verdict.policy_hash,
        test_digest=verdict.test_digest,
        approval=approval,
    )


def _smoke_test(
    request: PromotionRequest, copy: Path, verdict: Verdict, policy: Policy, serving: ServingVersion | None
) -> None:
    """Run the smoke test on the copy. If the champion's files can be downloaded, run it on the champion, too."""
    measure = request.measure_virtual_study
    with tempfile.TemporaryDirectory() as scratch:
        champion: Path | None = None
        if serving is not None and measure is not None:
            address = f"models:/{request.production_model}/{serving.version}"
            # Without the champion's files there is no comparison of times. The limit in seconds still applies.
            with suppress(Exception):
                champion = find_model_folder(download(request.tracking_uri, address, Path(scratch)))
        folder = find_model_folder(copy)
        require_smoke_test(measure, folder, verdict.challenger_model, policy.virtual_study, champion)


def _promotable_verdict(path: Path) -> Verdict:
    """The verdict at ``path``. A verdict that permits no promotion is refused."""
    verdict = read_verdict(path)
    if not may_be_promoted(verdict):
        raise GateRefused(
            f"VERDICT_{verdict.decision}",
            found=decision_sentence(verdict).rstrip("."),
            expected="a PROMOTE verdict",
            remedy="read the reasons with `plumbline explain`; train a better model or provide more evidence",
        )
    return verdict


def _reproduce(verdict: Verdict, policy_path: Path, evidence_folder: Path) -> Policy:
    """Judge the evidence again and require the same verdict. Return the policy."""
    policy = read_policy(policy_path)
    if policy.hash != verdict.policy_hash:
        raise GateRefused(
            "POLICY_CHANGED",
            found=f"policy {policy.name} with hash {policy.hash[:12]}",
            expected=f"hash {verdict.policy_hash[:12]}, as in the verdict",
            remedy="judge again with the present policy",
        )
    files = _by_digest(evidence_folder)
    evidence = Evidence(
        challenger=_record(files, verdict.challenger_evidence),
        champion=_record(files, verdict.champion_evidence) if verdict.champion_model else None,
        baseline=_record(files, verdict.baseline_evidence) if verdict.baseline_model else None,
        other_seeds=tuple(_record(files, digest) for digest in verdict.seed_evidence),
    )
    again = judge(policy, evidence, judged_at=datetime.fromisoformat(verdict.judged_at))
    if again.digest != verdict.digest:
        raise GateRefused(
            "VERDICT_NOT_REPRODUCED",
            found=f"another verdict when the same evidence is judged again: {again.decision} ({again.digest[:12]})",
            expected=f"{verdict.decision} ({verdict.digest[:12]}), as in the verdict file",
            remedy="judge again",
        )
    return policy


def _evidence_files(request: PromotionRequest, verdict: Verdict) -> list[Path]:
    """The files of verdict, policy and approval, and of the evaluation records that the verdict names."""
    others = (verdict.champion_evidence, verdict.baseline_evidence, *verdict.seed_evidence)
    wanted = list(dict.fromkeys(d for d in (verdict.challenger_evidence, *others) if d))
    files = _by_digest(request.evidence_folder)
    approval = [request.approval] if request.approval else []
    return [request.verdict_path, request.policy_path, *approval, *(files[d] for d in wanted if d in files)]


def _by_digest(folder: Path) -> dict[str | None, Path]:
    """Digest -> the file that states this digest, for the files at any depth below ``folder``."""
    return {unverified_digest(path): path for path in sorted(folder.rglob("*.json"), reverse=True)}


def _record(files: Mapping[str | None, Path], digest: str | None) -> EvaluationRecord:
    """The verified record with this digest."""
    if digest in files and digest:
        return read_record(files[digest])
    raise GateRefused(
        "EVIDENCE_MISSING",
        found=f"the evidence folder has no evaluation record {str(digest)[:12]}",
        expected="every record that the verdict names",
        remedy="evaluate and judge again",
    )


def _require_expected_champion(verdict: Verdict, serving: ServingVersion | None) -> None:
    found = serving.digest if serving else None
    if found != verdict.champion_model:
        raise GateRefused(
            "STALE_CHAMPION",
            found=f"champion {(found or 'none')[:12]}",
            expected=f"champion {(verdict.champion_model or 'none')[:12]}, as in the verdict",
            remedy=COMPARE_AGAIN,
        )


def _require_not_denied(record: ChampionRecord, verdict: Verdict) -> None:
    denial = record.denials().get(verdict.challenger_model)
    if denial is not None:
        raise GateRefused(
            "MODEL_DENIED",
            found=f"model {denial.digest[:12]} was denied by {denial.by} on {denial.at[:10]}: {denial.reason}",
            expected="a model that is not denied",
            remedy="train another model. A rollback denied this model; if that was a mistake, a person other than the "
            f"author can reinstate it: `plumbline reinstate {denial.digest[:12]} --as NAME --comment TEXT`",
        )
