"""The page of the measured parameters."""

from docs.generate.markdown import code, plain, table
from spine.measurement.registry import ABSENT_CODES, PARAMETERS

_INTRODUCTION = """# Measured parameters

This page is made from the source code. `plumbline parameters` prints the same table.

{parameters}
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
    absences = ((code(name), plain(text)) for name, text in ABSENT_CODES.items())
    return _INTRODUCTION.format(parameters=table(columns, rows), absences=table(("Code", "Meaning"), absences))
