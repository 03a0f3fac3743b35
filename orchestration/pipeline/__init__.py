"""The chain as plain functions on a workspace, shared by Dagster assets and DVC stages. No Dagster here."""
