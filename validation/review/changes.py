"""The differences between the training runs of champion and challenger: settings, data, code, environment and cost.

An unknown fact is shown as ``not known`` and never counts as unchanged. If the machine does not report the energy that
it uses, the energy is shown as ``not measured``.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from validation.evaluation.record import CodeVersion

NOT_KNOWN = "not known"
NOT_MEASURED = "not measured"
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class PatientFact:
    """One patient in a dataset: pseudonym, split and condition."""

    patient: str
    split: str
    condition: str


@dataclass(frozen=True)
class RunFacts:
    """The recorded facts of one training run. A fact without a record is None or empty.

    Attributes:
        run_id: id of the MLflow run.
        version: version of the registered candidate.
        dagster_run: id of the Dagster run that registered the candidate.
        commit, dirty: git commit of the training, and whether there were uncommitted changes.
        versions: library -> version.
        preset, seed: preset and seed of the training.
        device, devices: kind and number of the devices.
        seconds: duration of the training.
        epochs: number of complete passes over the data.
        images: number of training images.
        settings: name of a training parameter -> its value as text, with dots between levels.
        energy: energy that the devices used, as text.
        dataset, dvc_version: digest and DVC version of the dataset.
    """

    run_id: str | None = None
    version: str | None = None
    dagster_run: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    preset: str | None = None
    seed: str | None = None
    device: str | None = None
    devices: int | None = None
    seconds: float | None = None
    epochs: float | None = None
    images: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    energy: str | None = None
    dataset: str | None = None
    dvc_version: str | None = None
    patients: tuple[PatientFact, ...] = ()


@dataclass(frozen=True)
class Change:
    """One fact of both runs as text. ``differs`` is None if the fact of at least one run is not known.

    ``kind`` is ``training parameter``, ``data``, ``code``, ``environment`` or ``cost``.
    """

    kind: str
    what: str
    champion: str
    challenger: str
    differs: bool | None


@dataclass(frozen=True)
class SortedChanges:
    """The facts that differ, the facts that at least one run does not record, and the facts that are the same."""

    changed: tuple[Change, ...]
    unknown: tuple[Change, ...]
    same: tuple[Change, ...]


@dataclass(frozen=True)
class DataChange:
    """The differences between the patients of both datasets.

    Attributes:
        known: whether both lists of patients are recorded.
        added: pseudonyms of the patients that only the challenger's dataset has.
        removed: pseudonyms of the patients that only the champion's dataset has.
        moved: pseudonyms of the patients that are in different splits of the two datasets.
        mix: rows of (condition, number of champion's training patients, number of challenger's), as text.
    """

    known: bool
    added: tuple[str, ...]
    removed: tuple[str, ...]
    moved: tuple[str, ...]
    mix: tuple[tuple[str, str, str], ...]


def compare_data(challenger: RunFacts, champion: RunFacts | None) -> DataChange:
    """The differences between the patients of both datasets, and the patients by condition in both training splits."""
    ours = {p.patient: p for p in challenger.patients}
    theirs = {p.patient: p for p in champion.patients} if champion else {}
    known = bool(ours and theirs)
    counts = [_conditions(ours), _conditions(theirs)]
    mix = [(c, _share(counts[1], c), _share(counts[0], c)) for c in sorted(counts[0] | counts[1])]
    return DataChange(
        known=known,
        added=tuple(sorted(ours.keys() - theirs.keys())) if known else (),
        removed=tuple(sorted(theirs.keys() - ours.keys())) if known else (),
        moved=tuple(sorted(p for p in ours.keys() & theirs.keys() if ours[p].split != theirs[p].split)),
        mix=tuple(mix),
    )


def compare_runs(challenger: RunFacts, champion: RunFacts | None) -> tuple[Change, ...]:
    """The facts of both runs, by kind: training parameters, data, code, environment, cost."""
    other = champion or RunFacts()
    rows = [
        *_settings(other, challenger),
        _change("data", "dataset", _short(other.dataset), _short(challenger.dataset)),
        _change("data", "dataset version (DVC)", other.dvc_version, challenger.dvc_version),
        *(_change("data", f"{s} patients", _in_split(other, s), _in_split(challenger, s)) for s in SPLITS),
        _change("data", "training images", _count(other.images), _count(challenger.images)),
        _change("code", "code (git commit)", commit_of(_brief(other)), commit_of(_brief(challenger))),
        _change("environment", "device", device_of(other), device_of(challenger)),
        *(
            _change("environment", f"library: {name}", other.versions.get(name), challenger.versions.get(name))
            for name in sorted({*other.versions, *challenger.versions})
        ),
        _change("cost", "epochs", epochs_of(other), epochs_of(challenger)),
        _change("cost", f"cost, {processor_of(challenger)} minutes", minutes(other), minutes(challenger)),
    ]
    spent = _change("cost", "energy of the devices", other.energy, challenger.energy)
    energy = replace(spent, champion=other.energy or NOT_MEASURED, challenger=challenger.energy or NOT_MEASURED)
    return (*rows, energy)


def _brief(facts: RunFacts) -> RunFacts:
    return replace(facts, commit=_short(facts.commit))


def _short(digest: str | None) -> str | None:
    return digest and digest[:_DIGITS]


_DIGITS = 12
"""The number of digits that tell two digests apart on the page. The provenance has all digits."""


def sort_changes(changes: Sequence[Change]) -> SortedChanges:
    """The facts in three groups. Within a group the order stays."""
    return SortedChanges(*(tuple(c for c in changes if c.differs is wanted) for wanted in (True, None, False)))


def _settings(before: RunFacts, after: RunFacts) -> list[Change]:
    """The training parameters of both runs. Preset and seed are also known for a run without logged parameters."""
    ours, theirs = (
        {"preset": facts.preset, "seed": facts.seed, **{k: v for k, v in facts.settings.items() if k not in _TWICE}}
        for facts in (after, before)
    )
    names = dict.fromkeys([*ours, *theirs])
    return [_change("training parameter", name, theirs.get(name), ours.get(name)) for name in names]


_TWICE = ("preset", "seed", "devices")
"""Training parameters that a run also states in its tags."""


def minutes(facts: RunFacts) -> str | None:
    """The training time in minutes, summed over all devices, as text; None if it is not known."""
    return None if facts.seconds is None else f"{facts.seconds * (facts.devices or 1) / 60:.1f}"


def epochs_of(facts: RunFacts) -> str | None:
    """The number of complete passes over the data, as text; ``less than one`` if the first pass was not complete."""
    return "less than one" if facts.epochs == 0 else _count(facts.epochs)


def _change(kind: str, what: str, before: str | None, after: str | None) -> Change:
    differs = None if before is None or after is None else before != after
    return Change(kind, what, before or NOT_KNOWN, after or NOT_KNOWN, differs)


def _in_split(facts: RunFacts, split: str) -> str | None:
    return str(sum(p.split == split for p in facts.patients)) if facts.patients else None


def commit_of(code: RunFacts | CodeVersion) -> str | None:
    """The git commit, and whether there were uncommitted changes, as text; None if the commit is not known."""
    return code.commit and code.commit + (" with uncommitted changes" if code.dirty else "")


def processor_of(facts: RunFacts) -> str:
    """``CPU`` or ``GPU``, the kind of processor of the training. An unknown device counts as a CPU."""
    return "CPU" if facts.device is None or "CPU" in facts.device else "GPU"


def device_of(facts: RunFacts) -> str | None:
    """Number and kind of the devices as text; None if they are not known."""
    return f"{facts.devices or 1} × {facts.device}" if facts.device else None


def _count(number: float | None) -> str | None:
    return None if number is None else f"{number:.4g}"


def _conditions(patients: Mapping[str, PatientFact]) -> Counter[str]:
    return Counter(p.condition.replace("_", " ") for p in patients.values() if p.split == "train")


def _share(counts: Counter[str], condition: str) -> str:
    total = sum(counts.values())
    return f"{counts[condition]} ({counts[condition] / total:.0%})" if total else NOT_KNOWN
