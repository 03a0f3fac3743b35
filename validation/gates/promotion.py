"""Promotion: the one writer of ``champion``.

What belongs here: verifying everything once more and moving the alias. What does not: deciding (``verdict``),
reading who serves (``champion``). Contract: ``promote`` trusts no caller, no graph and no tag. It reads verdict,
policy and records from their files, verifies every digest, judges again and demands the same verdict,
takes the bytes from the registry and demands the digest that was judged, copies them under the promoter's own
registered model (a registry copy alone would be a pointer to bytes somebody else can overwrite), checks that the
champion is still the one that was compared, moves the alias, reads it back and appends to the history. Launched alone,
after a failed or absent verdict, it refuses.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from spine.errors import EvidenceRejected, GateRefused, ParametersRejected
from spine.model_digest import find_model_folder, model_digest
from validation.evaluation.record import EvaluationRecord, read_record
from validation.evaluation.sealing import sealed_digest
from validation.gates.baseline import demand_expected_baseline
from validation.gates.champion import (
    CHAMPION_ALIAS,
    PREVIOUS_ALIAS,
    TAG,
    Champion,
    altered,
    champion_from_version,
    current_champion,
    download,
    fetch_champion,
    open_registry,
    version_of_alias,
    versions_of,
)
from validation.gates.history import HistoryEntry, append_entry, last_champion, locked, read_history
from validation.gates.policy import read_policy
from validation.gates.served_copy import Order, copy_judged_bytes
from validation.gates.verdict import Verdict, explain, judge, read_verdict

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["Champion", "Promotion", "current_champion", "fetch_champion", "promote", "restore_champion"]


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
        ledger_path: the history; ``promotions.jsonl`` in the evidence folder by default.
        artifact_root: where the promoter's artefacts go if its experiment does not exist yet; by default what
            the tracking server says, or ``artifacts`` beside a local database.

    Raises:
        GateRefused: VERDICT_HOLD, VERDICT_REJECT, VERDICT_INSUFFICIENT, EVIDENCE_* (missing, altered ...),
            STATISTICS_INCONSISTENT, POLICY_* (missing, changed ...), VERDICT_NOT_REPRODUCED, STALE_CHAMPION,
            STALE_BASELINE, CHAMPION_LOST, CHAMPION_UNKNOWN, CANDIDATE_* (address, missing, run dead), MODEL_* (altered,
            incomplete ...), UNSAFE_FILES, HISTORY_BROKEN, NOT_READ_BACK. Nothing has moved when one is raised, but
            for the last.
    """
    ledger = ledger_path or evidence_folder / "promotions.jsonl"
    with _refusing(), locked(ledger):
        verdict = _verified_verdict(verdict_path, policy_path, evidence_folder)
        demand_expected_baseline(read_policy(policy_path), verdict, read_history(ledger), production_model)
        client = open_registry(tracking_uri)
        settle_history(client, ledger, production_model, at)
        _demand_expected_champion(verdict, current_champion(tracking_uri, production_model))
        evidence = [verdict_path, policy_path, *_evidence_files(evidence_folder, verdict)]
        version = copy_judged_bytes(
            client,
            Order(verdict, evidence, tracking_uri, candidate_uri, production_model, promoter, at, artifact_root),
        )
        # Copying takes seconds; whoever moved the alias meanwhile outside this history is seen here.
        _demand_expected_champion(verdict, current_champion(tracking_uri, production_model))
        entry = HistoryEntry(
            event="intended",
            at=at.isoformat(),
            promoter=promoter,
            production_model=production_model,
            version=version,
            model_digest=verdict.challenger_model,
            previous_digest=verdict.champion_model,
            verdict=verdict.digest,
            policy_hash=verdict.policy_hash,
            test_digest=verdict.test_digest,
        )
        append_entry(ledger, entry)
        champion = _move_alias(client, production_model, version)
        done = append_entry(ledger, _again(entry, "promoted"))
    return Promotion(champion, verdict.champion_model, verdict.digest, done.digest)


def restore_champion(
    tracking_uri: str, production_model: str, *, ledger_path: Path, promoter: str, at: datetime
) -> Champion:
    """Set a lost or foreign alias back to the last champion of the history, after verifying its bytes.

    Raises:
        GateRefused: NO_CHAMPION (the history knows none), MODEL_ALTERED, HISTORY_BROKEN.
    """
    with _refusing(), locked(ledger_path):
        last = last_champion(read_history(ledger_path), production_model)
        if last is None:
            raise _refused("NO_CHAMPION", "a history without a champion", "one promotion", "promote a model")
        with tempfile.TemporaryDirectory() as scratch:
            folder = download(tracking_uri, f"models:/{production_model}/{last.version}", Path(scratch))
            actual = model_digest(find_model_folder(folder))
        if actual != last.model_digest:
            raise altered(actual, last.model_digest, f"version {last.version} in the registry")
        champion = _move_alias(open_registry(tracking_uri), production_model, last.version)
        append_entry(ledger_path, _again(last, "restored", at=at.isoformat(), promoter=promoter))
    return champion


def settle_history(client: "MlflowClient", ledger: Path, production_model: str, at: datetime) -> None:
    """Bring a history that was interrupted, or that an alias moved past, into step with the registry."""
    entries = [e for e in read_history(ledger) if e.production_model == production_model]
    version = version_of_alias(client, production_model, CHAMPION_ALIAS)
    serving = str(version.version) if version is not None else None
    if entries and entries[-1].event == "intended":
        entry = entries[-1]
        append_entry(ledger, _again(entry, "promoted" if serving == entry.version else "abandoned", at=at.isoformat()))
    last = last_champion(read_history(ledger), production_model)
    if version is not None and last is not None and last.version != serving:
        seen = champion_from_version(version)
        append_entry(
            ledger,
            HistoryEntry(
                "observed",
                at.isoformat(),
                seen.promoter,
                production_model,
                seen.version,
                seen.model_digest,
                last.model_digest,
                seen.verdict,
            ),
        )


def _verified_verdict(verdict_path: Path, policy_path: Path, evidence_folder: Path) -> Verdict:
    """The verdict, PROMOTE, reproduced from policy and evidence; anything else is refused."""
    verdict = read_verdict(verdict_path)
    if verdict.decision != "PROMOTE":
        raise _refused(
            f"VERDICT_{verdict.decision}",
            explain(verdict).splitlines()[0],
            "a verdict PROMOTE",
            "read the reasons with `plumbline explain`; a better model or more evidence is needed",
        )
    policy = read_policy(policy_path)
    if policy.hash != verdict.policy_hash:
        raise _refused(
            "POLICY_CHANGED",
            f"policy {policy.name} with hash {policy.hash[:12]}",
            f"{verdict.policy_hash[:12]}, by which was judged",
            "judge again by the present policy",
        )
    challenger = _find_record(evidence_folder, verdict.challenger_evidence)
    champion = _find_record(evidence_folder, verdict.champion_evidence) if verdict.champion_model else None
    baseline = _find_record(evidence_folder, verdict.baseline_evidence) if verdict.baseline_model else None
    again = judge(
        policy,
        challenger,
        champion,
        judged_at=datetime.fromisoformat(verdict.judged_at),
        baseline=baseline,
        siblings=[_find_record(evidence_folder, digest) for digest in verdict.seed_evidence],
    )
    if again.digest != verdict.digest:
        raise _refused(
            "VERDICT_NOT_REPRODUCED",
            f"{again.decision} ({again.digest[:12]}) from the same evidence",
            f"{verdict.decision} ({verdict.digest[:12]}) as written",
            "judge again",
        )
    return verdict


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


def _demand_expected_champion(verdict: Verdict, champion: Champion | None) -> None:
    found = champion.model_digest if champion else None
    if found != verdict.champion_model:
        raise _refused(
            "STALE_CHAMPION",
            f"champion {(found or 'none')[:12]}",
            f"{(verdict.champion_model or 'none')[:12]}, with which the challenger was compared",
            "re-score the present champion on the same test set and judge again",
        )


def _move_alias(client: "MlflowClient", production_model: str, version: str) -> Champion:
    """Point ``champion`` at ``version`` and ``previous_champion`` at the one before; read both back."""
    before = version_of_alias(client, production_model, CHAMPION_ALIAS)
    client.set_registered_model_alias(production_model, CHAMPION_ALIAS, version)
    now = version_of_alias(client, production_model, CHAMPION_ALIAS)
    if now is None or str(now.version) != version:
        raise _refused(
            "NOT_READ_BACK",
            f"alias at {now.version if now else 'nothing'} after it was set to {version}",
            f"version {version}",
            "another writer moved it: look at the history, then judge again",
        )
    if before is not None and str(before.version) != version:
        client.set_registered_model_alias(production_model, PREVIOUS_ALIAS, str(before.version))
        for other in versions_of(client, production_model):
            if other.tags.get(TAG + "state") == PREVIOUS_ALIAS:
                client.set_model_version_tag(production_model, str(other.version), TAG + "state", "retired")
        client.set_model_version_tag(production_model, str(before.version), TAG + "state", PREVIOUS_ALIAS)
    client.set_model_version_tag(production_model, version, TAG + "state", CHAMPION_ALIAS)
    return champion_from_version(now)


def _again(entry: HistoryEntry, event: str, **changes: str) -> HistoryEntry:
    return replace(entry, event=event, **changes)  # type: ignore[arg-type]


@contextmanager
def _refusing() -> Iterator[None]:
    """Evidence or policy that cannot be read is a refusal of the promotion, under its own code."""
    try:
        yield
    except (EvidenceRejected, ParametersRejected) as error:
        raise GateRefused(error.code, found=error.found, expected=error.expected, remedy=error.remedy) from error


def _refused(code: str, found: str, expected: str, remedy: str) -> GateRefused:
    return GateRefused(code, found=found, expected=expected, remedy=remedy)
