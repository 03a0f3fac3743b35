"""Great Expectations' own pages on a validation, its Data Docs.

Contract: the pages are made from the outcomes of the whole dataset, not from the parts in which it was checked. There
is one page of expectations and one of results for each table, however many studies there are. A page shows the numbers
of each rule and at most ``SHOWN`` of the values that break it. ``report.html`` names the studies.
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from validation.dataset.expectation_run import RuleOutcome
from validation.dataset.expectations import expectation_of, great_expectations, new_context
from validation.dataset.suites import Suite

SHOWN = 20


def write_data_docs(suites: Sequence[Suite], outcomes: Sequence[RuleOutcome], docs: Path) -> None:
    """Write the pages to the folder ``docs``, which is emptied."""
    from great_expectations.core.run_identifier import RunIdentifier

    shutil.rmtree(docs, ignore_errors=True)
    context = new_context()
    _add_site(context, docs)
    run = RunIdentifier("validation")
    for suite in suites:
        found = [o for o in outcomes if o.table == suite.table and o.rule is not None and o.evaluated > 0]
        if found:
            _add_results(context, suite, found, run)
    context.build_data_docs()


def _add_results(context: Any, suite: Suite, outcomes: Sequence[RuleOutcome], run: Any) -> None:
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.data_context.types import resource_identifiers as identifiers

    gx = great_expectations()
    expectations = [expectation_of(outcome.rule) for outcome in outcomes if outcome.rule is not None]
    context.suites.add(gx.ExpectationSuite(suite.table, expectations=expectations))
    results = [_result(o, e.configuration) for o, e in zip(outcomes, expectations, strict=True)]
    successful = sum(result.success for result in results)
    whole = ExpectationSuiteValidationResult(
        success=successful == len(results),
        results=results,
        suite_name=suite.table,
        statistics={
            "evaluated_expectations": len(results),
            "successful_expectations": successful,
            "unsuccessful_expectations": len(results) - successful,
            "success_percent": 100.0 * successful / len(results),
        },
        meta={"run_id": run, "great_expectations_version": gx.__version__},
    )
    name = identifiers.ExpectationSuiteIdentifier(suite.table)
    key = identifiers.ValidationResultIdentifier(name, run_id=run, batch_identifier="all")
    context.validation_results_store.set(key, whole)


def _result(outcome: RuleOutcome, configuration: Any) -> Any:
    from great_expectations.core import ExpectationValidationResult

    shown = [violation.value for violation in outcome.violations[:SHOWN]]
    missing = outcome.rows - outcome.evaluated
    return ExpectationValidationResult(
        success=outcome.outcome == "passed",
        expectation_config=configuration,
        result={
            "element_count": outcome.rows,
            "missing_count": missing,
            "missing_percent": 100.0 * missing / outcome.rows,
            "unexpected_count": outcome.violated,
            "unexpected_percent": 100.0 * outcome.violated / outcome.evaluated,
            "unexpected_percent_total": 100.0 * outcome.violated / outcome.rows,
            "unexpected_percent_nonmissing": 100.0 * outcome.violated / outcome.evaluated,
            "partial_unexpected_list": shown,
            "partial_unexpected_counts": [{"value": v, "count": n} for v, n in Counter(shown).items()],
        },
    )


def _add_site(context: Any, docs: Path) -> None:
    context.add_data_docs_site(
        site_name="plumbline",
        site_config={
            "class_name": "SiteBuilder",
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)},
        },
    )
