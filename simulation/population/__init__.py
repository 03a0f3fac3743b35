"""The parameters of virtual patients, sampled so that they match published distributions.

Shapes and positions are part of ``simulation.pose``.

    sampling           samples one patient from a seed
    alignment          sagittal angles of one patient, sampled from a joint normal distribution
    curve_patterns     lateral curves
    degeneration       narrowed discs, slips, wedge fractures, bone density
    surgery            spinal constructs and the curves that remain after surgery
    published          means, SDs and correlations from the literature
    moment_fit         fits the constants of ``alignment`` to ``published``
    moment_constants   the fitted constants; a generated file
    statistics         compares the sampled population with published figures
"""
