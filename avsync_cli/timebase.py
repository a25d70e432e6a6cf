"""The one time base every part of avsync shares, and the sizes derived from it.

The picture is looked at 25 times a second, the sound 16,000 times a second, both from one zero:
the zero a player uses. One video frame is exactly 640 sound samples and exactly 4 log-mel frames,
so that sliding the sound by whole mel frames (10 ms) never needs a resampler.
"""

from __future__ import annotations

FPS = 25
"""Picture frames a second on avsync's timeline; the paper cuts 25 frames a block."""

FRAME_MS = 1000 // FPS
"""Duration of one timeline frame in ms (40)."""

SAMPLE_RATE_HZ = 16_000
"""Sound samples a second: speech carries little above 8 kHz that a mouth shows."""

SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FPS
"""Sound samples during one timeline frame (640)."""

HOP_MS = 10
"""Step between log-mel frames in ms, and the resolution of every offset."""

HOP_SAMPLES = SAMPLE_RATE_HZ * HOP_MS // 1000
"""Sound samples a log-mel step (160)."""

HOPS_PER_FRAME = FRAME_MS // HOP_MS
"""Log-mel steps a timeline frame (4)."""

BLOCK_FRAMES = 25
"""Frames a block: one second, as in arXiv 1812.06071, section 3."""
