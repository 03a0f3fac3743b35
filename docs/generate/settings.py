"""The page of params.yaml."""

from docs.generate.markdown import code, plain, table
from orchestration.pipeline.params_table import ParameterSection, parameter_sections

_INTRODUCTION = """# params.yaml

This page is made from the schema; `plumbline params` prints the same tables, and `plumbline params -w WORKSPACE` prints
the values of a workspace beside the defaults. `plumbline init` writes the file with every key and its default; `--set
KEY=VALUE` changes one value. An unknown key or a value outside its range is an error, and all errors are reported
together.

"""
_COLUMNS = ("Key", "Type", "Default", "Range", "Meaning")


def settings_page() -> str:
    """One table for each section of params.yaml: key, type, default, range, meaning."""
    first, *others = parameter_sections()
    texts = [f"## {section.name}\n\n{section.about}\n\n{_table(section)}" for section in others]
    return _INTRODUCTION + "\n".join([_table(first), *texts])


def _table(section: ParameterSection) -> str:
    rows = ((code(r.key), plain(r.kind), code(r.default), plain(r.limits), plain(r.meaning)) for r in section.rows)
    return table(_COLUMNS, rows)
