"""The product's model on the 481 public real frontal films: zero shot, and fine-tuned in five folds by patient.

Contract: no film of a patient number is ever read by the fit that is scored on another film of the same number; every
film counts.
"""
