"""Policies that ship with Plumbline, as YAML; a package so that the files travel with an installation."""
