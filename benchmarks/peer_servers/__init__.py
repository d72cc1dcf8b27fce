"""Programs that run in the peers' own environment, never in ours: nothing else here imports them."""
