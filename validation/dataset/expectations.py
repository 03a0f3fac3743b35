"""The rules as expectations of Great Expectations, and what it finds in a table.

Contract: nothing outside this process is read or written. Great Expectations is imported with the first call.
"""

import os
import warnings
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from validation.dataset.suites import KEYS, Rule, Suite

if TYPE_CHECKING:
    import pandas as pd


def results_of(suite: Suite, part: "pd.DataFrame") -> dict[str, Mapping[str, Any]]:
    """Rule name -> Great Expectations' result for this rule, as a plain dict."""
    gx = great_expectations()
    source = _context().data_sources.get("tables")
    asset = source.get_asset(suite.table)
    batch = asset.get_batch_definition("all").get_batch({"dataframe": part})
    form = {"result_format": "COMPLETE", "unexpected_index_column_names": list(KEYS[suite.table])}
    checked = gx.ExpectationSuite(suite.table, expectations=[expectation_of(rule) for rule in suite.rules])
    entries = [entry.to_json_dict() for entry in batch.validate(checked, result_format=form).results]
    return {entry["expectation_config"]["meta"]["rule"]: entry for entry in entries}


def expectation_of(rule: Rule) -> Any:
    """The rule as an expectation of Great Expectations."""
    expectations = great_expectations().expectations
    notes = {"format": "string", "content": [f"{rule.name}: {rule.statement}"]}
    common = {"column": rule.column, "meta": {"rule": rule.name, "notes": notes}}
    if rule.unique:
        return expectations.ExpectColumnValuesToBeUnique(**common)
    if rule.allowed is not None:
        return expectations.ExpectColumnValuesToBeInSet(value_set=list(rule.allowed), **common)
    return expectations.ExpectColumnValuesToBeBetween(min_value=rule.minimum, max_value=rule.maximum, **common)


@cache
def great_expectations() -> Any:
    """The package. Its import takes a second."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # raised by the imports of Great Expectations
        warnings.simplefilter("ignore", ImportWarning)  # by its import of google.api_core, where Ray has installed that
        import great_expectations as gx
        import great_expectations.expectations
    return gx


def new_context() -> Any:
    """A context in memory. The default context also creates a folder in the system's temporary folder."""
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults

    stores = InMemoryStoreBackendDefaults()
    settings = DataContextConfig(store_backend_defaults=stores, progress_bars={"globally": False})
    return great_expectations().get_context(mode="ephemeral", project_config=settings)


@cache
def _context() -> Any:
    """One context for all parts that this process checks, with a batch definition for each table."""
    context = new_context()
    source = context.data_sources.add_pandas("tables")
    for table in KEYS:
        source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("all")
    return context
