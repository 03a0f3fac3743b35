"""The policy: the rules that a model must pass before it may go into service, as data.

Contract: a policy is refused if it has an unknown key, parameter or figure, a limit that is not finite, or a rule
without reason or source. No default value lets a model pass. Every verdict contains the hash of the parsed and expanded
content of the file.

To add a rule to a policy, add an entry to ``rules``. To add a kind of rule, add its class to ``rule_kinds`` and its
evaluation to ``rules`` or ``study_rules``.
"""

import math
from pathlib import Path
from typing import Annotated, Literal, TypeGuard

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from spine.errors import ParametersRejected
from validation.evaluation.sealing import digest_of
from validation.gates.change_terms import ChangeControl
from validation.gates.comparison_terms import Baseline, Comparison, Seeds, Subgroups
from validation.gates.expansion import expand_rules
from validation.gates.policy_file import describe_violations, read_content
from validation.gates.rule_kinds import ParameterRule, Rule, Strict, TestSetRule, Text, TruthsRule
from validation.gates.shadow_terms import ShadowUse

SCHEMA = "plumbline.policy/2"
DEFAULT_POLICY = Path(__file__).parent / "policies" / "default.yaml"
FRONTAL_RADIOGRAPHS_POLICY = Path(__file__).parent / "policies" / "frontal_radiographs.yaml"


class FirstChampion(Strict):
    """Whether a model may become the first champion without a person's approval.

    Attributes:
        decision: ``needs_approval``, ``allowed`` or ``allowed_on_virtual_patients``. The last value means that only a
            model that was tested on virtual patients is allowed.
    """

    decision: Literal["allowed", "allowed_on_virtual_patients", "needs_approval"]
    reason: Text


class AcceptedEvidence(Strict):
    """The kinds of evidence that the policy accepts.

    Attributes:
        patients: ``virtual``, ``real`` or ``any``. The patients of one record are all virtual or all real.
        dirty_code: whether to accept an evaluation by code with uncommitted changes.
    """

    patients: Literal["virtual", "real", "any"]
    dirty_code: Literal["allowed", "refused"]
    reason: Text


class Approval(Strict):
    """The conditions under which a person must approve a model before it goes into service.

    Attributes:
        required: ``always``, ``never`` or ``first_champion`` (only if there is no champion to compare with).
        ttl_hours: the validity of an approval in hours. The approver can choose a shorter time.
    """

    required: Literal["always", "first_champion", "never"] = "never"
    ttl_hours: Annotated[float, Field(gt=0, le=24 * 90, allow_inf_nan=False)] = 72.0
    reason: Text = "no approval is required; in a hospital, set `required: always`"


class VirtualStudyLimits(Strict):
    """The limits of the smoke test on the bundled virtual study. The test shows only that a model works.

    Attributes:
        tolerance_deg: the largest permitted error of an angle. The default is about twice the largest ceiling of the
            default policy, which is 11.5. So a model below the ceilings does not fail because of one patient.
        least_answers: the smallest number of parameters with a predicted value.
        times_the_champion: the longest time for the study, as a multiple of the champion's time.
        seconds: the longest time for the study, with or without a champion.
    """

    tolerance_deg: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 25.0
    least_answers: Annotated[int, Field(ge=0)] = 1
    times_the_champion: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 10.0
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60.0
    reason: Text = "a model that returns NaN, lacks parameters or is ten times slower must not go into service"


class Policy(Strict):
    """A complete policy. If ``approval`` or ``virtual_study`` is omitted, the defaults of its class apply."""

    schema_: Literal["plumbline.policy/2"] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    version: Annotated[int, Field(ge=1)]
    purpose: Text
    evidence: AcceptedEvidence
    first_champion: FirstChampion
    rules: Annotated[list[Rule], BeforeValidator(expand_rules), Field(min_length=1)]
    comparison: Comparison
    subgroups: Subgroups | None = None
    baseline: Baseline | None = None
    seeds: Seeds | None = None
    change_control: ChangeControl | None = None
    shadow: ShadowUse | None = None
    approval: Approval = Field(default_factory=Approval)
    virtual_study: VirtualStudyLimits = Field(default_factory=VirtualStudyLimits)

    @model_validator(mode="after")
    def _complete(self) -> "Policy":
        figures = [r for r in self.rules if isinstance(r, ParameterRule)]
        errors = {r.parameter for r in figures if r.figure == "standard_error_of_estimate"}
        covered = {r.parameter for r in figures if r.figure == "coverage"}
        counted = {r.parameter for r in self.rules if isinstance(r, TruthsRule)}
        for missing, what in ((errors - covered, "coverage floor"), (errors - counted, "minimum number of truths")):
            if missing:
                raise ValueError(f"an error ceiling needs a {what}; it is missing for {', '.join(sorted(missing))}")
        if self.subgroups and (unknown := self.subgroups.mae_at_most.keys() - self.comparison.margins.keys()):
            raise ValueError(f"a ceiling in subgroups needs a margin; it is missing for {', '.join(sorted(unknown))}")
        if not errors:
            raise ValueError("a policy needs an error ceiling; without an error ceiling every model passes")
        if not any(isinstance(r, TestSetRule) for r in self.rules):
            raise ValueError("a policy needs a minimum size of the test set (kind: test_set)")
        return self

    @property
    def hash(self) -> str:
        """SHA-256 of the content. It changes with every number and reason, but not with comments and layout."""
        content = self.model_dump(mode="json", by_alias=True)
        if self.shadow is None:
            del content["shadow"]  # policies from before this section keep their hash, and their verdicts
        return digest_of(SCHEMA, content)


def read_policy(path: Path) -> Policy:
    """Read and check a policy file.

    Raises:
        ParametersRejected: ``POLICY_MISSING``, ``POLICY_UNREADABLE``, or ``POLICY_INVALID`` with the violations.
    """
    content = read_content(path)
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        optional = ", ".join(name for name, field in Policy.model_fields.items() if not field.is_required())
        raise ParametersRejected(
            "POLICY_INVALID",
            found=f"{path.name}: {describe_violations(error, content, optional)}",
            expected=f"a policy of schema {SCHEMA}",
            remedy="correct the named keys",
        ) from error


def is_number(value: object) -> TypeGuard[float]:
    """Whether ``value`` is a finite real number: not None, not NaN, not infinite, not a string, not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
