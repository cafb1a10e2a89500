"""Running a campaign: command line, folder and lock, Snakemake, progress and the report."""
