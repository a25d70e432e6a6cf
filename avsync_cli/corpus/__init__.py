"""Clips to learn from and to measure on: manifests, shards, the cache, and rendered clips."""
