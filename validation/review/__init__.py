"""The report on one candidate: page, charts, model card and CLAIM checklist, made from records.

Everything that a reviewer reads belongs here. Statistics and decisions do not: see ``validation.evaluation`` and
``validation.gates``.

    page               the report: one HTML file
    patients           the patients on the page, with figures and images
    svg_outline        the outline of a spine as an SVG layer
    rule_table         every rule of a verdict as a row
    figure_tables      the statistics of both models as tables
    agreement_charts   regression and Bland-Altman charts
    level_charts       landmark errors by level, and calibration of the intervals
    forest             the forest plot of the paired differences
    chart_style        colours and axes of all charts, and figures as SVG
    changes            what changed between two training runs
    actions            the commands for each decision, and what the decision means
    verdict_status     what people and the gate did about a verdict
    model_card         the content of a model card
    card_text          a model card as Markdown and JSON
    group_errors       errors by condition, field of view and appearance
    subgroup_names     titles and order of the subgroups
    claim              a checklist with the subjects of CLAIM
"""
