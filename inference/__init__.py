"""What ships: a model and a radiograph in, landmarks, parameters and an overlay out. No torch."""
