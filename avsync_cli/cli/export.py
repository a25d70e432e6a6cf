"""The command `avsync export`: from a checkpoint to a model that score and offset-scan run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from avsync_cli.cli.flags_workshop import ExportFlags
from avsync_cli.cli.takes import takes
from avsync_cli.config import user_cache
from avsync_cli.errors import UsageError

if TYPE_CHECKING:
    from avsync_cli.model.export import Sample


@takes(ExportFlags)
def export(flags: ExportFlags) -> None:
    """Turn a checkpoint into a model folder: ONNX, weights, description and checksums.

    [bold]Examples[/bold]

      avsync export runs/first/best models/first
      avsync export runs/first/best models/first --calibrate clips.csv
      avsync export runs/first/best models/first --calibrate clips.csv --int8
      avsync score --model models/first holiday.mp4

    Without --calibrate the answers are as good, but their confidence is a guess. The folder
    appears whole or not at all; a model that is there is replaced. Needs the extra: pip install
    '.\\[train]' in a clone.
    """
    from avsync_cli.cli.extras import train_extra
    from avsync_cli.cli.progress import StageProgress

    data, cache = flags.calibrate, flags.cache or user_cache()
    if flags.int8 and data is None:
        raise UsageError("--int8 needs clips to measure the layers by", "add --calibrate DATA")
    with train_extra("export"), StageProgress() as progress:
        from avsync_cli.evaluation.calibrate import calibrate_bundle
        from avsync_cli.model.export import export as export_model

        made = export_model(
            flags.checkpoint,
            flags.out,
            name=flags.name,
            calibrate=None
            if data is None
            else lambda bundle: calibrate_bundle(bundle, data, cache, progress),
            samples=_samples(data, cache) if flags.int8 and data is not None else None,
        )
        typer.echo(made)


_SAMPLE_CLIPS = 12
"""Clips by which layers are measured: speakers and cameras enough that no value is a surprise."""


def _samples(data: Path, cache: Path) -> list[Sample]:
    """Crops and sound of some of the clips, from all over the list."""
    import numpy as np

    from avsync_cli.corpus.cache import build_cache
    from avsync_cli.corpus.manifest import load_manifest

    clips = [c for c in load_manifest(data) if c.split != "test" and c.kind in ("", "talking")]
    some = clips[:: max(1, len(clips) // _SAMPLE_CLIPS)][:_SAMPLE_CLIPS]
    cached, _ = build_cache(some, cache)
    samples = []
    for clip in cached:
        if clip.tracks:
            track = clip.tracks[0]
            crops = np.asarray(clip.crops()[track.start : track.start + track.count])
            samples.append((crops, clip.wave()))
    return samples
