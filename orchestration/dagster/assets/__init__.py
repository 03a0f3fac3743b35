"""Dagster assets: thin paragraphs over the steps of the chain.

What belongs here: which noun depends on which, and how it presents itself. What does not: any work (``chain`` and
the rooms). Contract: an asset is at most fifteen lines, and one that is also a stage of ``dvc.yaml`` has the
stage's name and upstream.
"""
