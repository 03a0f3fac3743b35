"""Policy -> verdict -> promotion; the one writer of the champion alias is in here."""
