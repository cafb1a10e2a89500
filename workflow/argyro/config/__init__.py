"""The configuration: models, layers, and messages about what is wrong with it."""
