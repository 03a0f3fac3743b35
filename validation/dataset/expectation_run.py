"""Checks tables against suites with Great Expectations, part by part. A rule that evaluates too few rows fails.

Contract: a table may be checked in parts, because a rule is a rule of one row (a rule on unique values must see the
whole table as one part). ``tallies_of`` checks one part, ``added`` adds up the parts in their order, and
``outcomes_of`` judges the sums: the outcome does not depend on how the table was divided.

Great Expectations 1.24 reports success for an empty suite, a table without rows, a column of nulls and a column with
too few values. Here each of these cases fails with its own code:

    EMPTY_SUITE, ZERO_ROWS, COLUMN_MISSING, ALL_NULL, FEWER_ROWS, EXPECTATION_RAISED

The number of rows that a rule must evaluate comes from the table's flag columns, not from the rule's result.

Every row that breaks a rule is counted. ``KEPT`` rows of a rule are kept, and the first row of every further study, so
that a source that is wrong throughout is reported and does not fill the memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from validation.dataset.expectations import results_of
from validation.dataset.suites import EVERY_ROW, KEYS, Rule, Suite, TableName

if TYPE_CHECKING:
    import pandas as pd

KEPT = 2000

Outcome = Literal[
    "passed", "broken", "not_applicable",
    "EMPTY_SUITE", "ZERO_ROWS", "COLUMN_MISSING", "ALL_NULL", "FEWER_ROWS", "EXPECTATION_RAISED",
]  # fmt: skip


@dataclass(frozen=True)
class Violation:
    """One row that breaks a rule: the columns that identify the row, and the value found."""

    row: Mapping[str, str]
    value: str


@dataclass(frozen=True)
class RuleOutcome:
    """The outcome of one rule.

    Attributes:
        table: name of the table.
        rule: the rule; None for a suite without rules.
        outcome: ``passed``, ``broken``, ``not_applicable`` (no row has or needs a value), or a code of the list above.
        rows: number of rows in the table.
        due: number of rows that the rule must evaluate.
        evaluated: number of rows that the rule evaluated.
        violated: number of rows that break the rule.
        violations: rows that break the rule: all of them, or those that are kept of very many.
        note: details of the code in ``outcome``.
    """

    table: TableName
    rule: Rule | None
    outcome: Outcome
    rows: int
    due: int = 0
    evaluated: int = 0
    violated: int = 0
    violations: tuple[Violation, ...] = ()
    note: str = ""

    @property
    def is_evidence(self) -> bool:
        """Whether the rule evaluated every required row, or does not apply."""
        return self.outcome in ("passed", "broken", "not_applicable")


@dataclass(frozen=True)
class Tally:
    """What one part of a table says about one rule.

    Attributes:
        rows, due, evaluated, violated, violations: as in ``RuleOutcome``, for this part.
        missing: columns that the rule needs and the part lacks.
        raised: the message of the expectation if it raised an exception, or empty.
        failed: whether the expectation failed.
    """

    rows: int
    due: int = 0
    evaluated: int = 0
    violated: int = 0
    violations: tuple[Violation, ...] = ()
    missing: tuple[str, ...] = ()
    raised: str = ""
    failed: bool = False


Tallies = dict[tuple[TableName, str], Tally]
"""(Table, name of the rule) -> tally."""


def tallies_of(suites: Sequence[Suite], part: Mapping[TableName, "pd.DataFrame"]) -> Tallies:
    """One tally for each rule, from one part of each suite's table."""
    found: Tallies = {}
    for suite in suites:
        table = part[suite.table]
        checked = tuple(r for r in suite.rules if not _missing(r, table) and table[r.column].notna().any())
        results = results_of(Suite(suite.table, checked), table) if checked else {}
        for rule in suite.rules:
            found[suite.table, rule.name] = _tally(suite.table, rule, table, results.get(rule.name))
    return found


def added(first: Tallies, second: Tallies) -> Tallies:
    """The tallies of two parts of the same tables. A rule that only one of them checked keeps its tally."""
    both = first.keys() & second.keys()
    return first | second | {key: _sum(first[key], second[key]) for key in both}


def outcomes_of(suites: Sequence[Suite], tallies: Tallies) -> list[RuleOutcome]:
    """The outcome of each rule, from the tallies of the whole tables; a rule without a tally has seen no row."""
    found = []
    for suite in suites:
        if not suite.rules:
            found.append(RuleOutcome(suite.table, None, "EMPTY_SUITE", 0, note="the suite has no rule"))
        found += [_outcome(suite.table, r, tallies.get((suite.table, r.name), Tally(0))) for r in suite.rules]
    return found


def due_rows(rule: Rule, part: "pd.DataFrame") -> int:
    """Number of rows in which the rule must find a value. The rule's flag column marks these rows."""
    if rule.where == EVERY_ROW:
        return len(part)
    return int(part[rule.where].sum()) if rule.where in part.columns else 0


def _sum(first: Tally, second: Tally) -> Tally:
    """The tally of two parts of one table. A part without rows changes nothing."""
    if not (first.rows and second.rows):
        return first if first.rows else second
    return Tally(
        rows=first.rows + second.rows,
        due=first.due + second.due,
        evaluated=first.evaluated + second.evaluated,
        violated=first.violated + second.violated,
        violations=_kept((*first.violations, *second.violations)),
        missing=tuple(column for column in first.missing if column in second.missing),
        raised=first.raised or second.raised,
        failed=first.failed or second.failed,
    )


def _outcome(table: TableName, rule: Rule, tally: Tally) -> RuleOutcome:
    rows, due, evaluated = tally.rows, tally.due, tally.evaluated
    if rows == 0:
        return RuleOutcome(table, rule, "ZERO_ROWS", 0, note="the table has no row")
    if tally.raised:
        return RuleOutcome(table, rule, "EXPECTATION_RAISED", rows, due, note=tally.raised)
    if tally.missing and rule.at_least > 0:
        return RuleOutcome(table, rule, "COLUMN_MISSING", rows, note=", ".join(tally.missing))
    if tally.missing or (rule.at_least == evaluated == due == 0):
        return RuleOutcome(table, rule, "not_applicable", rows)
    outcome, note = _evidence(rule, tally)
    return RuleOutcome(table, rule, outcome, rows, due, evaluated, tally.violated, tally.violations, note)


def _evidence(rule: Rule, tally: Tally) -> tuple[Outcome, str]:
    """The outcome of a rule that was checked, and a note."""
    expected = max(tally.due, rule.at_least)
    if tally.evaluated == 0 and expected > 0:
        return "ALL_NULL", f"no value in {tally.rows} rows, {expected} values expected"
    if tally.evaluated < expected:
        return "FEWER_ROWS", f"{tally.evaluated} rows evaluated, {expected} expected"
    if tally.failed and not tally.violated:
        return "EXPECTATION_RAISED", "the rule failed, but no row breaks it"
    return ("broken" if tally.failed else "passed"), ""


def _missing(rule: Rule, part: "pd.DataFrame") -> tuple[str, ...]:
    needed = [c for c in (rule.column, rule.where) if c is not None and c != EVERY_ROW]
    return tuple(column for column in needed if column not in part.columns)


def _tally(table: TableName, rule: Rule, part: "pd.DataFrame", result: Mapping[str, Any] | None) -> Tally:
    rows, due = len(part), due_rows(rule, part)
    if result is None:
        return Tally(rows, due, missing=_missing(rule, part))
    found = result["result"]
    if "element_count" not in found:  # the expectation raised an exception; reports differ by version
        return Tally(rows, due, raised=_message(result["exception_info"]))
    evaluated = int(found["element_count"]) - int(found.get("missing_count") or 0)
    broken = tuple(_violation(rule, table, entry) for entry in found.get("unexpected_index_list") or ())
    return Tally(rows, due, evaluated, len(broken), _kept(broken), failed=not result["success"])


def _kept(violations: tuple[Violation, ...]) -> tuple[Violation, ...]:
    """The first ``KEPT`` violations, and the first one of every further study."""
    if len(violations) <= KEPT:
        return violations
    kept = list(violations[:KEPT])
    studies = {v.row.get("study_id") for v in kept}
    for violation in violations[KEPT:]:
        if (study := violation.row.get("study_id")) not in studies:
            studies.add(study)
            kept.append(violation)
    return tuple(kept)


def _message(exception_info: Mapping[str, Any]) -> str:
    reports = [exception_info, *(v for v in exception_info.values() if isinstance(v, Mapping))]
    return "; ".join(str(r["exception_message"])[:200] for r in reports if r.get("exception_message")) or "no message"


def _violation(rule: Rule, table: TableName, entry: Mapping[str, Any]) -> Violation:
    value = entry.get(rule.column)
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return Violation({key: str(entry[key]) for key in KEYS[table]}, shown)
