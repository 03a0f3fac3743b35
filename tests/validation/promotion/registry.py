"""A model registry with an evidence folder, in which models of known quality are judged, promoted and rolled back."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from spine.errors import GateRefused
from spine.model_digest import model_digest
from validation.evaluation.record import EvaluationRecord, write_record
from validation.gates.evidence import Evidence
from validation.gates.policy import DEFAULT_POLICY, VirtualStudyLimits, read_policy
from validation.gates.verdict import Verdict, judge, write_verdict
from validation.promotion import sync
from validation.promotion.approval import SignOff
from validation.promotion.decisions import approved, reinstated, rejected
from validation.promotion.events import Event, State
from validation.promotion.history import History, open_history
from validation.promotion.promote import promote
from validation.promotion.promotion_request import PromotionRequest
from validation.promotion.rollback import Rollback, RollbackRequest, rollback
from validation.promotion.smoke_test import VirtualStudyResult, virtual_study_truths
from validation.promotion.sync import changing, promotions_experiment, read_state
from validation.promotion.verify import verify
from validation.registry.client import open_registry, versions_of

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SERVED = "plumbline"
AUTHOR = "A. Trainer"
REVIEWER = SignOff("R. Viewer", "looked at the worst twenty")


def correct_result(folder: Path, *, seconds: float = 0.2, **other: float | None) -> VirtualStudyResult:
    """A correct result for the bundled study, in which keywords replace single values."""
    truths = virtual_study_truths()
    values: Mapping[str, float | None] = {name: value for name, (value, _) in truths.items()} | other
    units = {name: unit for name, (_, unit) in truths.items()}
    return VirtualStudyResult(model_digest(folder), values, units, ("frontal", "lateral"), seconds)


@contextmanager
def killed_in(owner: object, name: str, *, after: bool = False) -> Iterator[None]:
    """End the block in the function ``owner.name``, or ``after`` it, like a kill: no error handler runs."""
    complete = getattr(owner, name)

    def dies(*arguments: Any, **named: Any) -> Any:
        if after:
            complete(*arguments, **named)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(owner, name, dies)
        yield


@dataclass
class Registry:
    """A registry, an evidence folder, and the steps from a model's quality to its promotion."""

    tracking_uri: str
    folder: Path
    scored: Callable[..., EvaluationRecord]
    policy: Path = DEFAULT_POLICY

    def copy_to(self, folder: Path) -> "Registry":
        """A copy in ``folder``, whose database has the addresses of the copied artefacts."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        moved = (self.folder.as_posix(), folder.as_posix())
        with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                for _, column, *_ in database.execute(f"PRAGMA table_info({table})").fetchall():
                    change = f"UPDATE {table} SET {column} = replace({column}, ?, ?) WHERE instr({column}, ?)"
                    database.execute(change, (*moved, moved[0]))
        return replace(self, tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", folder=folder)

    @property
    def verdict_path(self) -> Path:
        return self.folder / "evidence" / "verdict.json"

    @property
    def copy(self) -> Path:
        return self.folder / "evidence" / "history.jsonl"

    @property
    def history(self) -> History:
        return open_history(self.tracking_uri, SERVED, self.copy)

    @property
    def state(self) -> State:
        return self.history.state()

    @property
    def champion(self) -> Event | None:
        """The champion, as readers see it."""
        return read_state(self.tracking_uri, SERVED, self.copy).champion

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.state.events]

    def execute(self, *statements: str) -> None:
        """Run SQL statements in the database, without the gate's transactions."""
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as database, database:
            for statement in statements:
                database.execute(statement)

    def digest(self, name: str) -> str:
        """Digest of the exported model ``name``."""
        return model_digest(self.folder / name)

    def export(self, name: str) -> Path:
        model = self.folder / name
        model.mkdir()
        (model / "model.onnx").write_bytes(f"graph of {name}".encode())
        (model / "contract.json").write_text(json.dumps({"name": name}))
        (model / "card.md").write_text(f"# {name}\n")
        return model

    def register(self, name: str) -> str:
        """Export, log and register a model as a candidate. Return its address."""
        client = open_registry(self.tracking_uri)
        known = client.get_experiment_by_name("training")
        # A server chooses the artefact folder itself.
        server = self.tracking_uri.startswith("http")
        where = None if server else (self.folder / "artifacts" / "training").as_uri()
        experiment = known.experiment_id if known else client.create_experiment("training", artifact_location=where)
        run = client.create_run(experiment, tags={"plumbline.author": AUTHOR})
        client.log_artifacts(run.info.run_id, str(self.export(name)), "model")
        client.set_terminated(run.info.run_id)
        if known is None:
            client.create_registered_model("candidates")
        version = client.create_model_version("candidates", f"{run.info.artifact_uri}/model", run_id=run.info.run_id)
        return f"models:/candidates/{version.version}"

    def stored(self, address: str) -> Path:
        """The folder of the run that registered the candidate. Its name is the run's id."""
        version = open_registry(self.tracking_uri).get_model_version("candidates", address.rpartition("/")[2])
        return self.folder / "artifacts" / "training" / version.run_id

    def candidate(self, name: str, champion: str | None = None, **quality: Any) -> str:
        """Register and judge a model. Return its address."""
        address = self.register(name)
        self.judge(name, champion, **quality)
        return address

    def judge(self, name: str, champion: str | None = None, **quality: Any) -> Verdict:
        """Score, judge and write the evidence of model ``name``; ``champion`` is an exported model or a digest."""
        challenger = self.scored("challenger", self.digest(name), **quality)
        write_record(challenger, self.folder / "evidence" / f"record-{name}.json")
        rival = None
        if champion is not None:
            champion_digest = self.digest(champion) if (self.folder / champion).exists() else champion
            rival = self.scored("champion", champion_digest, noise=2.0, seed=2)
            write_record(rival, self.folder / "evidence" / "deeper" / f"record-{champion_digest[:12]}.json")
        verdict = judge(read_policy(self.policy), Evidence(challenger, rival), judged_at=AT)
        write_verdict(verdict, self.verdict_path)
        return verdict

    def promote(
        self, address: str, policy: Path | None = None, *, where: History | None = None, **changes: Any
    ) -> Event:
        """Promote a candidate in the history ``where``, by default this registry's own."""
        arguments: dict[str, Any] = {
            "verdict_path": self.verdict_path,
            "policy_path": policy or self.policy,
            "evidence_folder": self.folder / "evidence",
            "candidate_uri": address,
            "promoter": "test",
            "at": AT,
            "measure_virtual_study": correct_result,
        }
        with changing(where or self.history) as change:
            return promote(change, PromotionRequest(**(arguments | changes)))

    def refuses(self, address: str, code: str, policy: Path | None = None, **changes: Any) -> GateRefused:
        before = self.champion
        with pytest.raises(GateRefused) as refusal:
            self.promote(address, policy, **changes)
        assert refusal.value.code == code
        assert self.champion == before, "a refusal changed the champion"
        return refusal.value

    def decide(self, decision: Callable[[State], Event]) -> Event:
        """Add the event of a decision to the history, as a command does."""
        with changing(self.history) as change:
            return change.history.append(decision)

    def approve(self, verdict: Verdict, sign_off: SignOff = REVIEWER, **changes: Any) -> Event:
        arguments: dict[str, Any] = {"policy": read_policy(self.policy), "author": AUTHOR, "at": AT} | changes
        return self.decide(partial(approved, verdict=verdict, sign_off=sign_off, **arguments))

    def reject(self, verdict: Verdict, sign_off: SignOff = REVIEWER, at: datetime = AT) -> Event:
        return self.decide(lambda _: rejected(verdict, sign_off, at))

    def reinstate(self, model: str, sign_off: SignOff = REVIEWER, author: str | None = AUTHOR) -> Event:
        return self.decide(partial(reinstated, model=model, sign_off=sign_off, author_of=lambda _: author, at=AT))

    def roll_back(self, **changes: Any) -> Rollback:
        arguments: dict[str, Any] = {
            "reason": "wrong side in 3 of 40 radiographs",
            "promoter": "R. Viewer",
            "at": AT,
            "measure_virtual_study": correct_result,
            "limits": VirtualStudyLimits(),
        }
        with changing(self.history) as change:
            return rollback(change, RollbackRequest(**(arguments | changes)))

    def sync(self) -> State:
        """What the next command does first. Return the state."""
        with changing(self.history) as change:
            return change.state

    def restore(self, sign_off: SignOff = REVIEWER) -> Event:
        """What ``plumbline history --restore`` does."""
        return sync.restore(self.history, sign_off, AT)

    def leftovers(self) -> list[str]:
        """The promotion runs that never ended, and the versions that were prepared and never in service."""
        client = open_registry(self.tracking_uri)
        experiment = client.get_experiment_by_name(promotions_experiment(SERVED))
        runs = client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'") if experiment else []
        prepared = [v for v in versions_of(client, SERVED) if v.tags.get("plumbline.state") == "prepared"]
        return [*(f"run {r.info.run_id}" for r in runs), *(f"version {v.version}" for v in prepared)]

    def faults(self) -> list[str]:
        """Codes of the faults that the verification finds."""
        return [fault.code for fault in verify(self.history)]
