"""Pages that are generated from the code are complete."""

import ast
import re

import pytest

from docs.generate import raised as reader
from docs.generate.command_line import command_line_page
from docs.generate.errors import errors_page
from docs.generate.parameters import parameters_page
from docs.generate.raised import PARTS, raised
from docs.generate.settings import settings_page
from docs.generate.source import Module, error_classes, modules
from orchestration.cli.main import plumbline
from orchestration.pipeline.params import Params
from spine import errors
from spine.measurement.registry import ABSENT_CODES, PARAMETERS


def test_error_classes_are_found_with_their_exit_codes():
    there = {n: c.exit_code for n, c in vars(errors).items() if isinstance(c, type) and hasattr(c, "exit_code")}
    assert len(there) > 10
    assert {name: error_classes()[name] for name in there} == there
    assert {"WorkspaceBusy", "ServiceFailed", "TrainingInterrupted"} <= error_classes().keys()


@pytest.mark.slow
def test_every_code_in_a_raise_statement_is_found():
    """Counts the codes in the text of raise statements, independently of the page generator."""
    spelled = re.compile(r'\braise \w+(?:\.\w+)?\(\s*"([A-Z][A-Z0-9_]{3,})"')
    texts = (ast.unparse(module.tree).replace("'", '"') for module in modules().values())
    codes = {code for text in texts for code in spelled.findall(text)}
    assert len(codes) > 80
    assert codes <= {place.code for place in raised()}


def test_every_message_has_found_expected_and_remedy():
    silent = [f"{p.module}:{p.line} {p.code}" for p in raised() if not all(p.message.get(part) for part in PARTS)]
    assert silent == []


def test_one_error_code_has_one_exit_code():
    endings: dict[str, set[int]] = {}
    for place in raised():
        endings.setdefault(place.code, set()).add(error_classes()[place.error])
    assert len(endings) > 150
    assert {code: ends for code, ends in endings.items() if len(ends) > 1} == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            'def f(n): raise InputRejected("TOO_FEW", found=f"{n:.1f} points", expected="ten", remedy="add " + "some")',
            [("TOO_FEW", "InputRejected", "{n} points", "ten", "add some")],
        ),
        (
            'def f(a): raise InputRejected("ONE_CODE" if a else "OTHER_CODE", found="x", expected="y", remedy="z")',
            [("ONE_CODE", "InputRejected", "x", "y", "z"), ("OTHER_CODE", "InputRejected", "x", "y", "z")],
        ),
        (
            'def f():\n raise made("BY_HELPER", "x")\n'
            'def made(code, found): return GateRefused(code, found=found, expected=_Y, remedy="z")\n_Y = "y"',
            [("BY_HELPER", "GateRefused", "x", "y", "z")],
        ),
        (
            'def f():\n for key, code in (("a", "FIRST_CODE"), ("b", "SECOND_CODE")):\n'
            '  raise InputRejected(code, found=key, expected="y", remedy="z")',
            [("FIRST_CODE", "InputRejected", "{key}", "y", "z"), ("SECOND_CODE", "InputRejected", "{key}", "y", "z")],
        ),
        (
            'def f():\n found = [("LISTED_CODE", f"{n} of it")]\n'
            ' raise InputRejected(found[0][0], found="all", expected="y", remedy="z")',
            [("LISTED_CODE", "InputRejected", "{n} of it", "y", "z")],
        ),
        (
            'def f(n):\n if n > 9:\n  found = f"{n} bytes"\n'
            '  raise InputRejected("FIRST_CODE", found=found, expected="y", remedy="z")\n'
            ' if n < 1:\n  found = "no end"\n'
            '  raise InputRejected("SECOND_CODE", found=found, expected="y", remedy="z")\n found = "more"',
            [
                ("FIRST_CODE", "InputRejected", "{n} bytes", "y", "z"),
                ("SECOND_CODE", "InputRejected", "no end", "y", "z"),
            ],
        ),
    ],
    ids=["literal", "alternatives", "helper", "loop", "findings", "nearest assignment"],
)
def test_each_way_to_raise_is_read(monkeypatch, source, expected):
    module = Module("m", ast.parse(source))
    monkeypatch.setattr(reader, "modules", lambda: {"m": module})
    monkeypatch.setattr(reader, "_makers", lambda: dict(reader._new_makers({})))
    found = [place for call in module.calls() for place in reader._places(module, call)]
    assert [(p.code, p.error, *(p.message[part] for part in PARTS)) for p in found] == expected


def test_the_page_of_errors_has_every_code_and_every_class():
    page = errors_page()
    assert all(f"`{place.code}`" in page for place in raised())
    assert all(f"`{name}`" in page for name in error_classes())


def _leaves(content, prefix=""):
    for name, value in content.items():
        yield from _leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else [prefix + name]


def test_the_page_of_params_has_every_key():
    page = settings_page()
    content = Params().model_dump()
    keys = list(_leaves(content))
    assert len(keys) > 20
    assert [key for key in keys if f"| `{key}` |" not in page] == []
    assert "| `cohort.count` | integer | `274` | ≥ 1, ≤ 100000 |" in page
    assert "| `gate.policy` | string | `default` |" in page


def test_the_page_of_the_command_line_has_every_command_and_option():
    page = command_line_page()
    for name in plumbline.list_commands(None):
        assert f"## plumbline {name}\n" in page
        section = page.split(f"## plumbline {name}\n")[1].split("\n## ")[0]
        options = [option for p in plumbline.get_command(None, name).params for option in p.opts if option[:2] == "--"]
        assert [option for option in options if option not in section] == []
    assert "--virtual-pairs" in page.split("## python -m training\n")[1]


def test_the_page_of_parameters_has_every_parameter_and_every_reason():
    page = parameters_page()
    assert all(f"| `{name}` |" in page for name in (*PARAMETERS, *ABSENT_CODES))
