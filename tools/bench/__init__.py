"""`make bench`: answers a second of OpenCIM beside the raw database and its peers, as ratios of one run."""
