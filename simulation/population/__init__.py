"""Who the virtual patients are: parameters, distributions, bounds, and the comparison with the literature."""
