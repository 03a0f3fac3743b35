"""The reader of a policy file's YAML, and the description of each violation with its place in the file."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from spine.errors import ParametersRejected

SHOWN_VIOLATIONS = 10


def read_content(path: Path) -> Any:
    """The parsed content of the file.

    Raises:
        ParametersRejected: ``POLICY_MISSING`` or ``POLICY_UNREADABLE``.
    """
    if not path.is_file():
        raise ParametersRejected(
            "POLICY_MISSING",
            found=f"no file at {path.name}",
            expected="a policy file in YAML",
            remedy="set gate.policy in params.yaml to a shipped policy or to an existing file",
        )
    try:
        return _UniqueKeys(path.read_text(encoding="utf-8")).get_single_data()  # a safe loader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParametersRejected(
            "POLICY_UNREADABLE", found=f"{path.name}: {error}", expected="YAML", remedy="correct the file"
        ) from error


class _UniqueKeys(yaml.CSafeLoader):
    """A loader that refuses repeated keys. In plain YAML, the second value of a key silently replaces the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping as a dict, or raise an error if two of its keys are equal."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        repeated = sorted({str(key) for key in keys if keys.count(key) > 1})
        if repeated:
            problem = f"the key {', '.join(repeated)} is repeated"
            raise yaml.constructor.ConstructorError(
                "while reading a mapping", node.start_mark, problem, node.start_mark
            )
        return super().construct_mapping(node, deep)


def describe_violations(error: ValidationError, content: Any, optional: str) -> str:
    """The text of the violations in ``content``, each with its place; ``optional`` lists the optional sections."""
    if content is None:
        return "the file is empty"
    places: dict[tuple[object, ...], str] = {}
    for one in error.errors():
        loc = one["loc"]
        # pydantic reports a mistake in a common field once for each parameter of the rule. The text states it once.
        same = (*loc[:2], *loc[4:], one["msg"]) if loc[:1] == ("rules",) else (*loc, one["msg"])
        places.setdefault(same, f"{_place(loc, content)}: {_message(one, optional)}")
    return "; ".join(list(places.values())[:SHOWN_VIOLATIONS])


def _place(loc: tuple[int | str, ...], content: Any) -> str:
    """The place of a violation: ``rule 4 (parameter bias), cobb, at_most``, or the path of keys."""
    if len(loc) < 2 or loc[0] != "rules":
        return ".".join(map(str, loc)) or "the whole file"
    written = content["rules"][int(loc[1])]
    rule = written if isinstance(written, dict) else {}
    about = " ".join(str(rule[key]) for key in ("kind", "figure") if key in rule)
    # loc has the rule's number, the name of the expanded rule, its kind, and the field.
    name = [str(part) for part in loc[2:3] if part != str(rule.get("kind"))]
    return ", ".join([f"rule {int(loc[1]) + 1}{f' ({about})' if about else ''}", *name, *map(str, loc[4:])])


def _message(error: Any, optional: str) -> str:
    """The text of one violation. If a section is missing, the text names the sections that may be omitted."""
    if error["type"] == "extra_forbidden":
        return "unknown key"
    if error["type"] == "union_tag_not_found":
        return "kind is missing"
    if error["type"] == "union_tag_invalid":
        return f"unknown kind {error['ctx']['tag']!r}; the known kinds are {error['ctx']['expected_tags']}"
    if error["type"] != "missing":
        return str(error["msg"]).removeprefix("Value error, ")
    return "is missing" if len(error["loc"]) > 1 else f"is missing; only {optional} may be omitted"
