"""Error rates and power of the gate on simulated errors of known size, and its running time.

The errors of champion and challenger are independent and normal, and their paired difference has the SD that the policy
plans for. A challenger is better or worse by known shares of the margins. The comparison is the code of the gate. The
chart is ``docs/gate-power.png``.
"""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure, median_seconds, new_chart, save_chart
from spine.dataset import Example, ExampleView, Truth
from spine.dataset_writing import digest_of_test_split
from spine.landmarks import MARGINS175, VIEWS
from spine.measurement.registry import PARAMETERS, Measured
from spine.prediction import Prediction
from spine.types import Floats
from validation.evaluation.agreement import draw_patients
from validation.evaluation.record import EvaluationRecord, ModelRole, evaluate, read_record, write_record
from validation.gates.comparison import evaluate_losses
from validation.gates.comparison_terms import Equal
from validation.gates.evidence import Evidence
from validation.gates.paired import POOLED, PairedLosses, power_at
from validation.gates.policy import DEFAULT_POLICY, Policy, read_policy
from validation.gates.rule_results import APPROVABLE
from validation.gates.verdict import judge, write_verdict

IMAGE = Path("docs/gate-power.png")
PATIENTS = (20, 30, 40, 50, 75, 100, 150, 200, 300, 500)
SMALL, LARGE = 50, 500
REPEATS, CURVE_REPEATS, SEED = {SMALL: 2000, LARGE: 1000}, 200, 11
FOLDED = 2**0.5 * (1 - 2 / np.pi) ** 0.5
"""SD of |a| - |b| for two independent normal errors of SD 1."""
AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Challenger:
    """The true difference of a challenger from the champion in margins: of the Cobb angle, and of all others."""

    name: str
    cobb: float
    others: float


EQUAL = Challenger("equal", 0.0, 0.0)
WORSE = Challenger("Cobb worse by the margin, all others equal", 1.0, 0.0)
TRADED = Challenger("Cobb worse by the margin, all others better by the margin", 1.0, -1.0)
SLIGHTLY, BETTER = (
    Challenger("all better by a fifth of the margin", -0.2, -0.2),
    Challenger("all better by half the margin", -0.5, -0.5),
)


ALL_WORSE = Challenger("all worse by the bound of equality", 0.3, 0.3)
HALF_WORSE = Challenger("all worse by half the bound of equality", 0.15, 0.15)
EQUALITY = Equal(
    within=0.3,
    new_patients=20,
    reason="an equal model that learnt from more patients may be preferred, if a person decides so",
    source="benchmarks/gate.py: with 50 patients an equal model passes three times in four",
)
"""The path of equal models as docs/gate.md describes it. No shipped policy has this section."""


def figures() -> list[Figure]:
    """Error rates with 50 and 500 patients, points of the power curves, and the running time of the gate."""
    policy = read_policy(DEFAULT_POLICY)
    found = []
    for n in (SMALL, LARGE):
        how = f"{REPEATS[n]} simulated comparisons, {n} patients"
        promoted = {c.name: 100 * _promoted(policy, c, n, REPEATS[n]) for c in (EQUAL, WORSE, TRADED)}
        found.append(Figure(f"equal models promoted, {n} patients", promoted[EQUAL.name], "%", "at most 5", how))
        found += [
            Figure(f"stopped: {c.name}, {n} patients", 100 - promoted[c.name], "%", "at least 95", how)
            for c in (WORSE, TRADED)
        ]
    draw_power(policy, IMAGE)
    return [*found, *_equal_figures(policy), *_curve_figures(policy), *_times()]


def _equal_figures(policy: Policy) -> list[Figure]:
    """The share of challengers that a person may approve as equal models with more data, or that are promoted."""
    lenient = policy.model_copy(update={"comparison": policy.comparison.model_copy(update={"equal": EQUALITY})})
    found = []
    for n in (SMALL, LARGE):
        how = f"{REPEATS[n]} simulated comparisons, {n} patients, bound of equality {EQUALITY.within:g} margins"
        for challenger, wanted in (
            (EQUAL, ""),
            (HALF_WORSE, ""),
            (ALL_WORSE, "at most 5"),
            (WORSE, "at most 5"),
        ):
            share = 100 * _open_to_approval(lenient, challenger, n, REPEATS[n])
            found.append(Figure(f"equality, {challenger.name}, {n} patients", share, "%", wanted, how))
    return found


def _open_to_approval(policy: Policy, challenger: Challenger, n: int, repeats: int) -> float:
    """The share of comparisons in which every result passes, or is one that an approval satisfies."""
    rng = np.random.default_rng(_seed(challenger, n))
    passed = 0
    for _ in range(repeats):
        results = evaluate_losses(policy, _losses(policy, challenger, n, rng), EQUALITY.new_patients)
        passed += all(r.outcome == "PASS" or r.code in APPROVABLE for r in results)
    return passed / repeats


@cache
def _curve(policy_hash: str) -> Mapping[str, tuple[float, ...]]:
    """Name of a curve -> share for each of ``PATIENTS``, by the default policy; its hash is the key of the cache."""
    policy = read_policy(DEFAULT_POLICY)
    assert policy.hash == policy_hash
    shown = tuple(_not_worse(policy, n, CURVE_REPEATS) for n in PATIENTS)
    curves = {"equal, shown to be not worse": shown}
    for challenger in (EQUAL, SLIGHTLY, BETTER, TRADED):
        curves[f"{challenger.name}, promoted"] = tuple(
            _promoted(policy, challenger, n, CURVE_REPEATS) for n in PATIENTS
        )
    return curves


def _curve_figures(policy: Policy) -> list[Figure]:
    how = f"{CURVE_REPEATS} simulated comparisons, chart in {IMAGE}"
    return [
        Figure(f"{name}, {n} patients", 100 * share, "%", "", how)
        for name, shares in _curve(policy.hash).items()
        for n, share in zip(PATIENTS, shares, strict=True)
        if n in (30, 50, 100, 200)
    ]


def _losses(policy: Policy, challenger: Challenger, n: int, rng: np.random.Generator) -> PairedLosses:
    """Simulated differences of the losses of ``n`` patients."""
    differences: dict[str, Floats] = {}
    for name, margin in policy.comparison.margins.items():
        assert margin.planned_sd is not None
        ours, theirs = np.abs(rng.normal(0, margin.planned_sd / FOLDED, (2, n)))
        shift = challenger.cobb if name == "cobb" else challenger.others
        differences[name] = ours - theirs + shift * margin.margin
    margins = policy.comparison.margins
    differences[POOLED] = np.mean([differences[name] / margins[name].margin for name in margins], axis=0)
    patients = [f"p{i}" for i in range(n)]
    return PairedLosses((), differences, draw_patients(patients, policy.comparison.resamples, policy.comparison.seed))


def _promoted(policy: Policy, challenger: Challenger, n: int, repeats: int) -> float:
    """The share of simulated comparisons in which every rule of the comparison passed."""
    return _passed(policy, challenger, n, repeats, _seed(challenger, n), ())


def _seed(challenger: Challenger, n: int) -> tuple[int, ...]:
    return SEED, n, round(1000 * challenger.cobb) % 10007, round(1000 * challenger.others) % 10007


def _not_worse(policy: Policy, n: int, repeats: int) -> float:
    """The share of simulated comparisons in which an equal model was shown to be not worse in all parameters."""
    return _passed(policy, EQUAL, n, repeats, (SEED, n), (POOLED,))


def _passed(
    policy: Policy, challenger: Challenger, n: int, repeats: int, seed: tuple[int, ...], without: tuple[str, ...]
) -> float:
    rng, passed = np.random.default_rng(seed), 0
    for _ in range(repeats):
        results = evaluate_losses(policy, _losses(policy, challenger, n, rng))
        passed += all(r.outcome == "PASS" for r in results if r.subject not in without)
    return passed / repeats


def least_patients(policy: Policy) -> int:
    """The smallest number of patients with which a comparison can decide under the policy."""
    assert policy.comparison.power is not None
    wanted = policy.comparison.power.at_least
    floor = max(int(r.threshold) for r in policy.rules if r.kind == "test_set")
    n = floor
    while any(power_at(m.margin, (m.planned_sd or 0) / n**0.5) < wanted for m in policy.comparison.margins.values()):
        n += 1
    return n


def draw_power(policy: Policy, path: Path) -> None:
    """Draw the power curves as a PNG."""
    figure, axes = new_chart(8.2, 4.4)
    colours = ("#2a6f97", "#6b7785", "#7fb069", "#3b7d3b", "#b5412b")
    for (name, shares), colour in zip(_curve(policy.hash).items(), colours, strict=True):
        style = "--" if "shown" in name else "-"
        axes.plot(PATIENTS, [100 * s for s in shares], style, marker="o", markersize=3.5, color=colour, label=name)
    least = least_patients(policy)
    axes.axvspan(PATIENTS[0], least, color="#e3e7eb", zorder=0)
    axes.text(PATIENTS[0] * 1.03, 50, "too few\npatients:\nINSUFFICIENT", fontsize=8, color="#1f2933")
    axes.axhline(5, color="#b5412b", linewidth=0.8, linestyle=":")
    axes.set(
        xscale="log", xlabel="patients in the frozen test set", ylabel="% of simulated comparisons", ylim=(-2, 102)
    )
    axes.set_xticks(PATIENTS, [str(n) for n in PATIENTS])
    axes.minorticks_off()
    axes.grid(color="#e3e7eb")
    axes.legend(fontsize=8, frameon=False, loc="center right")
    axes.set_title("The gate's comparison with the champion (margins and planned SD of default.yaml)", fontsize=10)
    save_chart(figure, path)


def _times() -> list[Figure]:
    """The time of the gate with its files, for 500 patients with 175 landmarks."""
    challenger, champion = simulated_record("challenger", LARGE), simulated_record("champion", LARGE)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_record(challenger, folder / "challenger.json")
        write_record(champion, folder / "champion.json")

        def gate() -> None:
            ours, theirs = read_record(folder / "challenger.json"), read_record(folder / "champion.json")
            verdict = judge(read_policy(DEFAULT_POLICY), Evidence(ours, theirs), judged_at=AT)
            write_verdict(verdict, folder / "verdict.json")

        whole = median_seconds(gate, 3)
        began = time.process_time()
        gate()
        processor = time.process_time() - began
    how = f"{LARGE} patients, two views of 175 landmarks, three repeats"
    return [
        Figure("the gate: records and policy read, verdict written", whole, "s", "at most 5", how),
        Figure("the gate, processor time", processor, "s", "", "without the load of other processes"),
    ]


def simulated_record(role: ModelRole, n: int) -> EvaluationRecord:
    """The evaluation record of ``n`` simulated patients, with all facts that define groups of patients."""
    rng = np.random.default_rng(1 if role == "challenger" else 2)
    truths = np.random.default_rng(7).normal(35, 12, (n, len(PARAMETERS)))
    errors = rng.normal(0, 1.0 if role == "challenger" else 1.5, truths.shape)
    examples, predictions = [], []
    for i in range(n):
        points = {name: np.array([100.0 + 9 * (j % 7), 5.0 * j]) for j, name in enumerate(MARGINS175.names)}
        views = {
            v: ExampleView(v, f"{i}{v}", f"{i:064d}", (900, 300), (0.5, 0.5), "GEOMETRY", None, points) for v in VIEWS
        }
        truth = {name: Truth(float(truths[i, j]), p.unit) for j, (name, p) in enumerate(PARAMETERS.items())}
        facts = {
            "simulated": True,
            "condition": f"condition_{i % 7}",
            "field_of_view": f"field_{i % 5}",
            "sex": "FM"[i % 2],
            "age_years": 10 + i % 70,
            "appearance": f"look_{i % 4}",
            "anatomy": "standard",
        }
        examples.append(Example(f"s{i:04d}", f"p{i:04d}", "test", "virtual", views, {}, truth, facts))
        values = {name: float(truths[i, j] + errors[i, j]) for j, name in enumerate(PARAMETERS)}
        measured = {k: Measured(v, PARAMETERS[k].unit, interval=(v - 5, v + 5)) for k, v in values.items()}
        found = {name: xy + 0.5 for name, xy in points.items()}
        predictions.append(Prediction(f"s{i:04d}", dict.fromkeys(VIEWS, found), parameters=measured, seconds=0.2))
    digest = ("a" if role == "challenger" else "b") * 64
    record = evaluate(
        predictions,
        examples,
        model_digest=digest,
        model_role=role,
        landmark_set="margins175",  # type: ignore[arg-type]
        test_digest=digest_of_test_split("margins175", examples),
        dataset_digest="d" * 64,
        dvc_version=None,
        code_commit="c" * 40,
        code_dirty=False,
        evaluated_at=AT,
        model_bytes=8_000_000,
    )
    sides = (replace(study, true_side="left", found_side="left") for study in record.studies)
    return replace(record, studies=tuple(sides))
