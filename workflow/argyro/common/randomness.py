"""Seeds of random numbers: every job's own, from the campaign's seed and what the job is."""

import hashlib

import numpy as np


def seed_for(campaign_seed: int, *identity: str | int) -> int:
    """Seed of one job, below 2^63: the same on every machine, unrelated between jobs.

    Args:
        campaign_seed: ``seed`` of the configuration.
        identity: What tells this job from all others, for example stage, structure and replica.
    """
    text = "\0".join([str(campaign_seed), *map(str, identity)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1


def generator_for(campaign_seed: int, *identity: str | int) -> np.random.Generator:
    """Random numbers of one job; arguments as for `seed_for`."""
    return np.random.default_rng(seed_for(campaign_seed, *identity))
