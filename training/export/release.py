"""``python -m training.export.release``: a judged candidate becomes the model in the box.

Contract: the record must be of these very bytes; every figure on the card comes from it or from the fit's own records,
none is typed.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference.bundled import BUNDLED, RELEASE_FILE
from inference.contract import CONTRACT_FILE, MODEL_FILE, model_digest
from spine.errors import EvidenceRejected, PlumblineError
from spine.measurement.registry import PARAMETERS
from spine.storage import write_text_atomically
from training.export.candidate import FitSummary, read_summary
from training.export.subgroup_errors import overall_table, subgroup_tables
from training.journal import read_journal

WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "card.md"


def release(
    candidate: Path, record: Path, earlier: Sequence[Path] = (), out: Path = BUNDLED, wider: Path | None = None
) -> str:
    """Copy a candidate into the box with its card; returns its digest.

    Args:
        candidate: folder of a finished fit.
        record: its evaluation record.
        earlier: folders of fits (or of their journals) whose weights it started from.
        out: the box.
        wider: another evaluation record of the same bytes, on more patients, for the figures by subgroup.

    Raises:
        EvidenceRejected: the record is of another model, or of patients that are not virtual.
    """
    digest = model_digest(candidate)
    evidence = _evidence(record, digest)
    by_subgroup = _evidence(wider, digest) if wider else evidence
    summary = read_summary(candidate)
    fits = [*(_earlier_fit(folder) for folder in earlier), _last_fit(summary)]
    out.mkdir(parents=True, exist_ok=True)
    for name in (MODEL_FILE, CONTRACT_FILE, WEIGHTS_FILE):
        shutil.copyfile(candidate / name, out / name)
    write_text_atomically(out / CARD_FILE, card(evidence["content"], summary, fits, by_subgroup["content"]))
    facts = {"model_digest": digest, "record_digest": evidence["digest"], "fits": fits}
    facts["wider_record_digest"] = by_subgroup["digest"]
    write_text_atomically(out / RELEASE_FILE, json.dumps(facts, indent=1, sort_keys=True))
    return digest


def renew_subgroups(wider: Path, out: Path = BUNDLED) -> str:
    """Write the card's figures by subgroup anew, from another evaluation record of the bytes in the box.

    Raises:
        EvidenceRejected: the record is of another model, or of patients that are not virtual.
    """
    digest = model_digest(out)
    evidence = _evidence(wider, digest)
    text = (out / CARD_FILE).read_text()
    before, after = text.index("By subgroup, "), text.index("Level shifts: ")
    write_text_atomically(out / CARD_FILE, f"{text[:before]}{_by_subgroup(evidence['content'])}\n{text[after:]}")
    facts = json.loads((out / RELEASE_FILE).read_text()) | {"wider_record_digest": evidence["digest"]}
    write_text_atomically(out / RELEASE_FILE, json.dumps(facts, indent=1, sort_keys=True))
    return digest


def _evidence(record: Path, digest: str) -> dict[str, Any]:
    evidence: dict[str, Any] = json.loads(record.read_text())
    content = evidence["content"]
    if content["model_digest"] != digest or content["simulated"] is not True:
        raise EvidenceRejected(
            "RECORD_OF_ANOTHER",
            found=f"a record of model {content['model_digest'][:12]}, simulated patients: {content['simulated']}",
            expected=f"one of {digest[:12]} on virtual patients",
            remedy="evaluate this candidate first (plumbline adopt, then plumbline stage evaluation)",
        )
    return evidence


def _last_fit(summary: FitSummary) -> dict[str, Any]:
    config = summary.config
    return {
        "seconds": round(summary.seconds),
        "gpus": config.devices,
        "seed": config.seed,
        "steps": summary.steps,
        "device": summary.device,
    }


def _earlier_fit(folder: Path) -> dict[str, Any]:
    """Cost of a fit that was broken off, from its journal up to the last checkpoint."""
    journal = read_journal(folder)
    last, parameters = journal.measurements[-1], journal.parameters
    gpus, batch = int(parameters["devices"]), int(parameters["batch_size"])
    seconds = last.step * batch * gpus / last.values["train/images_per_second"]
    return {"seconds": round(seconds), "gpus": gpus, "seed": int(parameters["seed"]), "steps": last.step}


def card(
    content: dict[str, Any], summary: FitSummary, fits: Sequence[dict[str, Any]], wider: dict[str, Any] | None = None
) -> str:
    """The card as Markdown; ``wider`` is the record of the figures by subgroup, if it is another."""
    minutes = sum(f["seconds"] * f["gpus"] for f in fits) / 60
    cut_off = sorted({s["facts"].get("field_of_view", "full") for s in content["studies"]})
    conditions = sorted({s["facts"].get("condition", "?") for s in content["studies"]})
    shift = content["level_shift_rate"]
    return f"""# The model in the box

Finds {len(summary.config.names)} landmarks of the spine on frontal and lateral radiographs and measures its alignment.
**Learnt from virtual patients only. Not for diagnosis; what it is worth on real radiographs has to be measured there.**

| | |
|---|---|
| digest | `{summary.model_digest}` |
| landmark set | `{summary.config.landmark_set}` |
| learnt from | virtual patients drawn while training, pairs and frontal radiographs; no real image |
| cost | {minutes:.0f} GPU minutes ({_runs(fits)}) on {summary.device} |
| chosen on | {summary.validation_error:.2f} {summary.error_unit} mean landmark error, validation split |
| tested on | {len(content["studies"])} virtual patients, frozen test set `{content["test_digest"][:12]}` |
| conditions | {", ".join(conditions)} |
| fields of view | {", ".join(cut_off)} |

| parameter | patients | standard error of the estimate | bias | answered | 90 % intervals that hold | mean width |
|---|---|---|---|---|---|---|
{chr(10).join(_parameter_rows(content["statistics"]))}

| points in | found | median, mm | mean, mm | 95th percentile, mm |
|---|---|---|---|---|
{chr(10).join(_landmark_rows(content["landmarks"]))}

{_by_subgroup(wider or content)}
Level shifts: {shift["value"]:.1%} of full-field images (95 % interval {shift["low"]:.1%} to {shift["high"]:.1%}).
Brackets are 95 % intervals over patients.

Must not be used for: diagnosis or treatment; images of anything but a spine (most are refused, `make bench` says
how many); any patient or radiograph unlike those of the virtual cohort (docs/virtual-cohort.md) before it was
measured on them.
"""


def _landmark_rows(landmarks: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"| {row['space']} | {row['n_found']} of {row['n_visible']} | {row['median_mm']:.2f} | {row['mean_mm']:.2f} "
        f"| {row['p95_mm']:.2f} |"
        for row in landmarks
        if row["group"] == "all"
    ]


def _runs(fits: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{f['seconds']} s on {f['gpus']} GPUs" for f in fits)


def _parameter_rows(statistics: dict[str, Any]) -> list[str]:
    rows = []
    for name, found in statistics.items():
        if name not in PARAMETERS or not PARAMETERS[name].in_paper:
            continue
        figures = found["figures"]
        error, bias, answered = (figures[n] for n in ("standard_error_of_estimate", "bias", "coverage"))
        held, width = figures["interval_coverage"], figures["interval_width"]
        rows.append(
            f"| {PARAMETERS[name].label} | {found['n']} | {_with_interval(error)} | {_with_interval(bias, '+')} "
            f"| {answered['value']:.0%} | {_share(held)} | {_plain(width)} |"
        )
    return rows


def _by_subgroup(content: dict[str, Any]) -> str:
    count, digest = len(content["studies"]), content["test_digest"][:12]
    return (
        f"By subgroup, {count} virtual patients of frozen test set `{digest}`; mean absolute error, degrees, all "
        f"answered unless said:\n\n{overall_table(content)}\n{subgroup_tables(content)}"
    )


def _share(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return "none given"
    return f"{figure['value']:.0%} [{figure['low']:.0%}, {figure['high']:.0%}]"


def _plain(figure: dict[str, Any]) -> str:
    return "" if figure["value"] is None else f"{figure['value']:.1f}"


def _with_interval(figure: dict[str, Any], sign: str = "") -> str:
    if figure["value"] is None:
        return f"absent: {figure['absent_reason']}"
    return f"{figure['value']:{sign}.2f} [{figure['low']:{sign}.2f}, {figure['high']:{sign}.2f}]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Release; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.export.release", description="Put a candidate into the box."
    )
    parser.add_argument("candidate", type=Path, nargs="?", help="folder of a finished fit")
    parser.add_argument("record", type=Path, nargs="?", help="its evaluation record")
    parser.add_argument("--earlier", type=Path, action="append", default=[], help="a fit it started from")
    parser.add_argument("--wider", type=Path, help="a record on more patients, for the figures by subgroup")
    parser.add_argument("--out", type=Path, default=BUNDLED)
    options = parser.parse_args(arguments)
    try:
        if options.candidate and options.record:
            digest = release(options.candidate, options.record, options.earlier, options.out, options.wider)
        elif options.wider and not options.candidate:
            digest = renew_subgroups(options.wider, options.out)
        else:
            parser.error("name a candidate and its record, or --wider alone to renew the card's figures by subgroup")
    except PlumblineError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"released {digest[:12]} into {options.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
