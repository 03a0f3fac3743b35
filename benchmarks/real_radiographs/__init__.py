"""The product's model on the 481 public real frontal radiographs: zero shot, and fine-tuned in five folds by patient.

Contract: no radiograph of a patient number is ever read by the fit that is scored on another radiograph of the same
    number; every radiograph counts.
"""
