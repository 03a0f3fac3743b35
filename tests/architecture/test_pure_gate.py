"""The gate is pure and loads fast: it imports no registry and no statistics library."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_a_verdict_loads_no_scipy_stats_and_no_registry():
    code = "import sys, validation.gates.verdict\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
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


@pytest.mark.parametrize("package", ["spine", "inference", "validation"])
def test_no_module_imports_scipy_stats(package):
    """``scipy.stats`` takes a second to load; ``scipy.special`` and a closed formula replace it.

    ``drift`` uses its tests in functions: it runs after an intake, never in a command that somebody waits for.
    """
    files = set((ROOT / package).rglob("*.py")) - {ROOT / "validation" / "dataset" / "drift.py"}
    users = [path for path in files if "scipy.stats" in path.read_text()]
    importing = [p for p in users if {"scipy.stats"} & imports_of(p) or "import stats" in p.read_text()]
    assert importing == []
