"""Exit codes: the table of the README is that of the classes, and one reason ends one way wherever it is raised."""

import ast
import importlib
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

from spine.errors import PlumblineError

ROOT = Path(__file__).parents[2]
ROOMS = ("spine", "validation", "inference", "training", "orchestration")
TREES = {p: ast.parse(p.read_text()) for room in ROOMS for p in sorted((ROOT / room).rglob("*.py"))}


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


@cache
def _errors() -> dict[str, type[PlumblineError]]:
    """Every class of the tree of errors, by name."""
    found: dict[str, type[PlumblineError]] = {"PlumblineError": PlumblineError}
    classes = [(p, n) for p, tree in TREES.items() for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
    while new := [(p, n) for p, n in classes if n.name not in found and {_name(b) for b in n.bases} & set(found)]:
        for path, node in new:
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[node.name] = getattr(importlib.import_module(module), node.name)
    return found


def _raisers() -> dict[tuple[Path, str], str]:
    """(module, helper function) -> the class of the error that it makes."""
    made = {}
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                calls = {_name(c.func) for c in ast.walk(node) if isinstance(c, ast.Call)} & set(_errors())
                if len(calls) == 1 and any(a.arg == "code" for a in node.args.args):
                    made[path, node.name] = calls.pop()
    return made


def _raised() -> dict[str, set[str]]:
    """Reason code -> the classes under which it is raised."""
    raisers, found = _raisers(), defaultdict(set)
    for path, tree in TREES.items():
        origins = {
            alias.asname or alias.name: (ROOT / node.module.replace(".", "/")).with_suffix(".py")
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call) and n.args):
            code = call.args[0]
            if not (isinstance(code, ast.Constant) and re.fullmatch("[A-Z0-9_]{4,}", str(code.value))):
                continue
            name = _name(call.func.value if isinstance(call.func, ast.Attribute) else call.func)
            error = name if name in _errors() else raisers.get((origins.get(name, path), name))
            if error is not None:
                found[str(code.value)].add(error)
    return found


def test_the_readme_names_each_error_beside_its_exit_code():
    section = (ROOT / "README.md").read_text().split("## Exit codes", 1)[1].split("\n## ", 1)[0]
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", section, flags=re.MULTILINE))
    named = {name: int(code) for code, text in rows.items() for name in re.findall(r"`([A-Z]\w+)`", text)}
    assert named == {name: error.exit_code for name, error in _errors().items()}
    assert {"0", "130"} <= set(rows)


def test_one_reason_ends_with_one_exit_code():
    raised = _raised()
    assert len(raised) > 150 and raised["MODEL_INCOMPLETE"] == {"EvidenceRejected"}
    endings = {code: {_errors()[name].exit_code for name in names} for code, names in raised.items()}
    assert not {code for code, ends in endings.items() if len(ends) > 1}
