"""The report on one candidate: page, charts, model card and CLAIM checklist, made from records.

The package contains everything that a reviewer reads. Statistics are in ``validation.evaluation``, and decisions are in
``validation.gates``.

    page               the report as one HTML file
    patients           the patients on the page, with their figures and images
    svg_outline        the outline of a spine as an SVG layer
    decision_table     the errors, limits and differences of the compared parameters, at the top of the page
    rule_table         the results of a verdict's rules as table rows
    figure_tables      the statistics of both models as tables
    agreement_charts   the regression and Bland-Altman charts
    level_charts       the charts of the landmark errors by level, and of the interval coverage
    forest             the forest plot of the paired differences
    chart_style        the colours and axes of all charts, and the conversion of charts to SVG
    changes            the differences between the training runs of champion and challenger
    change_plan        the predetermined change control plan that follows from a policy
    change_plan_text   a change control plan as Markdown and JSON
    actions            the meaning of each decision, and the commands that a reviewer can run
    verdict_status     the approvals, refusals, promotions and rollbacks that followed a verdict
    model_card         the content of a model card
    card_text          a model card as Markdown and JSON
    group_errors       a model's errors by condition, field of view and appearance
    subgroup_names     the titles and the order of the subgroups
    claim              a checklist with the subjects of CLAIM
"""
