"""Checks tables against suites with Great Expectations. A rule that evaluates too few rows fails.

Contract: Great Expectations 1.24 reports success for an empty suite, a table without rows, a column of nulls and a
column with too few values. Here each of these cases fails with its own code:

    EMPTY_SUITE, ZERO_ROWS, COLUMN_MISSING, ALL_NULL, FEWER_ROWS, EXPECTATION_RAISED

The number of rows that a rule must evaluate comes from the table's flag columns, not from the rule's result.
"""

import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from validation.dataset.suites import EVERY_ROW, KEYS, Rule, Suite, TableName

if TYPE_CHECKING:
    import pandas as pd

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
        violations: rows that break the rule.
        note: details of the code in ``outcome``.
    """

    table: TableName
    rule: Rule | None
    outcome: Outcome
    rows: int
    due: int = 0
    evaluated: int = 0
    violations: tuple[Violation, ...] = ()
    note: str = ""

    @property
    def is_evidence(self) -> bool:
        """Whether the rule evaluated every required row, or does not apply."""
        return self.outcome in ("passed", "broken", "not_applicable")


def run_suites(
    suites: Sequence[Suite], tables: Mapping[TableName, "pd.DataFrame"], docs: Path | None
) -> list[RuleOutcome]:
    """Run all suites in one ephemeral context and return one outcome for each rule.

    Args:
        docs: folder for Great Expectations' Data Docs; None to write no Data Docs.
    """
    outcomes: list[RuleOutcome] = []
    runnable: list[Suite] = []
    for suite in suites:
        known = _known_outcomes(suite, tables[suite.table])
        outcomes += known
        left = tuple(rule for rule in suite.rules if rule not in {outcome.rule for outcome in known})
        if left:
            runnable.append(Suite(suite.table, left))
    if docs is not None:
        shutil.rmtree(docs, ignore_errors=True)
    if runnable:
        for suite, results in zip(runnable, _validate(runnable, tables, docs), strict=True):
            outcomes += [_judge(suite.table, rule, tables[suite.table], results[rule.name]) for rule in suite.rules]
    return outcomes


def _known_outcomes(suite: Suite, table: "pd.DataFrame") -> list[RuleOutcome]:
    """The outcomes that are known before Great Expectations runs."""
    rows = len(table)
    if not suite.rules:
        return [RuleOutcome(suite.table, None, "EMPTY_SUITE", rows, note="the suite has no rule")]
    if rows == 0:
        return [RuleOutcome(suite.table, rule, "ZERO_ROWS", 0, note="the table has no row") for rule in suite.rules]
    outcomes = []
    for rule in suite.rules:
        missing = [c for c in (rule.column, rule.where) if c not in (None, EVERY_ROW) and c not in table.columns]
        due = 0 if missing else due_rows(rule, table)
        if missing and rule.at_least > 0:
            outcomes.append(RuleOutcome(suite.table, rule, "COLUMN_MISSING", rows, note=", ".join(missing)))
        elif missing or (rule.at_least == 0 and table[rule.column].notna().sum() == 0 and due == 0):
            outcomes.append(RuleOutcome(suite.table, rule, "not_applicable", rows))
    return outcomes


def due_rows(rule: Rule, table: "pd.DataFrame") -> int:
    """Number of rows in which the rule must find a value. The rule's flag column marks these rows."""
    if rule.where == EVERY_ROW:
        return len(table)
    return int(table[rule.where].sum()) if rule.where is not None else 0


def _validate(
    runnable: Sequence[Suite], tables: Mapping[TableName, "pd.DataFrame"], docs: Path | None
) -> list[dict[str, Any]]:
    """One mapping for each suite: rule name -> Great Expectations' result for this rule, as a plain dict."""
    gx = _great_expectations()
    context = _context(gx)
    if docs is not None:
        _add_docs_site(context, docs)
    source = context.data_sources.add_pandas("tables")
    collected = []
    for suite in runnable:
        name = suite.table
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        stored = context.suites.add(gx.ExpectationSuite(name, expectations=[_expectation(r) for r in suite.rules]))
        definition = gx.ValidationDefinition(name=name, data=batch, suite=stored)
        definitions = [context.validation_definitions.add(definition)]
        form = {"result_format": "COMPLETE", "unexpected_index_column_names": list(KEYS[name])}
        checkpoint = gx.Checkpoint(name=name, validation_definitions=definitions, result_format=form, actions=[])
        (result,) = context.checkpoints.add(checkpoint).run({"dataframe": tables[name]}).run_results.values()
        entries = [entry.to_json_dict() for entry in result.results]
        collected.append({entry["expectation_config"]["meta"]["rule"]: entry for entry in entries})
    if docs is not None:
        context.build_data_docs()
    return collected


def _great_expectations() -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # raised by the imports of Great Expectations
        import great_expectations as gx
        import great_expectations.expectations
    return gx


def _context(gx: Any) -> Any:
    """A context in memory. The default context also creates a folder in the system's temporary folder."""
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults

    stores = InMemoryStoreBackendDefaults()
    settings = DataContextConfig(store_backend_defaults=stores, progress_bars={"globally": False})
    return gx.get_context(mode="ephemeral", project_config=settings)


def _add_docs_site(context: Any, docs: Path) -> None:
    context.add_data_docs_site(
        site_name="plumbline",
        site_config={
            "class_name": "SiteBuilder",
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)},
        },
    )


def _expectation(rule: Rule) -> Any:
    expectations = _great_expectations().expectations
    notes = {"format": "string", "content": [f"{rule.name}: {rule.statement}"]}
    common = {"column": rule.column, "meta": {"rule": rule.name, "notes": notes}}
    if rule.unique:
        return expectations.ExpectColumnValuesToBeUnique(**common)
    if rule.allowed is not None:
        return expectations.ExpectColumnValuesToBeInSet(value_set=list(rule.allowed), **common)
    return expectations.ExpectColumnValuesToBeBetween(min_value=rule.minimum, max_value=rule.maximum, **common)


def _judge(table_name: TableName, rule: Rule, table: "pd.DataFrame", result: Mapping[str, Any]) -> RuleOutcome:
    rows, due = len(table), due_rows(rule, table)
    if "element_count" not in result["result"]:  # the expectation raised an exception; reports differ by version
        return RuleOutcome(table_name, rule, "EXPECTATION_RAISED", rows, due, note=_message(result["exception_info"]))
    found = result["result"]
    evaluated = int(found["element_count"]) - int(found.get("missing_count") or 0)
    violations = tuple(_violation(rule, table_name, entry) for entry in found.get("unexpected_index_list") or ())
    outcome: Outcome = "passed" if result["success"] else "broken"
    note = ""
    if evaluated == 0 and (due > 0 or rule.at_least > 0):
        outcome, note = "ALL_NULL", f"no value in {rows} rows, {max(due, rule.at_least)} values expected"
    elif evaluated < max(due, rule.at_least):
        outcome, note = "FEWER_ROWS", f"{evaluated} rows evaluated, {max(due, rule.at_least)} expected"
    elif not result["success"] and not violations:
        outcome, note = "EXPECTATION_RAISED", "the rule failed, but no row breaks it"
    return RuleOutcome(table_name, rule, outcome, rows, due, evaluated, violations, note)


def _message(exception_info: Mapping[str, Any]) -> str:
    reports = [exception_info, *(v for v in exception_info.values() if isinstance(v, Mapping))]
    return "; ".join(str(r["exception_message"])[:200] for r in reports if r.get("exception_message"))


def _violation(rule: Rule, table: TableName, entry: Mapping[str, Any]) -> Violation:
    value = entry.get(rule.column)
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return Violation({key: str(entry[key]) for key in KEYS[table]}, shown)
