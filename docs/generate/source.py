"""The parsed modules of the packages that pyproject.toml names."""

import ast
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from spine.errors import PlumblineError

ROOT = Path(__file__).parents[2]

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One module: its dotted name and its syntax tree."""

    name: str
    tree: ast.Module

    @cached_property
    def origins(self) -> Mapping[str, str]:
        """Imported name -> dotted name of the module that it comes from."""
        imports = (node for node in ast.walk(self.tree) if isinstance(node, ast.ImportFrom) and node.module)
        return {alias.asname or alias.name: str(node.module) for node in imports for alias in node.names}

    @cached_property
    def functions(self) -> Mapping[ast.AST, Function]:
        """Node -> the innermost function around it."""
        found: dict[ast.AST, Function] = {}
        for function in (n for n in ast.walk(self.tree) if isinstance(n, Function)):  # outer functions come first
            found |= {node: function for node in ast.walk(function) if node is not function}
        return found

    @cached_property
    def constants(self) -> Mapping[str, ast.expr]:
        """Name at the top of the module -> the expression that is assigned to it."""
        found: dict[str, ast.expr] = {}
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id] = node.value
        return found

    def calls(self) -> Iterator[ast.Call]:
        """Every call in the module."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))


@cache
def packages() -> tuple[str, ...]:
    """The packages of the project, as the import rules list them."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return tuple(config["tool"]["importlinter"]["root_packages"])


@cache
def modules() -> Mapping[str, Module]:
    """Dotted name -> module, for all packages."""
    files = (path for package in packages() for path in sorted((ROOT / package).rglob("*.py")))
    parsed = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in files}
    return {name: Module(name, ast.parse(path.read_text())) for name, path in parsed.items()}


@cache
def error_classes() -> Mapping[str, int]:
    """Name -> exit code, for ``PlumblineError`` and every class derived from it."""
    found = {"PlumblineError": PlumblineError.exit_code}
    classes = [n for m in modules().values() for n in ast.walk(m.tree) if isinstance(n, ast.ClassDef)]
    while new := [n for n in classes if n.name not in found and _base(n) in found]:
        found |= {node.name: _exit_code(node) or found[_base(node)] for node in new}
    return found


def _base(node: ast.ClassDef) -> str:
    return last_name(node.bases[0]) if node.bases else ""


def _exit_code(node: ast.ClassDef) -> int | None:
    """The exit code that a class sets; None if it inherits its exit code."""
    for line in node.body:
        if isinstance(line, ast.Assign) and last_name(line.targets[0]) == "exit_code":
            return int(ast.literal_eval(line.value))
    return None


def last_name(node: ast.expr) -> str:
    """``b`` of ``a.b`` and of ``b``; empty for anything else."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
