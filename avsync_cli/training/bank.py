"""Windows encoded once, so that many heads can be trained on finished encoders.

The encoders take nine tenths of a training step. Comparing kinds of attention, or seeds, needs
neither new features nor the wait for them: the windows that `WindowDataset` draws, augmented as
ever, go through finished encoders once, and every head then learns from the same numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch.utils.data import Dataset

from avsync_cli.files import write_whole
from avsync_cli.model.core import SyncModel
from avsync_cli.training.augment import augment_crops
from avsync_cli.training.dataset import WindowDataset
from avsync_cli.training.losses import drawn_piece, in_pieces

FILES = ("v", "a", "frame_valid", "sound_valid", "piece")
"""Arrays of a bank, a row a window; see `FeatureBank`."""

BATCH = 4
"""Windows encoded at once, and between two notes of how far the work is."""

ENCODERS = ("visual.", "sound.")
"""Names that the encoders' tensors begin with."""


def encoder_tensors(model: SyncModel) -> dict[str, torch.Tensor]:
    """The tensors of a model's two encoders, by name."""
    return {n: t for n, t in model.state_dict().items() if n.startswith(ENCODERS)}


def digest(model: SyncModel) -> str:
    """Hex digest of a model's encoders: the same for all models that share them."""
    found = hashlib.sha256()
    for name, tensor in sorted(encoder_tensors(model).items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


class FeatureBank(Dataset[dict[str, torch.Tensor]]):
    """An endless list of encoded windows: all in one random order, then all in another.

    Sample `i` holds `v` (T, C, h, w) and `a` (T + 2 R, C) float32, `frame_valid` (T,) and
    `sound_valid` (T + 2 R,) bool, and `piece`, the length in frames of the pieces that it was seen
    in (T for the whole). It depends on the seed and on `i` alone.

    Args:
        folder: a bank that `fill_bank` has finished.
        seed: of the order.
        length: how many samples there are in all.
    """

    def __init__(self, folder: Path, seed: int, length: int) -> None:
        self.folder, self.seed, self.length = folder, seed, length
        self.windows = len(np.load(folder / "v.npy", mmap_mode="r", allow_pickle=False))
        self._arrays: dict[str, np.ndarray] = {}
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, np.int64))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if not self._arrays:
            self._arrays = {
                n: np.load(self.folder / f"{n}.npy", mmap_mode="r", allow_pickle=False)
                for n in FILES
            }
        turn, place = divmod(index, self.windows)
        if self._order[0] != turn:
            order = np.random.default_rng([self.seed, turn]).permutation(self.windows)
            self._order = (turn, order)
        row = int(self._order[1][place])
        sample = {}
        for name, array in self._arrays.items():
            values = np.array(array[row])
            kind = np.float32 if name in "va" else values.dtype
            sample[name] = torch.from_numpy(values.astype(kind))
        return sample


def fill_bank(
    folder: Path,
    model: SyncModel,
    windows: WindowDataset,
    progress: Callable[[int, int], None] | None = None,
    *,
    pieces: float = 0.0,
) -> Path:
    """Encode every window of a dataset; goes on where a killed run stopped.

    Features are kept in half precision, whose steps are finer than their augmentation's noise.

    Args:
        folder: where banks lie; the bank's own folder in it is named after what it holds.
        model: whose encoders to use.
        windows: what to encode.
        progress: called with (windows done, windows in all).
        pieces: share of the windows that are seen in pieces, as of `losses.in_pieces`.

    Returns:
        the bank's folder.
    """
    own = folder / f"bank-{digest(model)}-{_described(windows, pieces)}"
    if (own / "whole").exists():
        return own
    own.mkdir(parents=True, exist_ok=True)
    note = own / "done.json"
    done = int(json.loads(note.read_text())) if note.exists() else 0
    device = next(model.parameters()).device
    model = model.eval()
    total = len(windows)
    for first in range(done, total, BATCH):
        rows = [windows[i] for i in range(first, min(first + BATCH, total))]
        batch = {k: torch.stack([row[k] for row in rows]) for k in rows[0]}
        generator = torch.Generator().manual_seed(windows.seed * 1_000_003 + first)
        with torch.inference_mode():
            crops = augment_crops(batch["crops"].to(device), model.config.input_px, generator)
            piece = drawn_piece(windows.window.frames, pieces, generator)
            around = model.config.visual_context
            inner = crops[:, around : crops.shape[1] - around]
            whole = piece == windows.window.frames
            encoded = {
                "v": (
                    model.visual(crops) if whole else in_pieces(model.visual, inner, piece, around)
                ).half(),
                "a": model.sound(batch["mel"].to(device)).half(),
                "frame_valid": batch["frame_valid"],
                "sound_valid": batch["sound_valid"],
                "piece": torch.full((len(rows),), piece),
            }
        for name, values in encoded.items():
            array = values.cpu().numpy()
            path = own / f"{name}.npy"
            if not first:
                open_memmap(path, "w+", array.dtype, (total, *array.shape[1:])).flush()
            kept = np.load(path, mmap_mode="r+", allow_pickle=False)
            kept[first : first + len(array)] = array
            kept.flush()
        write_whole(note, json.dumps(first + len(rows)))
        if progress is not None:
            progress(first + len(rows), total)
    (own / "whole").touch()
    return own


def _described(windows: WindowDataset, pieces: float) -> str:
    """A digest of everything that decides what a dataset's windows hold."""
    clips = [(str(c.folder.name), c.clip.offset_ms, t.first_frame) for c, t in windows.items]
    own = sorted(windows.offsets_hops.items())
    told = [windows.seed, windows.length, windows.augment, str(windows.window), clips, own, pieces]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
