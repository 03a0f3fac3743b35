"""The ``plumbline`` command: one module for each group of subcommands.

cohort            cohort
main              the group, errors and exit codes
measuring         measure, parameters, decoders, read3d
options           options that several subcommands share
pipeline          init, run, demo, stage
population_table  the virtual population beside the published one
quarantine        quarantine
registry          champion, history, rollback, approve, reject
review            review
run_cost          wall time and peak memory of a run
seeds             seeds
terminal          progress, step lines, tables
training          train, adopt
verdicts          verdict, explain, promote
"""
