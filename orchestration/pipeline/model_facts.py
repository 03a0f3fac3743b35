"""The facts of how a model was made, for its evaluation record: from its contract and from the record of its fit."""

from pathlib import Path

from inference.model import Model
from spine.dataset import Manifest
from training.config import config_to_json
from training.export.candidate import CANDIDATE_FILE, read_summary
from training.journal import flattened
from validation.evaluation.model_facts import ModelFacts, TrainingFacts

RENDERED = "virtual"
"""The kind of source of patients that are rendered during training."""


def facts_of_model(model: Model, training: TrainingFacts | None) -> ModelFacts:
    """The facts of a loaded model, with the facts of its training if these are known."""
    contract = model.contract
    return ModelFacts(contract.landmark_set, contract.names, contract.input_shape, training)


def facts_of_training(folder: Path, model_digest: str, manifest: Manifest) -> TrainingFacts | None:
    """The facts of the fit in ``folder``; None if the folder has no finished fit of this model on this dataset."""
    if not (folder / CANDIDATE_FILE).is_file():
        return None
    summary = read_summary(folder)
    if summary.model_digest != model_digest or summary.dataset_digest != manifest.digest:
        return None
    learnt = [e for e in manifest.index() if e.split == "train"] if summary.config.uses_train_split else []
    sources = {entry.source for entry in learnt} | ({RENDERED} if summary.config.renders else set())
    return TrainingFacts(
        sources=tuple(sorted(sources)),
        patients=tuple(sorted({entry.patient for entry in learnt})),
        parameters=flattened(config_to_json(summary.config)),
    )
