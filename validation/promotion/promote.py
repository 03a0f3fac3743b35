"""Promotion: a judged candidate becomes champion, or is refused.

Contract: ``promote`` trusts no caller, no graph and no tag. It reads verdict, policy, records and approval from their
files, verifies every digest, judges again and demands the same verdict, takes the bytes from the registry and demands
the digest that was judged, copies them under the promoter's own registered model (a registry copy alone would be a
pointer to bytes somebody else can overwrite), asks the copy about the bundled study, and hands the seat over only if
it is still as it was when all this began. Launched alone, after a failed or absent verdict, it refuses.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from spine.errors import EvidenceRejected, GateRefused, ParametersRejected
from spine.model_digest import find_model_folder
from validation.evaluation.record import EvaluationRecord, read_record
from validation.evaluation.sealing import sealed_digest
from validation.gates.evidence import Evidence
from validation.gates.policy import Policy, read_policy
from validation.gates.verdict import Verdict, judge, read_verdict
from validation.gates.verdict_text import explain
from validation.promotion.approval import may_be_promoted, require_approval
from validation.promotion.approved_baseline import require_expected_baseline
from validation.promotion.champion import Champion, current_champion, download, fetch_champion, open_registry
from validation.promotion.champion_change import move, settle
from validation.promotion.champion_record import COMPARE_AGAIN, Holder, Seat, open_seat
from validation.promotion.cleanup import clear_left_over
from validation.promotion.database import unavailable
from validation.promotion.history import HistoryEntry, read_history, require_time_goes_on
from validation.promotion.history_length import anchored, place_of
from validation.promotion.served_copy import Order, author_of, copy_judged_bytes
from validation.promotion.smoke_test import AskPhantom, require_smoke_test

__all__ = ["Champion", "Promotion", "current_champion", "fetch_champion", "promote", "refusing"]


@dataclass(frozen=True)
class Promotion:
    """A promotion that happened.

    Attributes:
        champion: the model that serves now; previous_digest: of the one before, None for the first.
        verdict: digest of the verdict; history_entry: digest of the last entry of the history.
    """

    champion: Champion
    previous_digest: str | None
    verdict: str
    history_entry: str


def promote(
    verdict_path: Path,
    *,
    tracking_uri: str,
    candidate_uri: str,
    evidence_folder: Path,
    policy_path: Path,
    production_model: str,
    promoter: str,
    at: datetime,
    ask_phantom: AskPhantom | None,
    approval: Path | None = None,
    ledger_path: Path | None = None,
    artifact_root: str | None = None,
) -> Promotion:
    """Make the judged candidate the champion of ``production_model``, or refuse.

    Args:
        verdict_path: the sealed verdict.
        tracking_uri: MLflow's tracking store and registry.
        candidate_uri: ``models:/<name>/<version>`` or ``runs:/<run id>/<path>`` of the judged model.
        evidence_folder: holds the evaluation records, under any names, at any depth.
        policy_path: the policy the verdict was judged by.
        production_model: registered model whose alias moves.
        promoter: who or what promotes; at: when.
        ask_phantom: how to load a model and ask it about the bundled study; None is refused.
        approval: a human's grant, where the policy demands one.
        ledger_path: the history; ``promotions.jsonl`` in the evidence folder by default.
        artifact_root: where the promoter's artefacts go if its experiment does not exist yet; by default what
            the tracking server says, or ``artifacts`` beside a local database.

    Raises:
        GateRefused: VERDICT_HOLD, VERDICT_REJECT, VERDICT_INSUFFICIENT, EVIDENCE_* (missing, altered ...),
            STATISTICS_INCONSISTENT, POLICY_* (missing, changed ...), VERDICT_NOT_REPRODUCED, STALE_CHAMPION,
            STALE_BASELINE, CHAMPION_* (lost, moved, unknown), MODEL_DENIED, APPROVAL_*, SAME_PERSON, AUTHOR_UNKNOWN,
            CANDIDATE_* (address, missing, run dead), MODEL_* (altered, incomplete ...), UNSAFE_FILES, SMOKE_TEST_*,
            HISTORY_* (broken, cut), CLOCK_WENT_BACK, NO_CHAMPIONS_DB, REGISTRY_UNAVAILABLE: nothing has moved.
            MOVE_UNFINISHED: the seat has, and the rest follows with `plumbline history --repair`.
    """
    ledger = ledger_path or evidence_folder / "promotions.jsonl"
    with refusing():
        verdict = _willing_verdict(verdict_path)
        client, seat = open_registry(tracking_uri), open_seat(tracking_uri, production_model)
    with refusing(), anchored(seat, ledger):
        require_time_goes_on(read_history(ledger), at)
        current_champion(tracking_uri, production_model)  # refuses an alias that is lost or was moved by somebody else
        holder = settle(client, seat, ledger, at)
        _require_expected_champion(verdict, holder)
        policy = _verify(verdict, policy_path, evidence_folder)
        _require_not_denied(seat, verdict)
        author, history = author_of(client, candidate_uri), read_history(ledger)
        require_expected_baseline(policy, verdict, history, production_model, seat.denials())
        spent = require_approval(
            approval, policy, verdict, production_model=production_model, author=author, entries=history, at=at
        )
        files = [verdict_path, policy_path, *([approval] if approval else [])]
        files += _evidence_files(evidence_folder, verdict)
        order = Order(
            verdict, files, tracking_uri, candidate_uri, production_model, promoter, at, artifact_root, place_of(ledger)
        )
        clear_left_over(client, seat, ledger)
        version = copy_judged_bytes(
            client, order, lambda folder: _smoke_test(order, folder, ask_phantom, policy, holder)
        )
        entry = _intention(order, version, spent)
        champion, done = move(client, seat, ledger, entry, holder, previous=holder.version if holder else "")
    return Promotion(champion, verdict.champion_model, verdict.digest, done.digest)


def _intention(order: Order, version: str, approval: str | None) -> HistoryEntry:
    verdict = order.verdict
    return HistoryEntry(
        event="intended",
        at=order.at.isoformat(),
        promoter=order.promoter,
        production_model=order.production_model,
        version=version,
        model_digest=verdict.challenger_model,
        previous_digest=verdict.champion_model,
        verdict=verdict.digest,
        policy_hash=verdict.policy_hash,
        test_digest=verdict.test_digest,
        approval=approval,
    )


def _smoke_test(order: Order, folder: Path, ask: AskPhantom | None, policy: Policy, holder: Holder | None) -> None:
    """The copy that would serve is asked, and the champion too, where its bytes can be had."""
    with tempfile.TemporaryDirectory() as scratch:
        served: Path | None = None
        if holder is not None and ask is not None:
            address = f"models:/{order.production_model}/{holder.version}"
            # A champion whose files are gone cannot be compared with; the bound in seconds stays.
            with suppress(Exception):
                served = find_model_folder(download(order.tracking_uri, address, Path(scratch)))
        require_smoke_test(ask, find_model_folder(folder), order.verdict.challenger_model, policy.virtual_study, served)


def _willing_verdict(path: Path) -> Verdict:
    """The verdict, if it permits a promotion at all."""
    verdict = read_verdict(path)
    if not may_be_promoted(verdict):
        raise _refused(
            f"VERDICT_{verdict.decision}",
            explain(verdict).splitlines()[0],
            "a verdict PROMOTE",
            "read the reasons with `plumbline explain`; a better model or more evidence is needed",
        )
    return verdict


def _verify(verdict: Verdict, policy_path: Path, evidence_folder: Path) -> Policy:
    """The policy, after the verdict was reproduced from policy and evidence; anything else is refused."""
    policy = read_policy(policy_path)
    if policy.hash != verdict.policy_hash:
        raise _refused(
            "POLICY_CHANGED",
            f"policy {policy.name} with hash {policy.hash[:12]}",
            f"{verdict.policy_hash[:12]}, by which was judged",
            "judge again by the present policy",
        )
    evidence = Evidence(
        challenger=_find_record(evidence_folder, verdict.challenger_evidence),
        champion=_find_record(evidence_folder, verdict.champion_evidence) if verdict.champion_model else None,
        baseline=_find_record(evidence_folder, verdict.baseline_evidence) if verdict.baseline_model else None,
        other_seeds=tuple(_find_record(evidence_folder, digest) for digest in verdict.seed_evidence),
    )
    again = judge(policy, evidence, judged_at=datetime.fromisoformat(verdict.judged_at))
    if again.digest != verdict.digest:
        raise _refused(
            "VERDICT_NOT_REPRODUCED",
            f"{again.decision} ({again.digest[:12]}) from the same evidence",
            f"{verdict.decision} ({verdict.digest[:12]}) as written",
            "judge again",
        )
    return policy


def _evidence_files(folder: Path, verdict: Verdict) -> list[Path]:
    """The files of the evaluation records the verdict rests on, anywhere below ``folder``."""
    beside = (verdict.champion_evidence, verdict.baseline_evidence, *verdict.seed_evidence)
    wanted = list(dict.fromkeys(d for d in (verdict.challenger_evidence, *beside) if d))
    paths = {sealed_digest(path): path for path in sorted(folder.rglob("*.json"))}
    return [paths[digest] for digest in wanted if digest in paths]


def _find_record(folder: Path, digest: str | None) -> EvaluationRecord:
    """The record with this digest anywhere below ``folder``, verified."""
    for path in sorted(folder.rglob("*.json")) if digest else ():
        if sealed_digest(path) == digest:
            return read_record(path)
    raise _refused(
        "EVIDENCE_MISSING",
        f"no evaluation record {str(digest)[:12]} in the evidence folder",
        "the record the verdict rests on",
        "evaluate and judge again",
    )


def _require_expected_champion(verdict: Verdict, holder: Holder | None) -> None:
    found = holder.digest if holder else None
    if found != verdict.champion_model:
        raise _refused(
            "STALE_CHAMPION",
            f"champion {(found or 'none')[:12]}",
            f"{(verdict.champion_model or 'none')[:12]}, with which the challenger was compared",
            COMPARE_AGAIN,
        )


def _require_not_denied(seat: Seat, verdict: Verdict) -> None:
    denial = seat.denials().get(verdict.challenger_model)
    if denial is not None:
        raise _refused(
            "MODEL_DENIED",
            f"model {denial.digest[:12]}, denied by {denial.by} on {denial.at[:10]}: {denial.reason}",
            "a model that was not rolled back from",
            "train another; if the rollback was a mistake, somebody other than the author lifts it: "
            f"`plumbline lift {denial.digest[:12]} --as NAME --comment TEXT`",
        )


@contextmanager
def refusing() -> Iterator[None]:
    """What cannot be read is a refusal under its own code; a registry that fails in the middle is one too."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (EvidenceRejected, ParametersRejected) as error:
        raise GateRefused(error.code, found=error.found, expected=error.expected, remedy=error.remedy) from error
    except (MlflowException, SQLAlchemyError, RequestException) as error:
        # MLflow's artefact store answers with bare HTTP errors.
        status = getattr(getattr(error, "response", None), "status_code", None)
        if getattr(error, "error_code", "") == "PERMISSION_DENIED" or status == 403:
            raise _not_permitted(str(error)) from error
        raise unavailable(str(error)) from error


def _not_permitted(why: str) -> GateRefused:
    return _refused(
        "NOT_PERMITTED",
        f"an account that MLflow does not allow this: {' '.join(why.split())[:200]}",
        "one that may write the served model and its experiment",
        "let somebody with that account do it (docs/promotion.md, accounts)",
    )


def _refused(code: str, found: str, expected: str, remedy: str) -> GateRefused:
    return GateRefused(code, found=found, expected=expected, remedy=remedy)
