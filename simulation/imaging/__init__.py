"""From bodies to pictures: rays, path lengths, exposure, looks, display, what is laid over; N pictures at once.

What belongs here: one exposure and how it is shown. What does not: shapes (``body``), files and streams (above).
"""
