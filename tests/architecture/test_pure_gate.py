"""The gate is pure and loads fast: it imports no registry and no statistics library."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def judging_modules() -> list[str]:
    """Every module of the gate that a verdict and its text need."""
    code = (
        "import sys, validation.gates.verdict_text\n"
        "print(*sorted(m for m in sys.modules if m.startswith('validation.gates.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def loaded_with(module: str) -> set[str]:
    code = f"import sys, {module}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_a_verdict_loads_no_scipy_stats_and_no_registry():
    loaded = loaded_with("validation.gates.verdict")
    assert "validation.gates.policy" in loaded
    assert not loaded & {"scipy.stats", "mlflow", "sqlalchemy", "pandas", "matplotlib", "requests"}


def imports_of(path: Path) -> set[str]:
    """Modules that a file imports anywhere, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_the_gate_imports_no_module_with_side_effects():
    """Modules of the gate import one another, the statistics and ``spine``; no MLflow, SQLAlchemy or promotion."""
    pure = judging_modules()
    assert {"validation.gates.verdict", "validation.gates.rules", "validation.gates.policy"} <= set(pure)
    for module in pure:
        imported = imports_of(ROOT / f"{module.replace('.', '/')}.py")
        assert not {name for name in imported if name.split(".")[0] in ("mlflow", "sqlalchemy", "requests")}, module
        own = {name for name in imported if name.startswith(("validation.gates.", "validation.promotion"))}
        assert own <= set(pure), module


@pytest.mark.parametrize("package", ["spine", "inference", "validation"])
def test_no_module_imports_scipy_stats(package):
    """``scipy.stats`` takes a second to load; ``scipy.special`` and a closed formula replace it."""
    users = [path for path in (ROOT / package).rglob("*.py") if "scipy.stats" in path.read_text()]
    importing = [p for p in users if {"scipy.stats"} & imports_of(p) or "import stats" in p.read_text()]
    assert importing == []
