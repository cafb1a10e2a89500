"""Transport coefficients from trajectories, each with an interval or the statement that it is not resolved."""
