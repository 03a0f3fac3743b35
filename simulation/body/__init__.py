"""What patients are made of: bones as surfaces, soft parts as solids, metal; N patients as tensors; mass points.

What belongs here: shapes and their mass. What does not: rays (``picture``) and where things lie (``pose``).
"""
