"""Learning: batches, augmentation, losses and the loop."""
