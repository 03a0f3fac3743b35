"""Which package may import which: the import linter's contracts, and rules that it cannot state."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("spine", "simulation", "validation", "inference", "training", "serving", "orchestration")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def modules_of(path: Path, *, at_import_only: bool = False) -> set[str]:
    """Dotted names that a module imports: anywhere, or only while the module itself is imported."""
    tree = tree_of(path)
    found = set()
    for node in executed_at_import(tree) if at_import_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imported(path: Path, *, at_import_only: bool = False) -> set[str]:
    """The top-level packages of ``modules_of``."""
    return {name.split(".")[0] for name in modules_of(path, at_import_only=at_import_only)}


def executed_at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """Nodes that run when the module is imported: not function bodies, not ``if TYPE_CHECKING``."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pending.extend([*node.decorator_list, *node.args.defaults, *[d for d in node.args.kw_defaults if d]])
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'"):
            pending.extend(node.orelse)
        elif not isinstance(node, ast.Lambda):
            yield node
            pending.extend(ast.iter_child_nodes(node))


def test_import_linter_keeps_its_contracts():
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


def test_training_runs_without_mlflow_and_logs_in_one_place():
    knows = {name_of(path) for path in MODULES if "mlflow" in imported(path)}
    assert {name for name in knows if name.startswith("training/")} <= {"training/tracking.py"}
    assert not [name for name in knows if name.startswith(("spine/", "inference/"))]


def calls_and_strings(path: Path) -> tuple[set[str], set[str]]:
    names, strings = set(), set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            strings.add(node.value)
    return names, strings


ALIAS_WRITERS = {
    "set_registered_model_alias", "delete_registered_model_alias", "copy_model_version",
    "transition_model_version_stage", "rename_registered_model", "delete_registered_model",
}  # fmt: skip


def test_one_writer_of_the_champion():
    writers = {name_of(path) for path in MODULES if calls_and_strings(path)[0] & ALIAS_WRITERS}
    assert writers == {"validation/promotion/sync.py"}
    hidden = {name_of(p) for p in MODULES if calls_and_strings(p)[1] & ALIAS_WRITERS}
    assert not hidden, "called by its name as a string"
    # Deleting a version deletes its alias. Training deletes only its own incompletely registered candidates, and the
    # cleanup after a killed promotion only versions without an alias that were never in service.
    deleters = {name_of(path) for path in MODULES if "delete_model_version" in calls_and_strings(path)[0]}
    assert deleters <= {"training/tracking.py", "validation/promotion/sync.py"}


def test_training_does_not_import_the_gate():
    callers = {name_of(path) for path in MODULES if any(m.startswith("validation.gates") for m in modules_of(path))}
    assert callers
    assert all(name.startswith(("validation/", "orchestration/")) for name in callers)


def dagster_modules() -> list[Path]:
    return [
        path for path in MODULES if name_of(path).startswith("orchestration/dagster/") and "dagster" in imported(path)
    ]


def test_dagster_modules_do_not_postpone_annotations():
    assert len(dagster_modules()) >= 8
    for path in dagster_modules():
        futures = [n for n in ast.walk(tree_of(path)) if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
        assert not futures, name_of(path)


def test_assets_are_at_most_fifteen_lines():
    for path in sorted((ROOT / "orchestration" / "dagster" / "assets").glob("*.py")):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef) and any("asset" in ast.unparse(d) for d in node.decorator_list):
                assert node.end_lineno - node.lineno + 1 <= 15, f"{path.name}: {node.name}"


PACKAGE_FOLDERS = sorted({path.parent for path in MODULES if len(list(path.parent.glob("*.py"))) > 1})


@pytest.mark.parametrize("folder", PACKAGE_FOLDERS, ids=name_of)
def test_a_package_maps_its_modules(folder):
    """The docstring of ``__init__.py`` lists exactly the modules and packages of its folder."""
    docstring = ast.get_docstring(tree_of(folder / "__init__.py"), clean=False) or ""
    mapped = set(re.findall(r"^ {0,4}(\w+)/?  +", docstring, re.MULTILINE))
    there = {p.stem for p in folder.glob("*.py")} | {p.parent.name for p in folder.glob("*/__init__.py")}
    assert mapped == there - {"__init__", "__main__"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_has_a_docstring_and_is_short_and_its_functions_fit_on_a_screen(path):
    assert ast.get_docstring(tree_of(path)), "no module docstring"
    assert path.read_text().count("\n") <= 400
    functions = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef)]
    assert not {node.name for node in functions if lines_of_work(node) > 40}


def lines_of_work(function: ast.FunctionDef) -> int:
    """Lines of the body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


FORBIDDEN_AT_IMPORT = {
    "mkdir", "makedirs", "open", "write_text", "write_bytes", "touch", "getenv", "environ", "set_tracking_uri",
    "set_registry_uri", "set_experiment",
}  # fmt: skip


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_happens_at_import_time(path):
    done = set()
    for node in executed_at_import(tree_of(path)):
        if isinstance(node, ast.Call):
            callee = node.func
            done.add(callee.attr if isinstance(callee, ast.Attribute) else getattr(callee, "id", ""))
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute):
            done.add(node.value.attr)
    assert not done & FORBIDDEN_AT_IMPORT


HEAVY = {"torch", "lightning", "mlflow", "pandas", "great_expectations", "matplotlib", "dvc", "onnxruntime"}


def test_orchestration_imports_heavy_libraries_inside_functions_only():
    for path in MODULES:
        if name_of(path).startswith("orchestration/"):
            assert not imported(path, at_import_only=True) & HEAVY, name_of(path)


def modules_after(command: list[str], cwd: Path) -> set[str]:
    code = (
        "import sys, runpy; code = 0; sys.argv = ['plumbline', *sys.argv[1:]]\n"
        "try: runpy.run_module('orchestration.cli.main', run_name='__main__')\n"
        "except SystemExit as stop: code = stop.code\n"
        "print('MODULES', code, *sorted({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], cwd=cwd, capture_output=True, text=True, timeout=120)
    words = next(line for line in done.stdout.splitlines() if line.startswith("MODULES")).split()
    assert words[1] in ("0", "None"), done.stderr
    return set(words[2:])


@pytest.mark.parametrize("command", [["--help"], ["measure", "--help"], ["demo", "--help"], ["promote", "--help"]])
def test_help_loads_neither_torch_nor_dagster(command, tmp_path):
    loaded = modules_after(command, tmp_path)
    assert "click" in loaded
    assert not loaded & (HEAVY | {"dagster"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_importing_every_light_module_makes_no_file(tmp_path):
    """Imports all packages except simulation and training in one process, with an empty home and temporary folder."""
    light = [
        name_of(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for path in MODULES
        if path.name != "__main__.py" and not name_of(path).startswith(("training/", "simulation/"))
    ]
    code = f"import importlib\nfor name in {light!r}: importlib.import_module(name)"
    environment = dict.fromkeys(("HOME", "MPLCONFIGDIR", "TMPDIR"), str(tmp_path))
    environment |= {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [path.name for path in tmp_path.rglob("*")] == []
