"""A planted identifier must not appear in anything ingest makes (docs/faults.md, D24)."""

import pydicom

from spine.intake.ingest import ingest
from spine.intake.sources import open_source
from tests.spine.intake.constructed_studies import KEY, snapshot, write_study

CANARY = "CANARYSECRET"
TEXTS = (
    *("PatientName", "PatientID", "OtherPatientIDs", "PatientComments", "PatientAddress", "InstitutionName"),
    *("StationName", "StudyDescription", "SeriesDescription", "DeviceSerialNumber", "ProtocolName", "ImageComments"),
    *("ReferringPhysicianName", "AccessionNumber", "StudyID", "OperatorsName", "Manufacturer"),
    *("ManufacturerModelName", "BodyPartExamined", "DerivationDescription"),
)


def plant(path):
    with pydicom.config.disable_value_validation():
        dataset = pydicom.dcmread(path)
        for keyword in TEXTS:
            setattr(dataset, keyword, CANARY)
        item = pydicom.Dataset()
        item.RequestedProcedureDescription = CANARY
        dataset.RequestAttributesSequence = [item]
        dataset.private_block(0x0009, CANARY, create=True).add_new(0x10, "LO", CANARY)
        dataset.add_new(0x60000010, "US", 4)
        dataset.add_new(0x60003000, "OW", CANARY.encode())
        dataset.save_as(path)


def planted(drop):
    good = write_study(drop / f"{CANARY}-a", 1, simulated=False)
    for view in ("frontal", "lateral"):
        plant(good / f"{view}.dcm")
        (good / f"{view}.dcm").rename(good / f"{CANARY}-{view}.dcm")
    text = (good / "reconstruction.json").read_text()
    text = text.replace('"vp-1"', f'"{CANARY}"').replace('"condition": "normal"', f'"condition": "{CANARY}"')
    (good / "reconstruction.json").write_text(text)
    for number, spoil in enumerate((b"", b"text", CANARY.encode() * 20)):
        bad = write_study(drop / f"{CANARY}-{number}", 10 + number, views=("frontal",))
        (bad / f"{CANARY}.dcm").write_bytes(spoil)
    bad = write_study(drop / f"{CANARY}-x", 20, views=("frontal",), simulated=False)
    plant(bad / "frontal.dcm")
    (bad / "frontal.dcm").write_bytes((bad / "frontal.dcm").read_bytes()[:-100])
    unknown = write_study(drop / f"{CANARY}-y", 21)
    text = (unknown / "reconstruction.json").read_text()
    (unknown / "reconstruction.json").write_text(text.replace('"T1_sup"', f'"{CANARY}"', 1))
    return drop


def test_a_planted_identifier_reaches_nothing(tmp_path, caplog, capfd):
    caplog.set_level("DEBUG")
    work = tmp_path / "work"
    source = open_source("folder", planted(tmp_path / "drop"))
    report = ingest(source, work / "studies", work / "quarantine", pseudonym_key=KEY)
    assert (report.received, report.used) == (6, 1)
    assert {q.code for q in report.quarantined} == {"EMPTY_FILE", "NOT_DICOM", "TRUNCATED", "POINT_UNKNOWN"}
    made = snapshot(work)
    # Quarantine keeps the refused files, readable by their owner only. Plumbline writes all other files.
    ours = {n: b for n, b in made.items() if not n.startswith("quarantine/") or n.endswith("reason.json")}
    assert len(ours) > 8
    assert not [name for name in made if CANARY in name]
    assert not [name for name, payload in ours.items() if CANARY.encode() in payload or b"vp-" in payload]
    good = next(c for c in source.contents().candidates if c.key.endswith("-a"))
    shown = repr(report) + caplog.text + "".join(capfd.readouterr()) + repr(good.load())
    assert CANARY not in shown
