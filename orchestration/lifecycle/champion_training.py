"""The facts of the champion's training, from the sealed record that was made when the champion was a candidate."""

from orchestration.lifecycle.seed_evidence import record_of
from orchestration.pipeline.workspace import Workspace
from orchestration.tracking.run_facts import candidate_of
from spine.errors import EvidenceRejected, GateRefused
from validation.evaluation.model_facts import TrainingFacts
from validation.registry.client import open_registry


def champion_training(workspace: Workspace, model_digest: str) -> TrainingFacts | None:
    """The facts of the training; None if the registry has no valid record of this model.

    No error here prevents a verdict: without the facts, the gate does not compare the training data of both models.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        client = open_registry(workspace.tracking_uri)
        version = candidate_of(client, model_digest)
        if version is None or not version.run_id:
            return None
        facts = record_of(client, client.get_run(version.run_id)).model_facts
    except (MlflowException, SQLAlchemyError, OSError, GateRefused, EvidenceRejected):
        return None
    return facts.training if facts else None
