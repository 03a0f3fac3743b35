"""The gate: it takes a policy and evaluation records, and returns a verdict. It uses no registry and no database.

    policy             the policy as data; reads and hashes a policy file
    policy_file        reads the YAML, and describes each violation with its place in the file
    expansion          turns a rule for many parameters into one rule for each parameter
    rule_kinds         the kinds of rule that a policy can contain
    comparison_terms   the policy's sections on margins, power, subgroups, baseline and seeds
    policies           the shipped policies
    evidence           the evaluation records for one verdict
    preconditions      checks that the records can be judged and compared
    rules              evaluates the limits on summary figures
    study_rules        evaluates the limits on figures that need each study
    timing             compares the challenger's time with the champion's time
    comparison         compares the challenger with the champion, the approved baseline and other seeds
    paired             paired differences of losses, with bounds and power
    subgroups          paired differences and limits in groups of patients
    seed_spread        the spread between fits that differ only in their seed, with tables
    rule_results       the result of one rule, with its stable code
    verdict            the decision with the result of every rule; writes and reads it
    verdict_text       a verdict in sentences and as a table

``promotion`` acts on verdicts. ``review`` shows them.
"""
