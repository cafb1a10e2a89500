"""What every stage shares: errors, files, units, randomness, provenance and starting MPI."""
