"""Local active learning: exploring, selecting, carving, labelling and fitting, level by level."""
