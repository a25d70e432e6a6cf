"""The sound of a stream as features at 100 Hz, kept no longer than a scan needs them.

Everything is computed in pieces on an absolute grid, so that what comes out does not depend, not
even in the last bit, on how the stream was cut into chunks. Where the engine can, a piece is made
beside whatever else is done.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from avsync_cli.errors import ModelError
from avsync_cli.model.engine import Engine, later
from avsync_cli.timebase import HOP_SAMPLES, HOPS_PER_FRAME

PIECE_STEPS = 800
"""Steps computed at a time (8 s): a recogniser hears 2.64 s more on either side of each piece."""


class SoundStream:
    """Takes sound as it comes, gives features, validity and power by timeline step.

    Step j is the time 10 ms x j. Sound before the first sample pushed and after the last one is
    silence, and not valid.

    Args:
        engine: encodes it.
        first_step: step of the first sample pushed.
    """

    def __init__(self, engine: Engine, first_step: int = 0) -> None:
        self._engine = engine
        self._before, after = engine.config.sound_context
        self._after = after + HOPS_PER_FRAME - 1
        self._edge = engine.config.edge_steps
        if max(self._before, self._after) + self._edge > PIECE_STEPS:
            raise ModelError("the model's sound context is longer than a piece of sound")
        silence = np.zeros((2 * self._edge + 1) * HOP_SAMPLES, np.float32)
        self._silent_step = engine.sound_steps(silence)
        self._silence: np.ndarray | None = None
        self._finished = False
        # A piece before the first sample is computed too: the features pass from silence to sound.
        self._first = first_step - PIECE_STEPS
        self._features = np.zeros((0, engine.config.channels), np.float32)
        self._making: Callable[[], tuple[np.ndarray, np.ndarray]] | None = None
        self._mel_first = self._first - PIECE_STEPS
        self._mel = np.zeros((0, engine.config.mel_bands), np.float32)
        self._samples_first = (self._mel_first - self._edge) * HOP_SAMPLES
        lead = first_step * HOP_SAMPLES - self._samples_first
        self._samples = np.zeros(lead, np.float32)
        self._hops_first = first_step
        self._valid = np.zeros(0, bool)
        self._power = np.zeros(0, np.float32)
        self._end = first_step
        self._first_step = self._kept_from = first_step
        self._valid_steps = 0

    @property
    def ready(self) -> int:
        """First step whose feature is not known yet; after `finish` there is none."""
        if self._finished:
            return np.iinfo(np.int64).max
        self._collect()
        return self._first + len(self._features)

    @property
    def valid_steps(self) -> int:
        """Steps of valid sound pushed so far."""
        return self._valid_steps

    def push(self, sound: np.ndarray, valid: np.ndarray | None = None) -> None:
        """Take the next stretch of sound.

        Args:
            sound: (160 n,) float32 in -1..1 at 16 kHz.
            valid: (n,) bool, False where there was none and silence stands in; None for all True.

        Raises:
            ValueError: lengths that do not belong together.
        """
        sound = np.asarray(sound, np.float32)
        steps, rest = divmod(len(sound), HOP_SAMPLES)
        if rest or (valid is not None and len(valid) != steps):
            raise ValueError(f"{len(sound)} samples are not {HOP_SAMPLES} a step")
        known = np.ones(steps, bool) if valid is None else np.asarray(valid, bool)
        power = np.square(sound.reshape(steps, HOP_SAMPLES)).mean(axis=1) if steps else sound
        self._valid = np.concatenate([self._valid, known])
        self._power = np.concatenate([self._power, np.where(known, power, 0).astype(np.float32)])
        self._valid_steps += int(known.sum())
        self._samples = np.concatenate([self._samples, sound])
        self._end += steps
        self._compute()

    def finish(self) -> None:
        """Say that no more sound comes."""
        if self._finished:
            return
        # Enough silence to compute the features that still hear the end of the sound.
        wanted = self._end - self._first_step + self._before + PIECE_STEPS
        wanted += -wanted % PIECE_STEPS + self._after + PIECE_STEPS + self._edge
        wanted += self._first_step
        lacking = wanted * HOP_SAMPLES - (self._samples_first + len(self._samples))
        self._samples = np.concatenate([self._samples, np.zeros(lacking, np.float32)])
        self._compute()
        self._finished = True
        self._samples = self._samples[:0]

    def features(self, first: int, end: int) -> np.ndarray:
        """(end - first, C) float32 features of the steps `first` .. `end - 1`.

        Raises:
            ValueError: steps that were dropped, or that are not ready.
        """
        if end > self.ready:
            raise ValueError(f"sound step {end} asked for, {self.ready} known")
        self._collect()
        if first < self._first and self._kept_from > self._first_step:
            raise ValueError(f"sound step {first} was dropped")
        return self._cut(self._features, self._first, first, end, self._silent_feature())

    def valid(self, first: int, end: int) -> np.ndarray:
        """(end - first,) bool, False where there is no sound in the file."""
        return self._cut(self._valid, self._hops_first, first, end, np.zeros((), bool))

    def power(self, first: int, end: int) -> np.ndarray:
        """(end - first,) float32 mean square of each 10 ms, 0 where there is no sound."""
        return self._cut(self._power, self._hops_first, first, end, np.zeros((), np.float32))

    def drop_before(self, step: int) -> None:
        """Forget everything before `step`."""
        cut = min(max(0, step - self._first), len(self._features))
        if cut >= PIECE_STEPS:
            self._features = self._features[cut:].copy()
            self._first += cut
            self._kept_from = max(self._kept_from, self._first)
        cut = min(max(0, step - self._hops_first), len(self._valid))
        if cut >= PIECE_STEPS:
            self._valid, self._power = self._valid[cut:].copy(), self._power[cut:].copy()
            self._hops_first += cut

    def _cut(
        self, values: np.ndarray, start: int, first: int, end: int, filler: np.ndarray
    ) -> np.ndarray:
        out = np.empty((end - first, *values.shape[1:]), values.dtype)
        out[...] = filler
        low, high = max(first, start), min(end, start + len(values))
        if low < high:
            out[low - first : high - first] = values[low - start : high - start]
        return out

    def _silent_feature(self) -> np.ndarray:
        """(C,) feature of endless silence."""
        if self._silence is None:
            steps = np.repeat(self._silent_step, self._before + self._after + 1, axis=0)
            self._silence = self._engine.encode_sound(steps)[0]
        return self._silence

    def _compute(self) -> None:
        """Begin on the pieces that there is sound enough for, once those before are made."""
        around, piece = self._edge * HOP_SAMPLES, PIECE_STEPS * HOP_SAMPLES
        used = (len(self._samples) - 2 * around) // piece * piece
        if used <= 0:
            return
        self._collect()
        sound, self._samples = self._samples[: used + 2 * around], self._samples[used:].copy()
        self._samples_first += used
        low = self._first + len(self._features) - self._before - self._mel_first
        self._making = later(self._engine, partial(self._made, self._mel, sound, low))

    def _made(self, mel: np.ndarray, sound: np.ndarray, low: int) -> tuple[np.ndarray, np.ndarray]:
        """Steps known so far and those of more sound; features of the pieces from `low` on for
        which there are steps enough."""
        engine, hops = self._engine, sound.reshape(-1, HOP_SAMPLES)
        made = [mel]
        for first in range(0, len(hops) - 2 * self._edge, PIECE_STEPS):
            heard = hops[first : first + PIECE_STEPS + 2 * self._edge]
            made.append(
                _piece(
                    heard,
                    np.zeros(1),
                    self._silent_step[0],
                    lambda h: engine.sound_steps(h.ravel()),
                )
            )
        mel = np.concatenate(made)
        encoded = [np.zeros((0, engine.config.channels), np.float32)]
        span = self._before + PIECE_STEPS + self._after
        for first in range(low, len(mel) - span + 1, PIECE_STEPS):
            heard = mel[first : first + span]
            encoded.append(
                _piece(heard, self._silent_step, self._silent_feature(), engine.encode_sound)
            )
        return mel, np.concatenate(encoded)

    def _collect(self) -> None:
        """Take what was being made, waiting for it where need be."""
        if self._making is None:
            return
        mel, features = self._making()
        self._making = None
        self._features = np.concatenate([self._features, features])
        cut = max(0, self._first + len(self._features) - self._before - self._mel_first)
        self._mel = mel[cut:].copy()
        self._mel_first += cut


def _piece(
    heard: np.ndarray,
    silence: np.ndarray,
    silent: np.ndarray,
    listen: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """What comes of a piece, (PIECE_STEPS, C), made only where more than silence is heard:
    there is none before and after a file, and many are shorter than a piece.

    Args:
        heard: (PIECE_STEPS + r, ...) steps; what comes out at j hears those from j to j + r.
        silence: one of them, in silence.
        silent: (C,) what comes of silence.
        listen: makes (n, C) of (n + r, ...).
    """
    made = np.repeat(silent[None], PIECE_STEPS, axis=0)
    loud = np.flatnonzero((heard != silence).any(axis=1))
    if len(loud):
        reach = len(heard) - PIECE_STEPS
        low, high = max(0, int(loud[0]) - reach), min(PIECE_STEPS, int(loud[-1]) + 1)
        made[low:high] = listen(heard[low : high + reach])
    return made
