"""How a model comes to be. Imports nothing beyond torch, lightning, numpy and scipy unless asked to."""
