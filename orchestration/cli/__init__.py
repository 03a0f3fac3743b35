"""The plumbline command: one module per group of subcommands."""
