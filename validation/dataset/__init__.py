"""What must be true of a data set: splits, suites, report."""
