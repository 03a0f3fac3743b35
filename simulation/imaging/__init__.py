"""From bodies to images: rays, path lengths, exposure, looks, display, what is laid over; N images at once."""
