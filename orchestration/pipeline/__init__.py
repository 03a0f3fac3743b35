"""The pipeline as plain functions on a workspace. Dagster assets and DVC stages both call them.

evaluate            predictions on the frozen test set, and the evaluation record
intake              studies from the source and from finished batches of the inbox
lock                one writer in a workspace at a time
multi_gpu           a fit on several GPUs under torchrun
names               names of models and experiments in MLflow
params              params.yaml, validated
policies            which gate policy a workspace uses
registry_ownership  refuses a copied workspace that would write into its original
report              the part of a candidate's report that comes from the workspace's files
stages              the stages as a table, and dvc.yaml
step_report         the report of one step
steps               the steps themselves
survey              what 3D reconstructions without images yield
versioning          DVC: up to date, recording, version of the data
workspace           the folders of a workspace
"""
