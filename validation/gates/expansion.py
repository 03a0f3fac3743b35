"""Expansion of each rule in a policy file, which can name many parameters, into one rule for each parameter.

Contract: a field has one value for all parameters, or a mapping with one value for each parameter. All mappings of a
rule, and its list ``parameters``, name the same parameters. Two rules that limit the same figure in the same direction
are refused, because a person who changes one rule could overlook the other rule.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter

from validation.gates.rule_kinds import Bound, Rule

PER_PARAMETER_KINDS = ("parameter", "truths", "penalised", "intervals", "interval_score")
"""The kinds of rule that the expansion splits into rules with one parameter each."""

_IDENTITY = {"kind", "parameter", "parameters", "space", "group", "figure", "compare", "magnitude", "min_cobb_deg"}
"""The fields that define which figure a rule limits. A figure can have one ceiling and one floor."""


def expand_rules(written: Any) -> list[Rule]:
    """The expanded rules of a policy file, in the order of the file.

    Raises:
        ValueError: two rules limit the same figure.
        ValidationError: a rule is invalid. The error states the place of the rule in the file.
    """
    groups = _GROUPS.validate_python(written)
    _require_single_limits(groups)
    return [rule for group in groups for rule in group.values()]


def for_each_parameter(written: Any) -> Any:
    """The fields by parameter: {margin: {cobb: 1.0}, penalty: 30.0} becomes {cobb: {margin: 1.0, penalty: 30.0}}.

    A value that is not a mapping is returned unchanged, and pydantic refuses it.

    Raises:
        ValueError: no parameter is named, a parameter is named twice, or a parameter lacks a value.
    """
    if not isinstance(written, dict):
        return written
    fields = dict(written)
    listed = fields.pop("parameters", None)
    own = {field: value for field, value in fields.items() if isinstance(value, dict)}
    named = {field: list(values) for field, values in own.items()}
    names = _names(named if listed is None else {"parameters": listed, **named})
    return {name: {**fields, **{field: values[name] for field, values in own.items()}} for name in names}


def _names(named: dict[str, Any]) -> list[Any]:
    """The names of a rule's parameters, gathered from all fields that name parameters."""
    listed = named.get("parameters", [])
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise ValueError("the key parameters must have a list of names")
    names = list(dict.fromkeys(name for found in named.values() for name in found))
    if not names:
        raise ValueError("no parameter is named: add a list (parameters: [cobb]) or a mapping (at_most: {cobb: 3.7})")
    if twice := [name for name in names if listed.count(name) > 1]:
        raise ValueError(f"the list of the key parameters contains {_joined(twice)} twice")
    for field, found in named.items():
        if missing := [name for name in names if name not in found]:
            raise ValueError(f"{field} has no value for {_joined(missing)}, which another field of the rule names")
    return names


def _expand_rule(written: Any) -> Any:
    """Name of each expanded rule -> its fields. The name is the parameter; without a parameter it is the kind."""
    if not isinstance(written, dict):
        raise ValueError("a rule must be a mapping with kind, limit, reason and source")
    kind = written.get("kind")
    if kind not in PER_PARAMETER_KINDS:
        return {str(kind): written}
    if "parameter" in written:
        raise ValueError("the key parameter is unknown: write a list (parameters: [cobb])")
    if kind == "penalised":
        return _expand_figures(written)
    return {name: {**fields, "parameter": name} for name, fields in for_each_parameter(written).items()}


def _expand_figures(written: dict[str, Any]) -> dict[str, Any]:
    """The expansion of a penalised rule: one rule for each pair of a parameter and a figure."""
    figures = written.get("figures")
    if not isinstance(figures, dict) or not all(isinstance(own, dict) for own in figures.values()) or not figures:
        raise ValueError("a penalised rule needs figures: {rmse: {at_most, reason, source}, mae: ...}")
    if "penalty" not in written:
        raise ValueError("a penalised rule needs a penalty: the error of a study without a prediction")
    common = {field: value for field, value in written.items() if field != "figures"}
    each = {figure: _expand_figure(figure, {**common, **own}) for figure, own in figures.items()}
    return {
        f"{name}, {figure}": {**fields[name], "parameter": name}
        for name in dict.fromkeys(name for fields in each.values() for name in fields)
        for figure, fields in each.items()
        if name in fields
    }


def _expand_figure(figure: Any, written: dict[str, Any]) -> Any:
    try:
        return for_each_parameter({**written, "figure": figure})
    except ValueError as error:
        raise ValueError(f"figures.{figure}: {error}") from error


def _require_single_limits(groups: Sequence[dict[str, Rule]]) -> None:
    """Refuse two rules that limit the same figure. The error states the numbers of both rules."""
    seen: dict[str, int] = {}
    for number, group in enumerate(groups, start=1):
        for name, rule in group.items():
            first = seen.setdefault(_identity(rule), number)
            if first != number:
                raise ValueError(f"rules {first} and {number} limit the same figure ({rule.kind}, {name}): delete one")


def _identity(rule: Bound) -> str:
    return f"{rule.model_dump(include=_IDENTITY)} {'at_most' if rule.at_most is not None else 'at_least'}"


def _joined(names: Sequence[Any]) -> str:
    return ", ".join(map(str, names))


_GROUPS: TypeAdapter[list[dict[str, Rule]]] = TypeAdapter(
    list[Annotated[dict[str, Rule], BeforeValidator(_expand_rule)]]
)
