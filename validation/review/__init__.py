"""The report on one candidate: page, charts, model card and CLAIM checklist, made from records.

The package contains everything that a reviewer reads. Statistics are in ``validation.evaluation``, and decisions are in
``validation.gates``.

    page               the report as one HTML file
    patients           the patients on the page, with figures and images
    svg_outline        the outline of a spine as an SVG layer
    rule_table         the rules of a verdict as rows
    figure_tables      the statistics of both models as tables
    agreement_charts   regression and Bland-Altman charts
    level_charts       charts of the landmark errors by level, and of the interval coverage
    forest             the forest plot of the paired differences
    chart_style        colours and axes of all charts, and their conversion to SVG
    changes            differences between two training runs
    actions            the meaning of each decision, and the commands for it
    verdict_status     the actions of people and of the gate on a verdict
    model_card         the content of a model card
    card_text          a model card as Markdown and JSON
    group_errors       errors by condition, field of view and appearance
    subgroup_names     titles and order of the subgroups
    claim              a checklist with the subjects of CLAIM
"""
