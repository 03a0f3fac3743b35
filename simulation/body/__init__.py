"""What patients are made of: bones as surfaces, soft parts as solids, metal; N patients as tensors; mass points."""
