"""Texts in DICOM files that try to leave the store, to forge log lines or to crash a reader: D9 and D26."""

import io
import warnings

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from spine.intake.ingest import ingest
from spine.intake.sources import open_source
from spine.study import iterate_study_folders
from tests.spine.intake.constructed_studies import KEY, snapshot, write_study

ESCAPE = b"\x1b[31m\x1b]0;owned\x07"
NAMES = {
    "ISO 2022": (b"\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"),
    "a switch that never ends": (b"\\ISO 2022 IR 87", b"Yamada\x1b$B"),
    "an unknown character set": (b"ISO_IR 9999", b"M\xfcller^Ren\xe9"),
    "two sets that exclude each other": (b"ISO_IR 192\\GB18030", "Müller^王".encode()),
    "UTF-8 that breaks off": (b"ISO_IR 192", b"Meier\xc3"),
    "NUL bytes": (b"ISO_IR 192", b"Meier\0Huber\0\0C"),
    "a new line and an escape sequence": (b"ISO_IR 192", b"Meier\nERROR: forged\r\n" + ESCAPE),
    "bidirectional marks": (b"ISO_IR 192", "Meier\u202efdp.exe\u2066".encode()),
    "format strings": (b"ISO_IR 192", b"%s%n{0.__class__}$(id)${jndi:ldap://x}"),
    "markup": (b"ISO_IR 192", b"<script>alert(1)</script>[bold]"),
}
"""Kind -> the name of a character set, and a text in it."""
TEXTS = {
    **dict.fromkeys((524416, 528446, 528432, 1048608, 528528, 1572885, 1576960), "LO"),
    0x00100010: "PN",
    0x00080090: "PN",
    0x00104000: "LT",
    0x00204000: "LT",
    0x00080050: "SH",
}
UIDS = (b"../../../escaped", b"/etc/escaped", b"1." * 150, b"", b"1.2/../../escaped", b"1.2\n3")


def take_in(place):
    return ingest(open_source("folder", place / "drop"), place / "work" / "s", place / "work" / "q", pseudonym_key=KEY)


def plant(path, texts, implicit=False):
    """Write elements whose values are exactly these bytes."""
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        dataset, out = pydicom.dcmread(path), io.BytesIO()
        for tag, (vr, text) in texts.items():
            value = text + b" " * (len(text) % 2)
            dataset[Tag(tag)] = RawDataElement(Tag(tag), vr, len(value), value, 0, implicit, True)
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"
        pydicom.dcmwrite(out, dataset, implicit_vr=implicit, little_endian=True, enforce_file_format=True)
    assert all(text in out.getvalue() for _, text in texts.values())
    path.write_bytes(out.getvalue())


@pytest.mark.parametrize("kind", NAMES)
def test_no_text_of_a_file_leaves_intake_or_breaks_it(tmp_path, kind, caplog, capfd):
    caplog.set_level("DEBUG")
    good, bad = (write_study(tmp_path / "drop" / name, seed, simulated=False) for name, seed in (("a", 1), ("b", 2)))
    character_set, text = NAMES[kind]
    for folder in (good, bad):
        for view in ("frontal", "lateral"):
            plant(folder / f"{view}.dcm", {tag: (vr, text) for tag, vr in TEXTS.items()})
            plant(folder / f"{view}.dcm", {0x00080005: ("CS", character_set)})
    (bad / "frontal.dcm").write_bytes((bad / "frontal.dcm").read_bytes()[:-100])
    caplog.clear()
    report = take_in(tmp_path)
    assert (report.used, [q.code for q in report.quarantined]) == (1, ["TRUNCATED"])
    written = {n: b for n, b in snapshot(tmp_path / "work").items() if not n.endswith((".dcm", ".npy"))}
    shown = repr(report) + caplog.text + "".join(capfd.readouterr())
    for part in (text, text[:6], ESCAPE, b"forged", b"script"):
        assert not [name for name, payload in written.items() if part in payload]
        assert part.decode("latin-1") not in shown and part.decode("utf-8", "replace") not in shown


@pytest.mark.parametrize("implicit", [True, False])
def test_a_text_of_ten_megabytes_is_not_kept(tmp_path, implicit):
    study, text = write_study(tmp_path / "drop" / "a", 1, simulated=False), b"x" * 10_000_000
    kinds = {0x00104000: "LT", 0x00204000: "LT", 0x00100010: "PN"} if implicit else {0x0040A160: "UT"}
    plant(study / "frontal.dcm", {tag: (vr, text) for tag, vr in kinds.items()}, implicit)
    report = take_in(tmp_path)
    assert (report.used, report.quarantined) == (1, ())
    stored = snapshot(tmp_path / "work" / "s")
    assert sum(len(payload) for name, payload in stored.items() if not name.endswith(".npy")) < 100_000


@pytest.mark.parametrize("uid", UIDS)
@pytest.mark.parametrize("tag", [0x00080018, 0x0020000D, 0x0020000E])
def test_no_uid_becomes_a_path(tmp_path, tag, uid):
    study = write_study(tmp_path / "drop" / "a", 1, views=("frontal",), reconstruction=False)
    plant(study / "frontal.dcm", {tag: ("UI", uid)})
    before = snapshot(tmp_path / "drop")
    assert [q.code for q in take_in(tmp_path).quarantined] == ["UID_INVALID"]
    assert list(iterate_study_folders(tmp_path / "work" / "s")) == []
    assert snapshot(tmp_path / "drop") == before
    assert {path.name for path in tmp_path.iterdir()} == {"drop", "work"}
    assert not [name for name in snapshot(tmp_path / "work") if "escaped" in name]


@pytest.mark.parametrize("patient", [b"../../escaped", b"/etc/escaped", b"a" * 60_000, b"CON.MEIER", b"Meier\n\x1b[2J"])
def test_no_patient_id_becomes_a_path_or_a_record(tmp_path, patient):
    study = write_study(tmp_path / "drop" / "a", 1, views=("frontal",), reconstruction=False)
    plant(study / "frontal.dcm", {0x00100020: ("LO", patient)})
    assert take_in(tmp_path).used == 1
    made = snapshot(tmp_path / "work")
    assert not [n for n, b in made.items() if n.endswith((".json", ".jsonl")) and patient[:12] in b]
    assert {path.name for path in tmp_path.iterdir()} == {"drop", "work"}
    assert not [name for name in made if "escaped" in name or len(name) > 120]
