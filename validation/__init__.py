"""What must be true: of data, of results, of a candidate. Knows neither torch nor Dagster."""
