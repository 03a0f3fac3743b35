"""The fuzzer: past findings stay fixed, its inputs can be made again, and every rule that it checks can be broken."""

import json
import logging
import os
import time
import warnings
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from benchmarks.fuzz import __main__ as command
from benchmarks.fuzz import pool
from benchmarks.fuzz.byte_edits import MARKER
from benchmarks.fuzz.dicom_elements import encoded, parsed
from benchmarks.fuzz.findings import CORPUS, findings, read_finding, save_finding
from benchmarks.fuzz.points_seeds import json_files, mesh_spines, tables
from benchmarks.fuzz.pool import fuzz
from benchmarks.fuzz.radiograph_seeds import compressed_radiographs, native_radiographs
from benchmarks.fuzz.results import Tally, add_to_results, read_results
from benchmarks.fuzz.targets import READ, TARGETS, Target, read_points, read_radiograph_file
from benchmarks.fuzz.watch import documented_codes, judged
from spine.errors import InputRejected
from spine.radiograph.decoders import SYNTAXES

KNOWN = frozenset({READ, "EMPTY_FILE", "UNITS_SUSPECT_{…}"})


def outcome_of(target, files, tmp_path, known=None):
    return judged(target, files, tmp_path.resolve() / "work", documented_codes() if known is None else known)


@pytest.mark.parametrize("path", findings(CORPUS), ids=lambda path: path.stem)
def test_a_past_finding_stays_fixed(path, tmp_path):
    name, files = read_finding(path)
    outcome = outcome_of(TARGETS[name], files, tmp_path)
    assert outcome.fault is None
    assert outcome.codes


def test_the_corpus_is_small():
    sizes = [path.stat().st_size for path in findings(CORPUS)]
    assert sizes
    assert sum(sizes) < 300_000


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_are_made_again_from_their_number_and_get_past_the_first_check(name, tmp_path):
    target, tally = TARGETS[name], Tally()
    for number in range(30):
        files = target.input(5, number)
        assert files == target.input(5, number)
        outcome = outcome_of(target, files, tmp_path)
        assert outcome.fault is None, number
        tally.add(outcome, f"5/{number}", target.first_check)
    assert target.input(5, 0) != target.input(6, 0)
    assert tally.inputs == 30
    assert tally.passed > {"meshes": 3}.get(name, 12)


def test_every_radiograph_is_read_before_it_is_changed(tmp_path):
    for file in (*native_radiographs(), *compressed_radiographs()):
        outcome = outcome_of(TARGETS["radiograph"], {"a.dcm": encoded(file)}, tmp_path)
        is_htj2k = SYNTAXES[file.syntax].name.startswith("HTJ2K")  # with the codestream of plain JPEG 2000
        assert outcome.fault is None
        assert outcome.codes == (READ,) or is_htj2k, file.syntax
        assert parsed(encoded(file)) == file


def test_every_syntax_with_a_decoder_has_a_seed():
    native = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"}
    assert {file.syntax for file in compressed_radiographs()} | native == set(SYNTAXES)
    for syntax in native:
        assert native_radiographs()[0].with_syntax(syntax).syntax == syntax


def test_every_reconstruction_is_read_before_it_is_changed(tmp_path):
    for files in (*tables(), *json_files(), *mesh_spines()):
        codes = outcome_of(TARGETS["points"], files, tmp_path).codes
        assert codes == (READ,), list(files)


@pytest.fixture(autouse=True)
def process_of_the_tests(monkeypatch):
    """The peak memory of this process is that of all tests before."""
    monkeypatch.setattr("benchmarks.fuzz.watch.MOST_BYTES", 2**40)


# --- every rule can be broken


def raises(error):
    def read(folder: Path, out: Path) -> list[str]:
        raise error

    return read


def outside(folder: Path, out: Path) -> list[str]:
    Path(os.environ["FUZZ_OUTSIDE"]).write_text("x")
    return [READ]


def makes_a_folder(folder: Path, out: Path) -> list[str]:
    Path(os.environ["FUZZ_OUTSIDE"]).mkdir()
    return [READ]


def starts_a_process(folder: Path, out: Path) -> list[str]:
    os.system("true")
    return [READ]


def logs(folder: Path, out: Path) -> list[str]:
    logging.getLogger("reader").warning("found %s", MARKER)
    return [READ]


def warns(folder: Path, out: Path) -> list[str]:
    warnings.warn(MARKER, stacklevel=1)
    return [READ]


def leaves_a_file(folder: Path, out: Path) -> list[str]:
    (out.parent / "tmp" / "left").write_text("")
    return [READ]


def is_wrong(folder: Path, out: Path) -> list[str]:
    raise AssertionError("two heads")


def breaks_no_rule(folder: Path, out: Path) -> list[str]:
    (out / "a").write_text("")
    return [READ]


def refusal(code="EMPTY_FILE", found="nothing"):
    return InputRejected(code, found, "x", "y")


@pytest.mark.parametrize(
    ("read", "fault"),
    [
        (breaks_no_rule, None),
        (raises(refusal()), None),
        (raises(refusal("UNITS_SUSPECT_METRES")), None),
        (raises(ValueError(MARKER)), "ValueError at test_fuzz.py"),
        (raises(MemoryError()), "MemoryError at"),
        (raises(SystemExit(1)), "SystemExit at"),
        (raises(refusal("READER_FAULT")), "InputRejected at"),
        (raises(refusal("NEW_CODE")), "the code NEW_CODE, which is not documented"),
        (raises(refusal(found=f"a tag {MARKER}")), "the marker in a text (EMPTY_FILE)"),
        (lambda folder, out: [READ, f" {MARKER}"], "the marker in a text (READ)"),
        (lambda folder, out: ["READER_FAULT"], "READER_FAULT"),
        (is_wrong, "wrong result: two heads"),
        (outside, "open outside the temporary folder"),
        (makes_a_folder, "os.mkdir outside the temporary folder"),
        (starts_a_process, "the event os.system"),
        (logs, "the marker in a log record of reader"),
        (warns, "the marker in a warning"),
        (leaves_a_file, "temporary files were left"),
    ],
)
def test_a_broken_rule_is_named(read, fault, tmp_path, monkeypatch):
    monkeypatch.setenv("FUZZ_OUTSIDE", str(tmp_path / "outside"))
    target = Target("t", lambda random: {}, read, frozenset())
    found = outcome_of(target, {"a": b"x"}, tmp_path / "root", KNOWN).fault
    assert found == fault if fault is None else str(found).startswith(fault)
    assert MARKER not in str(found)
    assert not (tmp_path / "root" / "work").exists()


def test_time_and_memory_are_limited(tmp_path, monkeypatch):
    target = Target("t", lambda random: {}, breaks_no_rule, frozenset())
    monkeypatch.setattr("benchmarks.fuzz.watch.MOST_SECONDS", 0.0)
    assert outcome_of(target, {}, tmp_path, KNOWN).fault == "more than 0 s"
    monkeypatch.undo()
    monkeypatch.setattr("benchmarks.fuzz.watch.MOST_BYTES", 2**30)
    for before, after, fault in (
        (2**20, 2**31, "more than 1024 MiB"),
        (2**31, 2**32, "more than 1024 MiB"),
        (2**31, 2**31, None),  # the process was large before this input
        (2**20, 2**29, None),
    ):
        monkeypatch.setattr("benchmarks.fuzz.watch.peak_bytes", iter((before, after)).__next__)
        assert outcome_of(target, {}, tmp_path, KNOWN).fault == fault


# --- the pool


def _number(random: Random) -> dict[str, bytes]:
    return {"a": random.randbytes(2)}


def _dies_or_hangs(folder: Path, out: Path) -> list[str]:
    kind = (folder / "a").read_bytes()[0] % 8
    if kind == 0:
        os._exit(9)
    if kind == 1:
        time.sleep(60)
    return [READ]


FRAIL = Target("frail", _number, _dies_or_hangs, frozenset())


@pytest.mark.slow  # starts processes
def test_a_worker_that_dies_or_hangs_is_a_finding_and_the_others_go_on(monkeypatch):
    monkeypatch.setattr(pool, "MOST_SECONDS", 0.5)
    monkeypatch.setattr(pool, "GRACE_S", 0.5)
    found = {}
    tally = fuzz(FRAIL, seed=3, first=0, inputs=12, seconds=100, workers=2, found=found.__setitem__)
    kinds = [FRAIL.input(3, number)["a"][0] % 8 for number in range(12)]
    assert {0, 1} <= set(kinds)
    wanted = {n: "the worker died (9)" if k == 0 else "no answer within 0 s" for n, k in enumerate(kinds) if k < 2}
    assert found == wanted
    assert sum(tally.faults.values()) == len(wanted)
    assert tally.next == {"3": 12}


def test_a_finding_is_saved_and_read_again(tmp_path):
    files = {"a\udcff/b.dcm": b"\0\1", "../c": b""}
    path = save_finding(tmp_path / "corpus", "studies", files)
    assert read_finding(path) == ("studies", files)
    assert save_finding(tmp_path / "corpus", "studies", {"a": os.urandom(2**17)}) is None
    assert list(findings(tmp_path / "corpus")) == [path]


def test_the_counts_of_all_parts_are_added(tmp_path):
    first = Tally(inputs=3, passed=1, slowest_s=2.0, slowest="0/1", next={"0": 3})
    second = Tally(inputs=4, next={"1": 4})
    first.codes.update({READ: 2})
    second.codes.update({READ: 1, "EMPTY_FILE": 3})
    add_to_results(tmp_path / "r.json", {"points": first})
    total = add_to_results(tmp_path / "r.json", {"points": second, "meshes": second})
    assert total["points"].inputs == 7
    assert total["points"].codes == {READ: 3, "EMPTY_FILE": 3}
    assert total["points"].slowest == "0/1"
    assert total["points"].next == {"0": 3, "1": 4}
    assert read_results(tmp_path / "r.json") == total


@pytest.mark.slow  # starts processes
def test_the_command_counts_saves_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "TARGETS", {"points": replace(TARGETS["points"], share=1.0)})
    results, corpus = tmp_path / "r.json", tmp_path / "corpus"
    arguments = ["--inputs", "40", "--workers", "1", "--results", str(results), "--corpus", str(corpus)]
    assert command.main(arguments) == 0
    assert command.main([*arguments, "--target", "points"]) == 0
    stored = json.loads(results.read_text())["points"]
    assert stored["inputs"] == 80
    assert stored["next"] == {"0": 80}
    assert "80 inputs in all" in capsys.readouterr().out
    assert command.main(["--replay", "points/0/3"]) == 0
    assert "Outcome(codes=" in capsys.readouterr().out


def test_the_shares_of_the_targets_are_a_whole():
    assert sum(target.share for target in TARGETS.values()) == pytest.approx(1.0)
    assert TARGETS["meshes"].read is read_points
    assert TARGETS["compressed"].read is read_radiograph_file
