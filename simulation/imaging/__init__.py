"""From bodies to pictures: rays, path lengths, exposure, looks, display, what is laid over; N pictures at once."""
