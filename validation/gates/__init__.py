"""The gate: it judges evaluation records by a policy and returns a verdict. It uses neither registry nor database.

    policy             the content of a policy, and the function that reads it from a file
    policy_file        reads the YAML of a policy file, and describes each violation with its place in the file
    expansion          turns a rule for many parameters into one rule for each parameter
    rule_kinds         the kinds of rule that a policy can contain
    comparison_terms   the policy's sections on margins, power, subgroups, baseline and seeds
    change_terms       the policy's section on what a retraining may change by itself
    shadow_terms       the policy's section on shadow use
    shadow_record      the record of a challenger's shadow runs
    shadow_rules       whether a challenger measured enough beside the champion, and how far they disagree
    policies           the policy files that ship with Plumbline
    evidence           the evaluation records for one verdict
    preconditions      checks that the records can be judged and compared
    rules              evaluates the limits on summary figures
    study_rules        evaluates the limits on figures that are computed from the single studies
    timing             compares the challenger's time with the champion's time
    comparison         compares the challenger with the champion, the approved baseline and fits of other seeds
    change_control     whether a challenger is inside the plan of what a retraining may change
    paired             the paired differences of losses, their bounds and the power
    subgroups          the paired differences and the limits in groups of patients
    seed_spread        the spread of a figure between fits that differ only in their seed, and tables of spreads
    figure_words       the names of the figures of rules in words
    rule_results       the result of one rule, with its stable code
    verdict            makes the decision on a challenger; writes and reads verdicts
    reproduction       judges the evidence of a verdict again, and requires the same verdict
    verdict_text       describes a verdict in sentences and as a table

``promotion`` acts on verdicts. ``review`` shows them.
"""
