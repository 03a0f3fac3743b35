"""The policy: what a model must show before it may serve, as data.

Contract: an unknown key, an unknown parameter or figure, a threshold that is not finite, a rule without a reason or a
source is refused; nothing is filled in that would let a model pass. The hash covers the meaning of the file (its
parsed content), and every verdict carries it.

To add a rule to a policy, add an entry to ``rules``. To add a kind of rule: a class in ``rule_kinds`` with a new
``kind``, a branch in ``Rule``, and its weighing in ``rules`` or ``study_rules``.
"""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from spine.errors import ParametersRejected
from validation.evaluation.sealing import digest_of
from validation.gates.comparison_terms import Baseline, Comparison, Seeds, Subgroups
from validation.gates.rule_kinds import ParameterRule, Rule, Strict, TestSetRule, Text, TruthsRule

SCHEMA = "plumbline.policy/1"
DEFAULT_POLICY = Path(__file__).parent / "policies" / "default.yaml"
FRONTAL_RADIOGRAPHS_POLICY = Path(__file__).parent / "policies" / "frontal_radiographs.yaml"


class FirstChampion(Strict):
    """Whether a model may become champion where there is none, without a human's approval.

    Attributes:
        decision: ``needs_approval``; ``allowed``; ``allowed_on_virtual_patients``: judged on nobody real.
    """

    decision: Literal["allowed", "allowed_on_virtual_patients", "needs_approval"]
    reason: Text


class Evidence(Strict):
    """Which evidence counts.

    Attributes:
        patients: ``virtual``, ``real`` or ``any``; a record never mixes them.
        dirty_code: whether figures from a working tree that differs from its commit count.
    """

    patients: Literal["virtual", "real", "any"]
    dirty_code: Literal["allowed", "refused"]
    reason: Text


class Approval(Strict):
    """When a human must agree before a model serves.

    Attributes:
        required: ``always``; ``first_champion``, where there is nothing to compare with; ``never``.
        ttl_hours: how long a grant is good, unless its giver says less.
    """

    required: Literal["always", "first_champion", "never"] = "never"
    ttl_hours: Annotated[float, Field(gt=0, le=24 * 90, allow_inf_nan=False)] = 72.0
    reason: Text = "nobody is asked; a hospital sets always here"


class PhantomStudy(Strict):
    """What a model must answer on the bundled virtual patient before it serves: that it works, not how well.

    Attributes:
        tolerance_deg: farthest that an angle may lie from the truth: by default about twice the loosest ceiling of the
            default policy (11.5), so that a model which keeps the ceilings is not stopped by the luck of one patient.
        least_answers: parameters that must have a value.
        times_the_champion: how much slower than the champion it may be.
        seconds: longest time for the study, with or without a champion.
    """

    tolerance_deg: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 25.0
    least_answers: Annotated[int, Field(ge=0)] = 1
    times_the_champion: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 10.0
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60.0
    reason: Text = "a model that answers NaN, another schema or ten times slower must not serve"


class Policy(Strict):
    """A whole policy; ``approval`` and ``virtual_study`` may be left out, and then say what their classes say."""

    schema_: Literal["plumbline.policy/1"] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    version: Annotated[int, Field(ge=1)]
    purpose: Text
    evidence: Evidence
    first_champion: FirstChampion
    rules: Annotated[list[Rule], Field(min_length=1)]
    comparison: Comparison
    subgroups: Subgroups | None = None
    baseline: Baseline | None = None
    seeds: Seeds | None = None
    approval: Approval = Field(default_factory=Approval)
    virtual_study: PhantomStudy = Field(default_factory=PhantomStudy)

    @model_validator(mode="after")
    def _whole(self) -> "Policy":
        errors = {
            r.parameter for r in self.rules if isinstance(r, ParameterRule) and r.figure == "standard_error_of_estimate"
        }
        covered = {r.parameter for r in self.rules if isinstance(r, ParameterRule) and r.figure == "coverage"}
        counted = {r.parameter for r in self.rules if isinstance(r, TruthsRule)}
        for missing, what in ((errors - covered, "coverage floor"), (errors - counted, "least number of truths")):
            if missing:
                raise ValueError(f"an error ceiling without a {what} can be gamed: {', '.join(sorted(missing))}")
        if self.subgroups and (strange := self.subgroups.mae_at_most.keys() - self.comparison.margins.keys()):
            raise ValueError(f"a ceiling in groups of patients without a margin: {', '.join(sorted(strange))}")
        if not errors:
            raise ValueError("a policy without any error ceiling lets everything pass")
        if not any(isinstance(r, TestSetRule) for r in self.rules):
            raise ValueError("a policy needs a least size of the test set")
        return self

    @property
    def hash(self) -> str:
        """SHA-256 over the parsed content: comments and layout do not matter, every number and reason does."""
        content = self.model_dump(mode="json", by_alias=True)
        for section in {"approval", "virtual_study"} - self.model_fields_set:
            del content[section]  # a policy written before they existed keeps its hash
        return digest_of(SCHEMA, content)


def read_policy(path: Path) -> Policy:
    """Read and check a policy file.

    Raises:
        ParametersRejected: ``POLICY_MISSING``, ``POLICY_UNREADABLE`` or ``POLICY_INVALID``, with every violation.
    """
    if not path.is_file():
        raise _refused("POLICY_MISSING", f"no file {path.name}", "a policy in YAML", "name one of the policies")
    try:
        content = _UniqueKeys(path.read_text(encoding="utf-8")).get_single_data()  # a safe loader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _refused("POLICY_UNREADABLE", f"{path.name}: {error}", "YAML", "correct the file") from error
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        told = [f"{'.'.join(map(str, e['loc'])) or 'the whole file'}: {_plain(e)}" for e in error.errors()[:10]]
        found = "the file is empty" if content is None else "; ".join(told)
        raise _refused(
            "POLICY_INVALID", f"{path.name}: {found}", f"a policy of schema {SCHEMA}", "correct the named keys"
        ) from error


def _plain(error: Any) -> str:
    """What is wrong with a key, in words; of a missing one, whether it could have been left out."""
    if error["type"] != "missing":
        return str(error["msg"])
    optional = ", ".join(name for name, field in Policy.model_fields.items() if not field.is_required())
    if len(error["loc"]) > 1:
        return "must be there"
    return f"must be there, a gate without it would not be one; only {optional} may be left out"


class _UniqueKeys(yaml.CSafeLoader):
    """YAML in which a key that stands twice is an error: of two limits the later one would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping, refused where two of its keys are equal."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(
                "while reading a mapping", node.start_mark, f"the key {', '.join(twice)} stands twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


def _refused(code: str, found: str, expected: str, remedy: str) -> ParametersRejected:
    return ParametersRejected(code, found=found, expected=expected, remedy=remedy)


def is_number(value: object) -> bool:
    """Whether ``value`` is a finite real number: not None, not NaN, not infinite, not a string, not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
