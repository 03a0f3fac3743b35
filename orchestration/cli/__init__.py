"""The ``plumbline`` command: one module for each group of subcommands.

Options, help texts and terminal output belong here. The work does not: each subcommand calls one function of another
package. Dagster, matplotlib, scipy and pydicom are imported in functions, so that ``--help`` and ``measure`` start
fast.

    cohort            cohort
    main              the group, errors and exit codes
    measuring         measure, parameters, decoders, read3d
    options           options that several subcommands share
    pipeline          init, run, demo, stage
    population_table  the virtual population beside the published one
    quarantine        quarantine
    registry          champion, history, rollback, reinstate, approve, reject
    run_cost          wall time and peak memory of a run
    seeds             seeds
    terminal          progress, step lines, tables
    training          train, adopt, release
    verdicts          verdict, explain, review, promote
"""
