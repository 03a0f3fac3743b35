"""A checklist with the subjects of CLAIM (2024), filled from the records of one candidate.

Each answer comes from a record. Without a record the answer is "not provided". The checklist has the subjects of
CLAIM's items (Mongan, Moy, Kahn, Radiol Artif Intell 2020; update 2024), but is not the official form.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from spine.measurement.registry import PARAMETERS
from validation.evaluation.record import EvaluationRecord
from validation.gates.figure_words import figure_words
from validation.gates.rule_results import RuleResult
from validation.gates.subgroups import EVERYBODY
from validation.gates.verdict import Verdict
from validation.review.card_text import markdown_table
from validation.review.changes import SPLITS, RunFacts, commit_of, device_of, epochs_of, minutes
from validation.review.model_card import NOT_PROVIDED, VIRTUAL_TEST
from validation.review.subgroup_names import DIMENSIONS, NOT_KNOWN, group_of, in_order

SCHEMA = "plumbline.claim/1"


@dataclass(frozen=True)
class ClaimSource:
    """The records from which a checklist is filled."""

    record: EvaluationRecord
    verdict: Verdict
    run: RunFacts


@dataclass(frozen=True)
class ClaimItem:
    """One item: section, subject and answer. Without a record the answer is ``not provided``."""

    section: str
    subject: str
    answer: str

    @property
    def provided(self) -> bool:
        """Whether the answer comes from a record."""
        return self.answer != NOT_PROVIDED


def fill_checklist(source: ClaimSource) -> tuple[ClaimItem, ...]:
    """All items of the checklist, in order."""
    return tuple(
        ClaimItem(section, subject, (answer and answer(source)) or NOT_PROVIDED) for section, subject, answer in _ITEMS
    )


def claim_json(items: tuple[ClaimItem, ...]) -> str:
    """The checklist as JSON."""
    rows = [asdict(item) | {"provided": item.provided} for item in items]
    return json.dumps({"schema": SCHEMA, "items": rows}, indent=1, sort_keys=True)


def claim_markdown(items: tuple[ClaimItem, ...]) -> str:
    """The checklist as Markdown."""
    answered = sum(item.provided for item in items)
    rows = [(i.section, i.subject, i.answer if i.provided else "**NOT PROVIDED**") for i in items]
    table = markdown_table(("section", "item", "answer"), rows)
    return f"# CLAIM-style checklist\n\nThe records of this run answer {answered} of {len(items)} items.\n\n{table}\n"


def _partitions(source: ClaimSource) -> str | None:
    patients = source.run.patients
    if not patients:
        return None
    counts = ", ".join(f"{split} {sum(p.split == split for p in patients)}" for split in SPLITS)
    return f"{counts} patients, split by patient (validation/dataset/splits.py)"


def _demographics(source: ClaimSource) -> str | None:
    answers = []
    for dimension, title in DIMENSIONS.items():
        groups = [group_of(study, dimension) for study in source.record.studies]
        if set(groups) != {NOT_KNOWN}:
            answers.append(f"{title}: " + ", ".join(f"{g} ({groups.count(g)})" for g in in_order(groups)))
    return "; ".join(answers) or None


def _failures(source: ClaimSource) -> str | None:
    missing = [o.predicted_absent_reason for s in source.record.studies for o in s.parameters if o.truth is not None]
    absent = [reason for reason in missing if reason]
    if not missing:
        return None
    reasons = ", ".join(f"{reason} ({absent.count(reason)})" for reason in sorted(set(absent)))
    return f"{len(absent)} of {len(missing)} values were not predicted" + (f": {reasons}" if absent else "")


def _calibration(source: ClaimSource) -> str | None:
    figures = [(n, a.figures["interval_coverage"].value) for n, a in source.record.statistics.items()]
    answers = [f"{name} {value:.0%}" for name, value in figures if value is not None]
    return "90 % interval coverage: " + ", ".join(answers) if answers else None


def _figures(source: ClaimSource) -> str | None:
    figures = source.record.statistics
    answers = [
        f"{name} {error.value:.2f} [{error.low:.2f}, {error.high:.2f}] {agreement.unit}"
        for name, agreement in figures.items()
        if (error := agreement.figures["standard_error_of_estimate"]).value is not None
        and error.low is not None
        and error.high is not None
    ]
    return "standard error of the estimate: " + "; ".join(answers) if answers else None


def _sample_size(source: ClaimSource) -> str | None:
    required = [r for r in source.verdict.results if r.kind == "evidence" and r.threshold is not None]
    answers = [
        f"{_subject(r)}, {figure_words(r.figure_name)}: {_count(r, r.figure)}, required {_count(r, r.threshold)}"
        for r in required
        if r.figure is not None
    ]
    return "; ".join(answers) or None


def _subject(result: RuleResult) -> str:
    return PARAMETERS[result.subject].label if result.subject in PARAMETERS else result.subject


def _count(result: RuleResult, value: float | None) -> str:
    """A number of patients or true values as text, or a power in per cent."""
    return f"{value:.1%}" if result.power is not None else f"{value:.0f}"


def _aims(source: ClaimSource) -> str:
    champion = source.verdict.champion_model
    return (
        f"to replace champion {champion}" if champion else "to become the first champion; there is none to compare with"
    )


def _margins(source: ClaimSource) -> str:
    compared = [r for r in source.verdict.results if r.kind == "comparison" and r.threshold is not None]
    answers = [
        f"{_subject(r)}, {figure_words(r.figure_name)} {r.relation} {r.threshold:g} {r.unit}"
        for r in compared
        if r.group == "all"
    ]
    policy = (
        f"policy {source.verdict.policy} version {source.verdict.policy_version}, hash {source.verdict.policy_hash}"
    )
    return "; ".join((policy, *dict.fromkeys(answers)))


def _disjoint(source: ClaimSource) -> str | None:
    splits: dict[str, set[str]] = {}
    for fact in source.run.patients:
        splits.setdefault(fact.patient, set()).add(fact.split)
    if not splits:
        return None
    shared = sum(len(found) > 1 for found in splits.values())
    return f"{shared} of {len(splits)} patients are in more than one split" if shared else "patient"


def _code(source: ClaimSource) -> str | None:
    run, code = source.run, source.record.code
    if not code.commit:
        return None
    trained = f"trained at commit {commit_of(run)}" if run.commit else "training not recorded"
    return f"repository {NOT_PROVIDED}; {trained}; evaluated at commit {commit_of(code)}"


def _libraries(source: ClaimSource) -> str | None:
    known = (("trained", source.run.versions), ("evaluated", source.record.environment))
    answers = [
        f"{when} with " + ", ".join(f"{n} {v}" for n, v in sorted(found.items())) for when, found in known if found
    ]
    return "; ".join(answers) or None


def _training(source: ClaimSource) -> str | None:
    run = source.run
    if run.preset is None:
        return None
    spent = minutes(run)
    epochs = epochs_of(run)
    answers = (
        f"preset {run.preset}",
        f"seed {run.seed}",
        f"epochs: {epochs}" if epochs else "",
        spent and f"{spent} minutes",
    )
    return ", ".join(part for part in answers if part)


def _subgroups(source: ClaimSource) -> str | None:
    """The groups in which the models were compared, and the groups that were too small to judge, as text."""
    rows = [row for row in source.verdict.differences if row.group != EVERYBODY]
    judged = {row.group for row in rows if row.judged}
    small = {row.group for row in rows} - judged
    if not rows:
        return None
    answers = f"compared with the champion: {'; '.join(in_order(judged)) or 'no group'}"
    return answers + (f". Too few patients to judge: {'; '.join(in_order(small))}" if small else "")


def _model_location(source: ClaimSource) -> str | None:
    run = source.run
    return f"MLflow run {run.run_id}, candidate version {run.version}" if run.run_id else None


Answer = Callable[[ClaimSource], str | None]
_ITEMS: tuple[tuple[str, str, Answer | None], ...] = (
    ("title", "the kind of method", lambda s: f"neural network with DSNT, landmark set {s.record.landmark_set}"),
    ("introduction", "background and intended clinical role", None),
    ("introduction", "aims and hypotheses", _aims),
    ("methods: design", "prospective or retrospective", None),
    ("methods: design", "ethics approval and consent", None),
    ("methods: data", "sources of the data", lambda s: ", ".join(sorted({x.source for x in s.record.studies})) or None),
    ("methods: data", "virtual or real patients", lambda s: s.record.patients_are),
    ("methods: data", "inclusion and exclusion criteria", None),
    ("methods: data", "dates and places of acquisition", None),
    ("methods: data", "version of the dataset", lambda s: f"{s.record.dataset_digest}, DVC {s.record.dvc_version}"),
    ("methods: data", "de-identification", None),
    ("methods: reference", "definition of the reference standard", None),
    ("methods: reference", "annotators, their training, agreement between them", None),
    ("methods: partitions", "sizes and assignment", _partitions),
    ("methods: partitions", "level at which they are disjoint", _disjoint),
    ("methods: partitions", "frozen test set", lambda s: s.record.test_digest),
    ("methods: sample size", "size and its reason", _sample_size),
    ("methods: model", "digest of the model's bytes", lambda s: s.record.model_digest),
    ("methods: model", "software and versions", _libraries),
    ("methods: training", "hyperparameters and cost", _training),
    ("methods: training", "hardware", lambda s: device_of(s.run)),
    ("methods: training", "how the final model was chosen", None),
    ("methods: evaluation", "metrics and intervals", _figures),
    ("methods: evaluation", "statistical rule and margins", _margins),
    ("methods: evaluation", "robustness and subgroups", _subgroups),
    ("methods: evaluation", "calibration", _calibration),
    ("methods: evaluation", "explainability", None),
    ("methods: evaluation", "external test data", None),
    ("results", "flow of patients", None),
    ("results", "demographics of the test set", _demographics),
    ("results", "failures", _failures),
    ("results", "decision", lambda s: f"{s.verdict.decision}, verdict {s.verdict.digest}"),
    ("discussion", "limits", lambda s: VIRTUAL_TEST if s.record.simulated else None),
    ("discussion", "implications for practice", None),
    ("other", "registration", None),
    ("other", "availability of the code", _code),
    ("other", "availability of the model", _model_location),
    ("other", "funding", None),
)  # fmt: skip
