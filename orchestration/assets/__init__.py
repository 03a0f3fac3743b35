"""Dagster assets: thin paragraphs over the steps of the chain."""
