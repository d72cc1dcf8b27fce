"""Learning: the simulator, the trainer, the replay and the examples; never imported by the service."""
