"""Every test that a table of the documentation names exists."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "tests").rglob("test_*.py")}
TOKEN = re.compile(r"`([^`]+)`")


def functions_of(path: Path) -> set[str]:
    """Names of the test functions of a module, also those inside classes."""
    tree = ast.parse(path.read_text())
    return {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")}


def file_named(token: str) -> Path | None:
    """The test file with this path, or with this name where only one file has it."""
    found = [path for name, path in FILES.items() if name == token or name.endswith(f"/{token}")]
    return found[0] if len(found) == 1 else None


def is_test(name: str, path: Path) -> bool:
    """Whether the module has this test; three dots match any part of its name."""
    pattern = re.compile(".*".join(re.escape(part) for part in name.split("...")))
    return any(pattern.fullmatch(test) for test in functions_of(path))


def violations(text: str) -> Iterator[str]:
    """Names in the tables of a page that match no test."""
    for line in (row for row in text.splitlines() if row.startswith("|") and ".py`" in row):
        path: Path | None = None
        for token in TOKEN.findall(line):
            if re.fullmatch(r"(tests/)?[\w/]*test_\w+\.py", token):
                path = file_named(token)
                if path is None:
                    yield f"no file, or several: {token}"
            elif re.fullmatch(r"(\.\.\.|test_)\w*(\.\.\.\w*)*", token) and (path is None or not is_test(token, path)):
                yield f"no test {token} in {path.name if path else 'any file named before it'}"


def test_every_test_that_the_documentation_names_exists():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    wrong = {page.name: found for page in pages if (found := list(violations(page.read_text())))}
    assert wrong == {}


NUMBERS = {"D": 28, "L": 4, "S": 3, "G": 15, "T": 12, "V": 5}
"""Kind of fault -> the number of faults of this kind."""


def test_every_fault_names_its_test():
    table = (ROOT / "docs" / "faults.md").read_text().partition("\n## Faults\n")[2]
    rows = [row.split("|") for row in table.splitlines() if re.match(r"\| [A-Z]\d", row)]
    listed = {number for row in rows for number in re.match(r" ((?:[A-Z]\d+,? )+)", row[1])[1].replace(",", "").split()}
    assert listed == {f"{kind}{number + 1}" for kind, count in NUMBERS.items() for number in range(count)}
    untested = [row[1] for row in rows if not re.search(r"`[\w/]*test_\w+\.py`", row[3])]
    assert untested == []


def test_a_wrong_name_is_found():
    here = "tests/architecture/test_documented_tests.py"
    good = f"| G1 | `{here}`: `test_a_wrong_...`, `...name_is_...`; `test_import_rules.py` |"
    assert list(violations(good)) == []
    for wrong, message in (
        ("| G1 | `test_there_is_none.py` |", "no file"),
        (f"| G1 | `{here}`: `test_a_name_that_was_...` |", "no test"),
        ("| G1 | `test_a_wrong_...`; `test_import_rules.py` |", "any file named before it"),
    ):
        (found,) = violations(wrong)
        assert message in found
