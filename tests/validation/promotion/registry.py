"""A desk at which promotions are asked for: a registry, an evidence folder, and models of known quality."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from spine.errors import GateRefused
from spine.model_digest import model_digest
from validation.evaluation.record import EvaluationRecord, write_record
from validation.gates.evidence import Evidence
from validation.gates.policy import DEFAULT_POLICY, read_policy
from validation.gates.verdict import Verdict, judge, write_verdict
from validation.promotion.champion import open_registry
from validation.promotion.promote import Promotion, current_champion, promote
from validation.promotion.smoke_test import PhantomAnswer, phantom_truths

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SERVED = "plumbline"
AUTHOR = "A. Trainer"


def knowing_answer(folder: Path, *, seconds: float = 0.2, **other: float | None) -> PhantomAnswer:
    """What a model that knows the bundled study says of it; keywords replace single values."""
    truths = phantom_truths()
    values: Mapping[str, float | None] = {name: value for name, (value, _) in truths.items()} | other
    units = {name: unit for name, (_, unit) in truths.items()}
    return PhantomAnswer(model_digest(folder), values, units, ("frontal", "lateral"), seconds)


@dataclass
class Desk:
    """A registry, an evidence folder and the way from a model's quality to an asked promotion."""

    tracking_uri: str
    folder: Path
    scored: Callable[..., EvaluationRecord]
    policy: Path = DEFAULT_POLICY

    @property
    def verdict_path(self) -> Path:
        return self.folder / "evidence" / "verdict.json"

    @property
    def ledger(self) -> Path:
        return self.folder / "evidence" / "promotions.jsonl"

    def export(self, name: str) -> Path:
        model = self.folder / name
        model.mkdir()
        (model / "model.onnx").write_bytes(f"graph of {name}".encode())
        (model / "contract.json").write_text(json.dumps({"name": name}))
        (model / "card.md").write_text(f"# {name}\n")
        return model

    def register_again(self, name: str) -> tuple[str, Path]:
        """Register the same bytes as a new candidate."""
        shutil.rmtree(self.folder / name)
        return self.register(name)

    def register(self, name: str) -> tuple[str, Path]:
        """Log and register an exported model as a candidate: (address, folder of the registry's own bytes)."""
        client = open_registry(self.tracking_uri)
        known = client.get_experiment_by_name("training")
        # A server says itself where artefacts go.
        server = self.tracking_uri.startswith("http")
        where = None if server else (self.folder / "artifacts" / "training").as_uri()
        experiment = known.experiment_id if known else client.create_experiment("training", artifact_location=where)
        run = client.create_run(experiment, tags={"plumbline.author": AUTHOR})
        client.log_artifacts(run.info.run_id, str(self.export(name)), "model")
        client.set_terminated(run.info.run_id)
        if known is None:
            client.create_registered_model("candidates")
        version = client.create_model_version("candidates", f"{run.info.artifact_uri}/model", run_id=run.info.run_id)
        return f"models:/candidates/{version.version}", self.folder / "artifacts" / "training" / run.info.run_id

    def judge(self, name: str, champion: str | None = None, **quality: Any) -> Verdict:
        """Score, judge and write the evidence of model ``name`` against the exported model ``champion``."""
        challenger = self.scored("challenger", model_digest(self.folder / name), **quality)
        write_record(challenger, self.folder / "evidence" / f"record-{name}.json")
        digest = model_digest(self.folder / champion) if champion is not None else None
        return self._write_verdict(challenger, digest)

    def judge_against_digest(self, name: str, champion_digest: str) -> Verdict:
        """``judge`` against a champion whose files are elsewhere."""
        challenger = self.scored("challenger", model_digest(self.folder / name))
        write_record(challenger, self.folder / "evidence" / f"record-{name}.json")
        return self._write_verdict(challenger, champion_digest)

    def _write_verdict(self, challenger: EvaluationRecord, champion_digest: str | None) -> Verdict:
        rival = None
        if champion_digest is not None:
            rival = self.scored("champion", champion_digest, noise=2.0, seed=2)
            write_record(rival, self.folder / "evidence" / "deeper" / f"record-{champion_digest[:12]}.json")
        verdict = judge(read_policy(self.policy), Evidence(challenger, rival), judged_at=AT)
        write_verdict(verdict, self.verdict_path)
        return verdict

    def promote(self, address: str, policy: Path | None = None, **changes: Any) -> Promotion:
        arguments: dict[str, Any] = {
            "promoter": "test", "at": AT, "ask_phantom": knowing_answer, "production_model": SERVED,
        }  # fmt: skip
        return promote(
            self.verdict_path,
            tracking_uri=self.tracking_uri,
            candidate_uri=address,
            evidence_folder=self.folder / "evidence",
            policy_path=policy or self.policy,
            **(arguments | changes),
        )

    def refuses(self, address: str, code: str, policy: Path | None = None, **changes: Any) -> GateRefused:
        before = current_champion(self.tracking_uri, SERVED)
        with pytest.raises(GateRefused) as refusal:
            self.promote(address, policy, **changes)
        assert refusal.value.code == code
        assert current_champion(self.tracking_uri, SERVED) == before, "a refusal moved the alias"
        return refusal.value
