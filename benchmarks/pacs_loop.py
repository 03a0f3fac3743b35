"""The loop with a real PACS: random order, resends, late views, refused images and ``kill -9`` of both sides.

Few virtual patients are stamped as many studies and sent to an Orthanc, while ``plumbline watch`` runs as its own
process. At the end there must be exactly one structured report for each complete set of radiographs, at most one for a
frontal view that waited too long, none for a refused study, and each refused study must be named.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.figures import Figure, print_figures
from inference.bundled import open_bundled
from serving.results.identity import result_uids
from serving.watch.state_table import reading_table
from serving.watch.study_row import State, StudyRow
from simulation.cohort.cohort import write_cohort
from simulation.cohort.config import CohortConfig
from spine.scanner import NATIVE_SPACING_MM
from tests.serving.watch.command import started, write_settings
from tests.serving.watch.moved import SR
from tests.serving.watch.orthanc import Orthanc, running_orthanc
from tests.serving.watch.stamped import radiograph, uid_of

PATIENTS, SEED, LATE_S = 4, 20261201, 12.0
REFUSED_CODE = "PHOTOMETRIC_UNSUPPORTED"
PACE = "poll_s = 3\nsettle_s = 1\npair_wait_s = 8\nretry_s = 2\nsweep_s = 240\nlongest_pause_s = 2\npage = 50\n"


@dataclass(frozen=True)
class Sent:
    """One sending of files. ``at_s`` is counted from the first one."""

    at_s: float
    number: int
    files: tuple[bytes, ...]
    completes: bool


@dataclass
class Course:
    """What happened: study number -> when its last radiograph was in the PACS, and the kills."""

    complete_at: dict[int, float] = field(default_factory=dict)
    kills: list[str] = field(default_factory=list)
    began: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two studies; 0: all at once")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="plumbline-pacs-loop-") as folder:
        print_figures(f"PACS loop, {given.studies} studies", list(figures(Path(folder), given.studies, given.every)))


def figures(folder: Path, studies: int, every_s: float) -> Iterator[Figure]:
    """Run everything once."""
    draw = random.Random(SEED)
    refused = set(draw.sample(range(studies), max(1, studies // 20)))
    late = set(draw.sample(sorted(set(range(studies)) - refused), max(1, studies // 10)))
    plan = _plan(draw, _cases(folder / "cohort"), studies, every_s, refused, late)
    with running_orthanc(folder / "orthanc") as orthanc:
        settings = write_settings(folder, orthanc, PACE)
        course = _run(orthanc, settings, plan, studies)
        rows = _rows(folder)
        faults = _faults(orthanc, rows, studies, refused)
    yield Figure("studies without a fault", studies - len(faults), f"of {studies}", str(studies), "; ".join(faults[:5]))
    yield Figure("refused studies named", sum(_named(rows, number) for number in refused), f"of {len(refused)}", "", "")
    yield Figure("kill -9", len(course.kills), "", "4", ", ".join(course.kills))
    times = [rows[uid_of("study", n)].stored_at - at for n, at in course.complete_at.items() if n not in refused]
    last = max(row.stored_at for row in rows.values() if row.stored_at)
    rate = 60 * (studies - len(refused)) / (last - course.began)
    yield Figure("throughput, kills included", rate, "studies a minute", "", f"{last - course.began:.0f} s")
    yield Figure("latency, median", statistics.median(times), "s", "", f"a study every {every_s:g} s; 0: all at once")
    yield Figure(
        "latency, 95th percentile", statistics.quantiles(times, n=20)[-1], "s", "", "kills and restarts included"
    )


def _cases(folder: Path) -> list[Path]:
    write_cohort(folder, CohortConfig(count=PATIENTS, seed=3, shape=(256, 128), spacing_mm=NATIVE_SPACING_MM * 15))
    return sorted(folder.glob("case-*"))


def _plan(
    draw: random.Random, cases: list[Path], studies: int, every_s: float, refused: set[int], late: set[int]
) -> list[Sent]:
    order, plan = draw.sample(range(studies), studies), []
    for place, number in enumerate(order):
        case, at = cases[number % len(cases)], place * every_s
        wrong: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"} if number in refused else {}
        files = radiograph(case, "frontal", number), radiograph(case, "lateral", number, **wrong)
        if number in late:
            plan += [Sent(at, number, files[:1], False), Sent(at + LATE_S, number, files[1:], True)]
        else:
            plan.append(Sent(at, number, files, True))
    again = draw.sample([each for each in plan if each.completes], max(1, studies // 10))
    plan += [Sent(each.at_s + draw.uniform(1, 20), each.number, each.files, False) for each in again]
    return sorted(plan, key=lambda each: each.at_s)


def _run(orthanc: Orthanc, settings: Path, plan: list[Sent], studies: int) -> Course:
    """Send everything, with two kills of each side when a part of the studies is stored, until all is done."""
    course, folder = Course(began=time.time()), settings.parent
    share = iter((0.15, 0.35, 0.55, 0.75))
    with ExitStack() as stack:
        loop, next_kill, waiting = stack.enter_context(started(settings)), next(share), list(plan)
        while True:
            while waiting and waiting[0].at_s <= time.time() - course.began:
                _send(orthanc, waiting.pop(0), course)
            done = _done(folder)
            if next_kill is not None and done >= next_kill * studies:
                if len(course.kills) % 2 == 0:
                    loop.kill()
                    loop.wait()
                    loop = stack.enter_context(started(settings))
                    course.kills.append("loop")
                else:
                    orthanc.kill()
                    time.sleep(2)
                    orthanc.start()
                    course.kills.append("PACS")
                next_kill = next(share, None)
            if not waiting and _settled(folder, studies):
                return course
            if time.time() - course.began > 3600:
                raise TimeoutError("the loop did not finish within an hour")
            time.sleep(0.3)


def _send(orthanc: Orthanc, sent: Sent, course: Course) -> None:
    orthanc.send(*sent.files)
    if sent.completes:
        course.complete_at[sent.number] = time.time()


def _rows(folder: Path) -> dict[str, StudyRow]:
    with reading_table(folder / "ws" / "state" / "watch") as table:
        return {} if table is None else {row.study_uid: row for row in table.rows()}


def _done(folder: Path) -> int:
    return _count(folder, lambda row: row.state in (State.STORED, State.REFUSED))


def _count(folder: Path, which: Callable[[StudyRow], bool]) -> int:
    with suppress(Exception):  # while the loop begins, its table is being made
        return sum(map(which, _rows(folder).values()))
    return 0


def _settled(folder: Path, studies: int) -> bool:
    """Whether nothing is left to do, twice, with more than a search in between."""
    for _ in range(2):
        if (
            _count(folder, lambda row: row.state in (State.STORED, State.REFUSED) and (row.due is None or row.verify))
            < studies
        ):
            return False
        time.sleep(4)
    return True


def _named(rows: dict[str, StudyRow], number: int) -> bool:
    row = rows.get(uid_of("study", number))
    return row is not None and (row.state, row.code) == (State.REFUSED, REFUSED_CODE) and bool(row.sentence)


def _faults(orthanc: Orthanc, rows: dict[str, StudyRow], studies: int, refused: set[int]) -> list[str]:
    digest, faults = open_bundled().digest, []
    for number in range(studies):
        images = [uid_of("image", number, view) for view in ("frontal", "lateral")]
        with suppress(httpx.HTTPError):
            found = orthanc.of_study(uid_of("study", number))
        reports = sorted(each["00080018"]["Value"][0] for each in found if each["00080016"]["Value"][0] == SR)
        alone, both = (result_uids(uids, digest)["sr"] for uids in (images[:1], images))
        wanted = [] if number in refused else [both]
        if [uid for uid in reports if uid != alone] != wanted or len(set(reports)) != len(reports):
            faults.append(f"study {number}: {len(reports)} reports")
        if uid_of("study", number) not in rows:
            faults.append(f"study {number}: no row")
    return faults


if __name__ == "__main__":
    main()
