"""The page of the measured parameters."""

from docs.generate.markdown import code, plain, table
from spine.measurement.classes import CLASSES
from spine.measurement.registry import ABSENT_CODES, PARAMETERS

_INTRODUCTION = """# Measured parameters

This page is made from the source code. `plumbline parameters` prints the same table.

{parameters}
## Classes that follow from them

A class is given only where its inputs are known. Its probability is the share of the plausible parameter values, by
their 90 % intervals, that give this class. It does not contain errors in the names of the vertebrae.

{classes}
## Reasons of an absence

A parameter has a finite value, or one of these reasons why it has no value:

{absences}"""


def parameters_page() -> str:
    """Every parameter of the registry, then every reason of an absence."""
    rows = (
        (code(p.name), plain(p.label), p.plane, p.unit, plain(p.definition), plain(p.sign), plain(p.source))
        for p in PARAMETERS.values()
    )
    columns = ("Name", "Label", "Plane", "Unit", "Definition", "Sign", "Source")
    derived = ((code(c.name), plain(c.label), plain(c.definition), plain(c.source)) for c in CLASSES.values())
    classes = table(("Name", "Label", "Definition", "Source"), derived)
    absences = ((code(name), plain(text)) for name, text in ABSENT_CODES.items())
    reasons = table(("Code", "Meaning"), absences)
    return _INTRODUCTION.format(parameters=table(columns, rows), classes=classes, absences=reasons)
