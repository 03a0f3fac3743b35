"""How good a model is: agreement statistics, landmark errors, plots, the evaluation record."""
