"""Learning: manifests, the cache of crops, augmentation, losses and the loop."""
