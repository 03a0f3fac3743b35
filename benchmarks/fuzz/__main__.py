"""``make fuzz``: read damaged inputs with the readers, and count what became of them.

    python -m benchmarks.fuzz                                   20,000 inputs of all targets
    python -m benchmarks.fuzz --target points --inputs 500000   one target; another call goes on with further inputs
    python -m benchmarks.fuzz --replay points/0/4711            one input again, with the traceback of its fault
    python -m benchmarks.fuzz --add OTHER.json                  the sum with the results of another machine

The corpus is read first. A finding is saved there and printed with its seed and number. The exit status is 1 if there
is one. The counts of all calls are added in the results file.
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.fuzz.findings import CORPUS, findings, read_finding, save_finding
from benchmarks.fuzz.pool import fuzz
from benchmarks.fuzz.results import Tally, add_to_results, print_results, read_results
from benchmarks.fuzz.targets import TARGETS, Target, codes_of
from benchmarks.fuzz.watch import documented_codes, judged

RESULTS = Path("bench/fuzz.json")
MOST_OF_A_KIND = 2
"""Findings with the same fault that are saved in one call."""


def main(arguments: list[str]) -> int:
    """Run the fuzzer; see the docstring of the module."""
    chosen = _parser().parse_args(arguments)
    if chosen.replay:
        return _replay(chosen.replay)
    if chosen.add:
        print_results(add_to_results(chosen.results, read_results(chosen.add)))
        return 0
    targets = list(TARGETS.values()) if chosen.target == "all" else [TARGETS[chosen.target]]
    faults = _read_corpus(chosen.corpus)
    done: dict[str, Tally] = {}
    for target in targets:
        done[target.name] = _fuzz(target, chosen, alone=len(targets) == 1)
        add_to_results(chosen.results, {target.name: done[target.name]})
    sys.stdout.write("this call:\n")
    print_results(done)
    sys.stdout.write(f"\nall calls ({chosen.results}):\n")
    print_results(read_results(chosen.results))
    return 1 if faults or any(tally.faults for tally in done.values()) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--target", choices=["all", *TARGETS], default="all")
    parser.add_argument("--inputs", type=int, default=20_000, help="inputs of all targets together")
    parser.add_argument("--seconds", type=float, default=3600.0, help="longest time of all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="past findings, where new ones are saved")
    parser.add_argument("--results", type=Path, default=RESULTS, help="counts of all calls")
    parser.add_argument("--replay", metavar="INPUT", help="TARGET/SEED/NUMBER or a file of the corpus")
    parser.add_argument("--add", type=Path, metavar="RESULTS", help="add the counts of another machine")
    return parser


def _fuzz(target: Target, chosen: argparse.Namespace, *, alone: bool) -> Tally:
    share = 1.0 if alone else target.share
    stored = read_results(chosen.results).get(target.name, Tally())
    saved: Counter[str] = Counter()

    def found(number: int, fault: str) -> None:
        name = f"{target.name}/{chosen.seed}/{number}"
        saved[fault] += 1
        path = None
        if saved[fault] <= MOST_OF_A_KIND:
            path = save_finding(chosen.corpus, target.name, target.input(chosen.seed, number))
            sys.stdout.write(f"{name}: {fault}" + (f", saved as {path}\n" if path else "\n"))
            sys.stdout.flush()

    return fuzz(
        target,
        seed=chosen.seed,
        first=stored.next.get(str(chosen.seed), 0),
        inputs=max(round(chosen.inputs * share), 1),
        seconds=chosen.seconds * share,
        workers=chosen.workers,
        found=found,
    )


def _read_corpus(corpus: Path) -> int:
    """Read every past finding again; the number of those that still break a rule."""
    known, faults = documented_codes(), 0
    with tempfile.TemporaryDirectory() as folder:
        for path in findings(corpus):
            name, files = read_finding(path)
            outcome = judged(TARGETS[name], files, Path(folder).resolve() / "work", known)
            if outcome.fault:
                faults += 1
                sys.stdout.write(f"{path}: {outcome.fault}\n")
    return faults


def _replay(name: str) -> int:
    """Read one input without observation, so that an error is seen with its traceback."""
    if name.endswith(".zip"):
        target_name, files = read_finding(Path(name))
    else:
        target_name, seed, number = name.split("/")
        files = TARGETS[target_name].input(int(seed), int(number))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder).resolve() / "work"
        sys.stdout.write(f"{judged(TARGETS[target_name], files, work, documented_codes())}\n")
        for file, payload in files.items():
            sys.stdout.write(f"{file!r}: {len(payload)} bytes {payload[:60]!r}\n")
            path = work / "in" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(payload)
        (work / "out").mkdir()
        sys.stdout.write(f"{codes_of(TARGETS[target_name], work / 'in', work / 'out')}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
