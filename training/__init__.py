"""How a model comes to be. Imports nothing beyond torch, lightning and numpy unless asked to."""
