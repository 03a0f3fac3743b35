"""The model card of a finished fit, made from the record of the fit and the contract of the model."""

from collections.abc import Mapping

from inference.contract import ModelContract
from training.export.candidate import FitSummary
from validation.review.model_card import ModelCard, limits_of

_KINDS = {True: "simulated images only", False: "real images only", None: "images of mixed or unknown origin"}


def candidate_card(summary: FitSummary, contract: ModelContract) -> ModelCard:
    """The card of a candidate at its registration, before any evaluation."""
    return ModelCard(
        model=str(summary.model_digest),
        facts=model_facts(contract),
        training=training_facts(summary, contract),
        limits=limits_of(None, virtual_training=contract.simulated_training_data is True),
    )


def model_facts(contract: ModelContract) -> Mapping[str, str]:
    """The facts about the inputs and outputs of the model."""
    shape = " x ".join(str(n) for n in contract.input_shape)
    return {
        "landmark set": f"`{contract.landmark_set}`, {len(contract.names)} landmarks",
        "views": ", ".join(contract.views),
        "input": f"one grey image, {shape} px, preprocessing version {contract.preprocessing_version}",
        "output": f"a heat map per landmark (stride {contract.heatmap_stride} px) and a visibility",
        "mirror images": "averaged with unclear frontal images" if contract.mirrored_average else "not used",
    }


def training_facts(summary: FitSummary, contract: ModelContract) -> Mapping[str, str]:
    """The facts about the data, the result and the cost of the fit."""
    return {
        "trained on": f"{contract.training_note}; {_KINDS[contract.simulated_training_data]}",
        "images": str(summary.images),
        "data set": f"`{summary.dataset_digest}`",
        "frozen test set": f"`{summary.test_digest}`",
        "validation landmark error": f"{summary.validation_error:.2f} {summary.error_unit}, on the validation split",
        "preset, seed": f"{summary.config.preset}, {summary.config.seed}",
        "cost": f"{summary.epochs} epochs, {summary.seconds:.0f} s on {summary.device}, {summary.precision}",
        "energy": summary.energy,
    }
