"""``python -m training.export.release`` makes an evaluated candidate the bundled model.

Contract: the evaluation record contains the digest of the candidate. Every figure on the card comes from the evaluation
record or from the record of the fit.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from inference.bundled import BUNDLED, BUNDLED_NAME, RELEASE_FILE
from inference.contract import read_contract
from spine.errors import EvidenceRejected, PlumblineError
from spine.model_digest import CONTRACT_FILE, GRAPH_FILE, model_digest
from spine.storage import write_text_atomically
from training.export.candidate import FitSummary, read_summary
from training.export.candidate_card import model_facts, training_facts
from validation.evaluation.record import EvaluationRecord, read_record
from validation.review.card_text import card_markdown, with_group_errors
from validation.review.group_errors import group_errors_of
from validation.review.model_card import ModelCard, evaluation_of, limits_of, size_text

WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "card.md"
_LIMITS = (
    "not for images of anything but a spine: most are refused, `make bench` prints how many",
    "not for patients or radiographs unlike those of the virtual cohort (docs/virtual-cohort.md) before its errors "
    "were measured on them",
)


def release(
    candidate: Path, record: Path, out: Path = BUNDLED, wider: Path | None = None, tried: Path | None = None
) -> str:
    """Copy a candidate and its card into the folder of the bundled model; returns the model's digest.

    Args:
        candidate: folder of a finished fit.
        record: evaluation record of the candidate.
        out: folder that is written.
        wider: another evaluation record of the same model, on more patients, from which the errors by subgroup come.
        tried: text file, each line of which says what was tried on real radiographs, by which command, and the result.

    Raises:
        EvidenceRejected: a record belongs to another model, or to real patients.
    """
    digest = model_digest(candidate)
    evidence = _evidence(record, digest)
    more = _evidence(wider, digest) if wider else evidence
    summary = read_summary(candidate)
    own = [
        {"seconds": round(s.seconds), "gpus": s.devices, "seed": s.seed, "steps": s.steps, "device": s.device}
        for s in summary.stages
    ]
    fits = [*_earlier_fits(summary, own), *own]
    out.mkdir(parents=True, exist_ok=True)
    for name in (GRAPH_FILE, CONTRACT_FILE, WEIGHTS_FILE):
        shutil.copyfile(candidate / name, out / name)
    card = bundled_card(candidate, summary, evidence, more, fits)
    lines = tuple(tried.read_text().splitlines()) if tried else ()
    write_text_atomically(out / CARD_FILE, card_markdown(replace(card, tried=lines)))
    digests = {"model_digest": digest, "record_digest": evidence.digest, "wider_record_digest": more.digest}
    write_text_atomically(out / RELEASE_FILE, json.dumps({**digests, "fits": fits}, indent=1, sort_keys=True))
    return digest


def renew_subgroups(wider: Path, out: Path = BUNDLED) -> str:
    """Replace the errors by subgroup on the card of the bundled model; returns the model's digest.

    Raises:
        EvidenceRejected: the record belongs to another model, or to real patients.
    """
    digest = model_digest(out)
    evidence = _evidence(wider, digest)
    card = with_group_errors((out / CARD_FILE).read_text(), group_errors_of(evidence))
    write_text_atomically(out / CARD_FILE, card)
    facts = json.loads((out / RELEASE_FILE).read_text()) | {"wider_record_digest": evidence.digest}
    write_text_atomically(out / RELEASE_FILE, json.dumps(facts, indent=1, sort_keys=True))
    return digest


def _evidence(path: Path, digest: str) -> EvaluationRecord:
    record = read_record(path)
    if record.model_digest != digest or not record.simulated:
        kind = "virtual" if record.simulated else "real"
        raise EvidenceRejected(
            "RECORD_OF_ANOTHER",
            found=f"a record of model {record.model_digest[:12]} on {kind} patients",
            expected=f"a record of model {digest[:12]} on virtual patients",
            remedy="evaluate this candidate first (`plumbline run`, or `plumbline stage evaluation`)",
        )
    return record


def _earlier_fits(summary: FitSummary, own: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The fits of the bundled model, if the fit of ``summary`` started from it, without its ``own`` fits.

    If the same candidate is released again, its fits are already those of the bundled model.
    """
    if summary.config.init_from != BUNDLED_NAME:
        return []
    fits: list[dict[str, Any]] = json.loads((BUNDLED / RELEASE_FILE).read_text())["fits"]
    return fits[: -len(own)] if fits[-len(own) :] == own else fits


def bundled_card(
    folder: Path,
    summary: FitSummary,
    record: EvaluationRecord,
    wider: EvaluationRecord,
    fits: Sequence[Mapping[str, Any]],
) -> ModelCard:
    """The card of the bundled model.

    Args:
        folder, summary: the candidate and the record of its fit.
        record: evaluation record of the candidate.
        wider: evaluation record from which the errors by subgroup come.
        fits: seconds, GPUs and device of every fit whose weights the next one started from.
    """
    contract = read_contract(folder)
    gpu_minutes = sum(fit["seconds"] * fit["gpus"] for fit in fits) / 60
    runs = ", ".join(f"{fit['seconds']} s on {_gpus(fit['gpus'])}" for fit in fits)
    devices = ", ".join(dict.fromkeys(fit["device"] for fit in fits if "device" in fit))
    cost = f"{gpu_minutes:.0f} GPU minutes ({runs}; {devices})"
    return ModelCard(
        model=record.model_digest,
        facts={**model_facts(contract), "size": size_text(record)},
        training={**training_facts(summary, contract), "cost": cost},
        evaluation=evaluation_of(record),
        group_errors=group_errors_of(wider),
        limits=(*limits_of(record, virtual_training=contract.simulated_training_data is True), *_LIMITS),
    )


def _gpus(count: int) -> str:
    return "one GPU" if count == 1 else f"{count} GPUs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Release a candidate, or renew the card's errors by subgroup; returns the exit code."""
    program = "python -m training.export.release"
    parser = argparse.ArgumentParser(prog=program, description="Make a candidate the bundled model.")
    parser.add_argument("candidate", type=Path, nargs="?", help="folder of a finished fit")
    parser.add_argument("record", type=Path, nargs="?", help="evaluation record of the candidate")
    parser.add_argument("--wider", type=Path, help="evaluation record on more patients, for the errors by subgroup")
    parser.add_argument("--tried", type=Path, help="text file: what was tried on real radiographs, one result a line")
    parser.add_argument("--out", type=Path, default=BUNDLED, help="folder of the bundled model")
    options = parser.parse_args(arguments)
    try:
        if options.candidate and options.record:
            digest = release(options.candidate, options.record, options.out, options.wider, options.tried)
        elif options.wider and not options.candidate:
            digest = renew_subgroups(options.wider, options.out)
        else:
            parser.error("give a candidate and its record, or only --wider to replace the card's errors by subgroup")
    except PlumblineError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"released {digest[:12]} into {options.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
