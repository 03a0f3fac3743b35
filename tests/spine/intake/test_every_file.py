"""Every entry below a source is used, passed over, waiting or quarantined with a reason; nothing vanishes."""

import json
import os
import shutil
import time
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest

from spine.errors import StudyWaiting
from spine.intake import archives
from spine.intake.ingest import ingest
from spine.intake.sources import open_source
from spine.storage import sha256_of_file
from spine.study import iterate_study_folders, read_study
from tests.spine.intake.constructed_studies import KEY, write_study


@pytest.fixture
def place(tmp_path):
    (tmp_path / "drop").mkdir()
    return tmp_path


def take_in(place):
    return ingest(open_source("folder", place / "drop"), place / "work" / "s", place / "work" / "q", pseudonym_key=KEY)


def stored(place):
    return [read_study(folder) for folder in iterate_study_folders(place / "work" / "s")]


def codes(report):
    return [q.code for q in report.quarantined]


def entries_below(place):
    return sum(path.is_file() for path in (place / "drop").rglob("*"))


HARMLESS = {
    ".DS_Store": b"\0" * 20,
    "._frontal.dcm": b"\0\5\x16\7",
    "Thumbs.db": b"",
    ".access^": b"",
    "report.pdf": b"%PDF-1.4",
    "notes.txt": b"Patient stood well.",
    "empty.txt": b"",
    "README": b"made by a scanner",
    "viewer.exe": b"MZ\x90\0",
    "autorun.inf": b"[autorun]",
    "checksums.md5": b"d41d8cd98f00b204e9800998ecf8427e  frontal.dcm",
    "consent.docx": b"PK\x03\x04word",
    "trace.dat": b"\x01\x02\x03",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_files_of_no_interest_are_passed_over_and_counted(place, name):
    study = write_study(place / "drop" / "a", 1)
    (study / name).write_bytes(HARMLESS[name])
    report = take_in(place)
    assert (report.received, report.used, codes(report)) == (1, 1, [])
    assert report.files.used == 3
    assert report.files.total == entries_below(place) == 5
    assert sum(report.files.passed_over.values()) == 2  # with COMPLETE


SUSPICIOUS = {
    "IM000003": (b"", "EMPTY_FILE"),
    "1.2.840.5": (b"", "EMPTY_FILE"),
    "IM000004": (b"\x01\x02\x03\xff" * 50, "FILE_UNKNOWN"),
    "lateral.dcm2.jpg": (b"\xff\xd8\xff\xe0", "IMAGE_NOT_DICOM"),
    "scan": (b"\x89PNG\r\n", "IMAGE_NOT_DICOM"),
    "scan.tif": (b"II*\0", "IMAGE_NOT_DICOM"),
    "volume.nii": (b"\x5c\x01\0\0", "IMAGE_NOT_DICOM"),
    "films.7z": (b"7z\xbc\xaf\x27\x1c", "ARCHIVE_UNSUPPORTED"),
    "films.rar": (b"Rar!\x1a", "ARCHIVE_UNSUPPORTED"),
    "films.tar.gz": (b"\x1f\x8b\x08", "ARCHIVE_UNSUPPORTED"),
    "films.zip": (b"PK\x03\x04 cut off", "ARCHIVE_INVALID"),
    "text.dcm": (b"not dicom", "NOT_DICOM"),
}


@pytest.mark.parametrize("name", SUSPICIOUS)
def test_a_file_that_may_be_an_image_or_points_is_never_passed_over(place, name):
    study = write_study(place / "drop" / "a", 1, views=("frontal",), reconstruction=False)
    payload, code = SUSPICIOUS[name]
    (study / name).write_bytes(payload)
    report = take_in(place)
    assert (report.received, codes(report)) == (1, [code])
    assert report.files.total == report.files.quarantined == 2


def test_links_and_pipes_are_refused_by_name(place):
    real = write_study(place / "elsewhere" / "b", 1)
    for number, name in enumerate(("link", "pipe")):
        write_study(place / "drop" / name, 2 + number)
    (place / "drop" / "link" / "other.dcm").symlink_to(real / "lateral.dcm")
    os.mkfifo(place / "drop" / "pipe" / "other.dcm")
    (place / "drop" / "whole").symlink_to(real)
    report = take_in(place)
    assert report.received == 3
    assert codes(report) == ["LINK_NOT_FOLLOWED", "FILE_UNREADABLE", "LINK_NOT_FOLLOWED"]


def test_links_into_dvc_s_cache_are_read_in_a_virtual_cohort(place):
    study = write_study(place / "drop" / "a", 1)
    moved = (study / "lateral.dcm").rename(place / "cached")
    (study / "lateral.dcm").symlink_to(moved)
    source = open_source("virtual", place / "drop")
    report = ingest(source, place / "work" / "s", place / "work" / "q", pseudonym_key=KEY)
    assert (report.used, codes(report), set(stored(place)[0].views)) == (1, [], {"frontal", "lateral"})


def test_an_empty_folder_and_a_folder_without_studies_are_counted(place):
    (place / "drop" / "later").mkdir()
    report = take_in(place)
    assert (report.received, report.files.passed_over) == (0, {"empty folder": 1})


def test_a_link_in_the_source_itself_is_a_refused_study(place):
    (place / "drop" / "film.dcm").symlink_to("/nowhere")
    assert codes(take_in(place)) == ["LINK_NOT_FOLLOWED"]


# --- loose files, exports to CD and archives


def test_loose_files_are_sorted_by_examination(place):
    for seed in (1, 2):
        made = write_study(place / "made" / str(seed), seed, reconstruction=False)
        for view in ("frontal", "lateral"):
            shutil.copy(made / f"{view}.dcm", place / "drop" / f"{seed}-{view}.dcm")
    (place / "drop" / "COMPLETE").write_text("")
    report = take_in(place)
    assert (report.received, report.used) == (2, 2)
    assert [set(study.views) for study in stored(place)] == [{"frontal", "lateral"}] * 2


def test_points_beside_several_examinations_are_refused_by_name(place):
    for seed in (1, 2):
        made = write_study(place / "made" / str(seed), seed, views=("frontal",))
        shutil.copy(made / "frontal.dcm", place / "drop" / f"{seed}.dcm")
    shutil.copy(made / "reconstruction.json", place / "drop" / "points.json")
    (place / "drop" / "COMPLETE").write_text("")
    report = take_in(place)
    assert (report.received, report.used, codes(report)) == (3, 2, ["EXAMINATION_UNCLEAR"])


def write_export(folder, seeds):
    """An export to CD: DICOMDIR, one folder for each image, and a viewer."""
    for seed in seeds:
        made = write_study(folder.parent / "made" / str(seed), seed, reconstruction=False, simulated=False)
        for number, view in enumerate(("frontal", "lateral")):
            target = folder / "DICOM" / f"PAT{seed}" / f"SER{number}" / "IM000000"
            target.parent.mkdir(parents=True)
            shutil.copy(made / f"{view}.dcm", target)
    index = pydicom.dcmread(target, stop_before_pixels=True)
    index.file_meta.MediaStorageSOPClassUID = index.SOPClassUID = "1.2.840.10008.1.3.10"
    index.save_as(folder / "DICOMDIR")
    (folder / "VIEWER").mkdir()
    (folder / "VIEWER" / "logo.png").write_bytes(b"\x89PNG\r\n")
    (folder / "VIEWER" / "view.exe").write_bytes(b"MZ")


@pytest.mark.parametrize("below", [".", "cd-1"])
def test_an_export_to_cd_becomes_one_study_for_each_examination(place, below):
    folder = place / "drop" / below
    folder.mkdir(exist_ok=True)
    write_export(folder, (1, 2, 3))
    shutil.rmtree(place / "drop" / "made", ignore_errors=True)
    report = take_in(place)
    assert (report.received, report.used, codes(report)) == (3, 3, [])
    assert all(len(study.views) == 2 for study in stored(place))
    assert report.files.total == entries_below(place)
    again = take_in(place)
    assert (again.received, again.already_present) == (3, 3)


def zipped(archive, folders, prefix=""):
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for folder in folders:
            for file in sorted(folder.rglob("*")):
                name = file.relative_to(folder.parent if len(folders) > 1 else folder)
                opened.write(file, prefix + name.as_posix())
    return archive


@pytest.mark.parametrize("count", [1, 3])
def test_a_zip_archive_is_one_study_or_one_for_each_top_folder(place, count):
    folders = [write_study(place / "made" / f"p{seed}", seed) for seed in range(1, count + 1)]
    zipped(place / "drop" / "batch.zip", folders)
    report = take_in(place)
    assert (report.received, report.used, codes(report)) == (count, count, [])
    assert all(len(s.views) == 2 and s.reconstruction is not None for s in stored(place))
    assert take_in(place).already_present == count
    assert not list(place.glob("**/plumbline-archive-*"))


def test_a_zip_archive_in_a_study_folder_belongs_to_the_study(place):
    study = write_study(place / "drop" / "a", 1)
    lateral = study / "lateral.dcm"
    with zipfile.ZipFile(study / "more.zip", "w") as opened:
        opened.write(lateral, "../../../evil/lateral.dcm")
    lateral.unlink()
    report = take_in(place)
    assert (report.used, codes(report)) == (1, [])
    assert set(stored(place)[0].views) == {"frontal", "lateral"}
    assert not (place / "evil").exists()


def test_a_bomb_an_encrypted_and_a_nested_archive_are_refused(place, monkeypatch):
    monkeypatch.setattr(archives, "FREE_BYTES", 2**20)
    with zipfile.ZipFile(place / "drop" / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a.dcm", b"\0" * 2**26)
    plain = zipped(place / "drop" / "locked.zip", [write_study(place / "made" / "p", 1)])
    payload = bytearray(plain.read_bytes())
    at = payload.find(b"PK\x01\x02")
    payload[at + 8] |= 1
    plain.write_bytes(payload)
    with zipfile.ZipFile(place / "drop" / "nested.zip", "w") as opened:
        opened.write(place / "drop" / "bomb.zip", "inner.zip")
    report = take_in(place)
    assert codes(report) == ["ARCHIVE_TOO_LARGE", "ARCHIVE_ENCRYPTED", "ARCHIVE_UNSUPPORTED"]


# --- files under way


def test_a_copy_under_way_waits_and_a_stopped_copy_is_refused(place):
    study = write_study(place / "drop" / "a", 1, views=("frontal",))
    partial = study / "lateral.dcm.part"
    partial.write_bytes(b"DI")
    report = take_in(place)
    assert [(w.position, w.code) for w in report.waiting] == [(1, "COPY_UNDER_WAY")]
    assert (report.received, report.files.waiting, stored(place)) == (1, 3, [])
    for other_time in (time.time() - 7200, time.time() + 10 * 365 * 86_400):
        os.utime(partial, (other_time, other_time))
        assert codes(take_in(place)) == ["COPY_ABORTED"]
    partial.unlink()
    assert take_in(place).used == 1


def test_only_the_clock_that_listed_the_source_says_whether_a_copy_has_stopped(place, monkeypatch):
    study = write_study(place / "drop" / "a", 1, views=("frontal",))
    (study / "lateral.dcm.part").write_bytes(b"DI")
    (candidate,) = open_source("folder", place / "drop").contents().candidates
    monkeypatch.setattr(time, "time", lambda: 0.0)  # as on a node with a wrong clock
    with pytest.raises(StudyWaiting, match="COPY_UNDER_WAY"):
        candidate.load()


@pytest.mark.parametrize("name", [".lateral.dcm.Xy12Za", "lateral.dcm.filepart", "lateral.crdownload"])
def test_the_temporary_files_of_programs_that_copy_wait(place, name):
    study = write_study(place / "drop" / "a", 1, views=("frontal",))
    (study / name).write_bytes(b"DI")
    assert [w.code for w in take_in(place).waiting] == ["COPY_UNDER_WAY"]


def test_files_that_change_while_they_are_read_wait(place, monkeypatch):
    study = write_study(place / "drop" / "a", 1)
    read = "spine.intake.folder_candidate.join_study"

    def growing(*arguments, **options):
        with (study / "lateral.dcm").open("ab") as stream:
            stream.write(b"\0")
        return joined(*arguments, **options)

    from spine.intake.pairing import join_study as joined

    with monkeypatch.context() as patched:
        patched.setattr(read, growing)
        assert [w.code for w in take_in(place).waiting] == ["FILES_CHANGING"]
    assert stored(place) == []


def listing(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "COMPLETE")
    return "".join(f"{sha256_of_file(p)}  {p.relative_to(folder)}\n" for p in files)


def test_the_list_in_complete_is_compared_with_the_files(place):
    for seed in (1, 2, 3):
        write_study(place / "drop" / f"p{seed}", seed)
    (place / "drop" / "COMPLETE").write_text(listing(place / "drop"))
    (place / "drop" / "p1" / "lateral.dcm").rename(place / "lateral.dcm")
    damaged = place / "drop" / "p2" / "reconstruction.json"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole.replace(b"vp-2", b"vp-3"))
    report = take_in(place)
    assert [w.code for w in report.waiting] == ["FILES_MISSING"]
    assert (report.used, codes(report)) == (1, ["FILES_DIFFER"])
    (place / "lateral.dcm").rename(place / "drop" / "p1" / "lateral.dcm")
    damaged.write_bytes(whole)
    report = take_in(place)
    assert (report.used, report.already_present, report.waiting, codes(report)) == (2, 1, (), [])


def test_a_listed_study_whose_folder_is_not_there_yet_waits(place):
    write_study(place / "drop" / "p1", 1)
    write_study(place / "drop" / "p2", 2)
    (place / "drop" / "COMPLETE").write_text(listing(place / "drop"))
    shutil.rmtree(place / "drop" / "p2")
    report = take_in(place)
    assert (report.used, [w.code for w in report.waiting]) == (1, ["FILES_MISSING"])


def test_the_reason_of_a_refused_study_names_no_file(place):
    study = write_study(place / "drop" / "Jane Doe", 1)
    (study / "Jane.jpg").write_bytes(b"\xff\xd8\xff")
    (refused,) = take_in(place).quarantined
    reason = json.loads((place / "work" / "q" / refused.key / "reason.json").read_text())
    assert "Jane" not in json.dumps(reason)


@pytest.mark.parametrize("name", ["a" * 5000, "a/" + "b" * 300, "b\udcff", "b\udcff/c.dcm", "\0"])
@pytest.mark.parametrize("of", ["batch", "study"])
def test_a_listed_name_that_no_file_can_have_waits_and_stops_nobody(place, name, of):
    write_study(place / "drop" / "good", 1)
    study = write_study(place / "drop" / "case", 2)
    listed = f"{sha256_of_file(study / 'frontal.dcm')}  {name}\n".encode("utf-8", "surrogateescape")
    (study if of == "study" else place / "drop").joinpath("COMPLETE").write_bytes(listed)
    report = take_in(place)
    assert report.used == (1 if of == "study" else 2)
    assert [waiting.code for waiting in report.waiting] == ["FILES_MISSING"]
    assert report.quarantined == ()


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_with_damaged_data_is_refused_whatever_compressed_it(place, compression):
    path = place / "drop" / "a.zip"
    with zipfile.ZipFile(path, "w", compression) as opened:
        opened.writestr("a.dcm", np.random.default_rng(1).bytes(3000))
    payload = bytearray(path.read_bytes())
    payload[1000:1015] = b"\xff" * 15
    path.write_bytes(payload)
    assert codes(take_in(place)) == ["ARCHIVE_INVALID"]


def test_a_damaged_uid_of_an_export_is_in_no_log_line(place, caplog, recwarn):
    study = write_study(place / "drop" / "cd", 1)
    (study / "DICOMDIR").write_bytes(b"")
    payload = (study / "frontal.dcm").read_bytes()
    at = payload.index(b"\x20\x00\x0d\x00UI")
    damaged = payload[:at] + b"\x20\x00\x0d\x00UI\x10\x00SECRET^PATIENT^1" + payload[at + 14 :]
    (study / "frontal.dcm").write_bytes(damaged)
    report = take_in(place)
    assert report.received >= 2
    assert "SECRET" not in caplog.text + str([str(w.message) for w in recwarn]) + str(report)


# --- what a person sends


@pytest.mark.parametrize("form", ["crlf", "upper case", "byte order mark", "utf-16", "tab", "backslashes"])
def test_a_list_as_other_programs_write_it_is_a_list(place, form):
    study = write_study(place / "drop" / "a", 1)
    (study / "sub").mkdir()
    (study / "reconstruction.json").rename(study / "sub" / "points.json")
    lines = listing(study)
    forms = {
        "crlf": lines.replace("\n", "\r\n").encode(),
        "upper case": "".join(f"{line[:64].upper()}{line[64:]}\n" for line in lines.splitlines()).encode(),
        "byte order mark": lines.encode("utf-8-sig"),
        "utf-16": lines.encode("utf-16"),
        "tab": lines.replace("  ", "\t").encode(),
        "backslashes": lines.replace("sub/", ".\\sub\\").encode(),
    }
    (study / "COMPLETE").write_bytes(forms[form])
    points = study / "sub" / "points.json"
    whole = points.read_bytes()
    points.unlink()
    assert [w.code for w in take_in(place).waiting] == ["FILES_MISSING"]
    points.write_bytes(whole)
    assert take_in(place).used == 1


@pytest.mark.parametrize("line", ["/data/a/frontal.dcm", "../a/frontal.dcm", "frontal.dcm\n# made today"])
@pytest.mark.parametrize("whole_source", [True, False])
def test_a_list_that_cannot_be_compared_refuses_its_studies(place, line, whole_source):
    study = write_study(place / "drop" / "a", 1)
    folder = place / "drop" if whole_source else study
    (folder / "COMPLETE").write_text(f"{'0' * 64}  {line}\n")
    assert codes(take_in(place)) == ["LIST_UNREADABLE"]


def test_escaped_names_and_folders_in_a_list(place):
    study = write_study(place / "drop" / "a", 1)
    (study / "lateral.dcm").rename(study / "lat\\er\nal.dcm")
    digests = {sha256_of_file(file): file.name for file in sorted(study.glob("*.*"))}
    escaped = {d: name.replace("\\", "\\\\").replace("\n", "\\n") for d, name in digests.items()}
    lines = [f"{'' if name == digests[d] else chr(92)}{d}  ./{name}\n" for d, name in escaped.items()]
    (study / "COMPLETE").write_text("".join(lines))
    assert take_in(place).used == 1
    other = write_study(place / "drop" / "b", 2)
    (other / "sub").mkdir()
    (other / "COMPLETE").write_text(f"{'0' * 64}  sub\n")
    assert codes(take_in(place)) == ["FILES_DIFFER"]


@pytest.mark.parametrize("below", [".", "cd-1"])
def test_a_file_that_is_missing_from_an_export_makes_it_wait(place, below):
    folder = place / "drop" / below
    folder.mkdir(exist_ok=True)
    write_export(folder, (1, 2))
    shutil.rmtree(place / "drop" / "made", ignore_errors=True)
    (folder / "DICOMDIR").rename(folder / "dicomdir")
    (folder / "COMPLETE").write_text(listing(folder))
    shutil.move(folder / "DICOM" / "PAT2" / "SER1", place / "away")
    assert [w.code for w in take_in(place).waiting] == ["FILES_MISSING"] * 2
    shutil.move(folder / "DICOM", place / "all")
    report = take_in(place)
    assert (report.received, [w.code for w in report.waiting]) == (1, ["FILES_MISSING"])
    shutil.move(place / "all", folder / "DICOM")
    shutil.move(place / "away", folder / "DICOM" / "PAT2" / "SER1")
    assert take_in(place).used == 2


def test_an_archive_with_backslashes_is_one_study_for_each_top_folder(place):
    folders = [write_study(place / "made" / f"p{seed}", seed) for seed in (1, 2)]
    archive = zipped(place / "drop" / "batch.zip", folders)
    payload = archive.read_bytes()
    for folder in folders:
        payload = payload.replace(f"{folder.name}/".encode(), f"{folder.name}\\".encode())
    archive.write_bytes(payload)
    assert take_in(place).used == 2


def test_two_studies_in_one_folder_are_named_as_such(place):
    for seed in (1, 2):
        write_study(place / "drop" / "hospital" / f"p{seed}", seed)
    folders = [write_study(place / "made" / "top" / f"p{seed}", seed) for seed in (1, 2)]
    zipped(place / "drop" / "top.zip", folders, prefix="top/")
    report = take_in(place)
    assert codes(report) == ["PATIENT_MISMATCH"] * 2
    assert "zip archive that is read as one study" in report.quarantined[1].message


@pytest.mark.parametrize(
    ("name", "payload", "code"),
    [
        ("b.zip.crdownload", b"PK\x03\x04", "COPY_UNDER_WAY"),
        ("b.rar", b"Rar!\x1a\x07\0", "ARCHIVE_UNSUPPORTED"),
        ("b.jpg", b"\xff\xd8\xff", "IMAGE_NOT_DICOM"),
    ],
)
def test_a_loose_file_that_is_no_study_has_its_own_reason(place, name, payload, code):
    write_study(place / "drop" / "a", 1)
    (place / "drop" / name).write_bytes(payload)
    report = take_in(place)
    assert (report.used, [*codes(report), *(w.code for w in report.waiting)]) == (1, [code])


def test_what_the_account_must_not_read_costs_its_own_study_only(place, monkeypatch):
    """Simulated, because root may read everything: no file named `locked...` opens, and no entry of `shut` is seen."""
    for seed, name in enumerate(("whole", "a", "shut", "b"), 1):
        write_study(place / "drop" / name, seed, simulated=False)
    (place / "drop" / "a" / "frontal.dcm").rename(place / "drop" / "a" / "locked.dcm")
    (place / "drop" / "b" / "COMPLETE").write_text("locked")
    for name in ("locked.zip", "locked", "locked.dcm"):
        (place / "drop" / name).write_bytes(b"x")
    real = {name: getattr(Path, name) for name in ("open", "lstat", "read_bytes")}

    def guarded(name):
        def method(path, *arguments, **options):
            locked = path.name.startswith("locked") or (path.name, path.parent.name) == ("COMPLETE", "b")
            if path.parent.name == "shut" if name == "lstat" else locked:
                raise PermissionError(13, "Permission denied", str(path))
            return real[name](path, *arguments, **options)

        return method

    def denied(*arguments):
        raise PermissionError(1, "Operation not permitted")

    for name in real:
        monkeypatch.setattr(Path, name, guarded(name))
    monkeypatch.setattr(os, "link", denied)
    monkeypatch.setattr(shutil, "copyfile", denied)
    for counts in ((1, 0), (0, 1)):
        report = take_in(place)
        assert (report.received, report.used, report.already_present) == (6, *counts)
        assert sorted(codes(report)) == [*["FILE_UNREADABLE"] * 4, "LIST_UNREADABLE"]


def test_a_list_of_all_files_is_compared_in_time_that_grows_with_their_number(tmp_path, monkeypatch):
    """Every study asked for every name of the list, which took hours for 20,000 studies."""
    compared = []
    monkeypatch.setattr(Path, "is_relative_to", lambda path, *other: compared.append(path) or original(path, *other))
    counts = []
    for count in (20, 40):
        drop = tmp_path / str(count)
        for number in range(count):
            (drop / f"study-{number:03d}").mkdir(parents=True)
            (drop / f"study-{number:03d}" / "note.txt").write_text(str(number))
        (drop / "COMPLETE").write_text(listing(drop))
        compared.clear()
        found = open_source("folder", drop).contents().candidates
        assert [list(candidate.listed) for candidate in found] == [["note.txt"]] * count
        counts.append(len(compared))
    assert counts[1] <= 2 * counts[0]


original = Path.is_relative_to
