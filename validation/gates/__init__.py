"""The gate: a policy and evaluation records in, a verdict out. Pure: no registry, no database, no files but its own.

    policy             what a model must show, as data; reading and hashing a policy file
    policy_file        YAML without repeated keys; what is wrong with a file, and where
    expansion          one written rule for many parameters -> one rule for each
    rule_kinds         the kinds of limit; comparison_terms has the other sections
    comparison_terms   margins, power, groups of patients, the approved baseline, spread between seeds
    policies           the shipped policies
    evidence           the records that one verdict is made from
    preconditions      may the records be judged, and compared
    rules              evaluation of the limits; the kinds that read single studies are in study_rules
    study_rules        penalised errors, sides, orientation, intervals, cost
    timing             time beside the champion's
    comparison         not worse, better, how surely: champion, approved baseline, other seeds
    paired             paired differences of losses, their bounds, power
    subgroups          the same in groups of patients
    seed_spread        what the seed alone changes, and its tables
    rule_results       the result of one rule, with its stable code
    verdict            the decision that follows, sealed and read again
    verdict_text       a verdict in sentences and as a table

``promotion`` acts on verdicts; ``review`` shows them.
"""
