"""Tables and text are folded to the window and never cut; figures and names stay on one line."""

import re
from collections.abc import Callable

import pytest
from rich.console import Console

from orchestration.cli import terminal
from orchestration.cli.terminal import print_table, print_text
from orchestration.pipeline.step_report import StepReport
from orchestration.printable import printable, printable_name

WIDTH = 80
HISTORY = ("", "when", "event", "version", "model", "by", "reason", "verdict")
ENTRY = (
    "12", "2026-11-23 12:00 UTC", "rolled_back", "3", "489661e45210",
    "dagster run 0b61c1a2-7d5e-4e2f-9a59-2d0f2a1c7c11", "wrong side in 3 of 40 radiographs of patients lying down",
    "065135d8c2e1",
)  # fmt: skip
RULES = ("parameter", "error", "threshold", "verdict")
RULE = (
    "all parameters: upper bound of the paired difference", "-0.02 margins", "-0.01 margins",
    "INSUFFICIENT (mean absolute error in a group above ceiling, underpowered, subgroup not shown)",
)  # fmt: skip


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Console]:
    def opened(width: int) -> Console:
        monkeypatch.setenv("COLUMNS", str(width))
        console = Console(highlight=False, markup=False, soft_wrap=True, width=width, record=True)
        monkeypatch.setattr(terminal, "output", console)
        return console

    return opened


def whole_words(text: str) -> set[str]:
    return set(re.sub(r"[│┃┏┳┓┡╇┩└┴┘━─]", " ", text).split())


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize(("columns", "row"), [(HISTORY, ENTRY), (RULES, RULE)])
def test_every_word_of_a_table_is_whole_and_inside_the_window(
    window: Callable[[int], Console], width: int, columns: tuple[str, ...], row: tuple[str, ...]
) -> None:
    console = window(width)
    print_table("Title", columns, [row], note="a note")
    shown = console.export_text()
    assert max(len(line) for line in shown.splitlines()) <= width
    assert {word for cell in row for word in cell.split()} <= whole_words(shown)
    assert set(columns) - {""} <= whole_words(shown), "each cell is separate from its neighbours"
    assert "…" not in shown


def test_figures_stay_on_one_line_with_their_unit(window: Callable[[int], Console]) -> None:
    console = window(WIDTH)
    print_table("Title", RULES, [RULE])
    shown = console.export_text()
    assert "┃" in shown, "this one fits as a table"
    assert "-0.02 margins" in shown and "-0.01 margins" in shown


def test_what_is_no_markup_is_not_taken_for_it(window: Callable[[int], Console]) -> None:
    console = window(WIDTH)
    print_table("Title", ("a", "b"), [("[red]x[/red]", "[0.1, 0.2]")])
    assert "[red]x[/red]" in (shown := console.export_text()) and "[0.1, 0.2]" in shown


def test_words_fold_between_words_and_points_hang(window: Callable[[int], Console]) -> None:
    console = window(WIDTH)
    print_text("- " + "word " * 40 + "[CODE]\n\nplain")
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines[0].startswith("- word") and lines[1].startswith("  word")
    assert lines[-2:] == ["", "plain"]
    assert any(line.endswith("[CODE]") for line in lines)


def test_a_file_gets_lines_as_long_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    console = Console(highlight=False, markup=False, soft_wrap=True, record=True, force_terminal=False)
    monkeypatch.setattr(terminal, "output", console)
    print_text("- " + "word " * 40)
    print_table("Title", HISTORY, [ENTRY])
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert any(all(cell in line for cell in ENTRY) for line in lines), "one entry, one line to search for"


@pytest.mark.parametrize("width", [WIDTH, 200])
def test_square_brackets_are_printed_as_they_are(window, width):
    odd = "[/red] [bold]R. Viewer[/bold] [x"
    console = window(width)
    print_table(f"Title {odd}", ("who", "verdict [1]"), [[odd, f"PASS {odd}"]], note=f"note {odd}")
    print_text(odd)
    assert console.export_text().count("[bold]R.") == 5
    terminal.print_step(StepReport("studies", {odd: odd}))


def test_names_on_the_terminal_control_nothing():
    name = "M\xfcller \udce9\x1b[2J\n\x07"
    assert printable_name(name) == "M\xfcller \\udce9\\x1b[2J\\n\\x07"
    assert printable("a\nb\x1b") == "a\nb\\x1b"
