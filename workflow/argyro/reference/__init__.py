"""Reference labels and the teacher potentials fitted to them."""
