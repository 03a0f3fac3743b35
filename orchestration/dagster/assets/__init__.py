"""Dagster assets: thin paragraphs over the steps of the chain.

Contract: an asset is at most fifteen lines, and one that is also a stage of ``dvc.yaml`` has the stage's name and
upstream.
"""
