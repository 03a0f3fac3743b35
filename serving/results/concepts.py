"""Codes as DICOM writes them: a code of the table as a coded concept, and the schemes that a result must identify."""

from typing import Any

from serving.results.codes import PRIVATE, PRIVATE_NAME, PRIVATE_UID, PRIVATE_VERSION, RESPONSIBLE, Code


def concept(code: Code) -> Any:
    """highdicom's coded concept, with the codes that mean the same as equivalents (PS3.3 8.9)."""
    from highdicom.sr import CodedConcept

    coded = CodedConcept(code.value, code.scheme, code.meaning)
    if code.same:
        coded.EquivalentCodeSequence = [CodedConcept(each.value, each.scheme, each.meaning) for each in code.same]
    return coded


def coding_schemes() -> list[Any]:
    """The items of CodingSchemeIdentificationSequence (PS3.3 C.12.1.1): the private scheme."""
    from pydicom.dataset import Dataset

    item: Any = Dataset()  # highdicom's class writes the UID for registered schemes only
    item.CodingSchemeDesignator, item.CodingSchemeUID = PRIVATE, PRIVATE_UID
    item.CodingSchemeName, item.CodingSchemeVersion = PRIVATE_NAME, PRIVATE_VERSION
    item.CodingSchemeResponsibleOrganization = RESPONSIBLE
    return [item]
