"""The product's model on the 481 public real frontal films: zero shot, and fine-tuned in five folds by patient.

What belongs here: the split, data set folders for the machine that trains, figures and overlays of what was found.
What does not: the films' packing and the chains' geometry (``sim_to_real``). Contract: no film of a patient number is
ever read by the fit that is scored on another film of the same number; every film counts.
"""
