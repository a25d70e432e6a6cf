"""Every face of every film: a table of them, their boxes, and a clip of each that is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from avsync_cli.corpus.manifest import MANIFEST
from avsync_cli.drawing.face_clip import write_face_clip
from avsync_cli.files import open_whole
from avsync_cli.judging import Excerpt
from avsync_cli.media.facts import pick_audio, pick_video
from avsync_cli.media.probe import probe
from avsync_cli.report.places import Names, spare
from avsync_cli.report.table import csv_line, csv_text
from avsync_cli.timebase import FPS
from avsync_cli.verdict.answer import Judgement, TrackResult

TRACK_COLUMNS = (
    "path track start_s end_s width_px height_px way_px judged_s speaking offset_ms "
    "offset_ci_low_ms offset_ci_high_ms height margin confidence kept reason"
).split()
BOX_COLUMNS = "path track frame time_s left_px top_px width_px height_px".split()
CLIP_COLUMNS = (
    "path source kind offset_ms film track from_s to_s speaking lag_ms margin confidence"
).split()

_SPOOL_BYTES = 1 << 20


class TrackTable:
    """Gathers a line a face and writes them as CSV; memory does not grow with the batch.

    Args:
        path: the table; it appears whole or not at all.
        columns: its head.
    """

    def __init__(self, path: Path, columns: Iterable[str] = TRACK_COLUMNS) -> None:
        self._path = path
        self._rows: IO[str] = tempfile.SpooledTemporaryFile(  # noqa: SIM115, closed in finish
            max_size=_SPOOL_BYTES, mode="w+", encoding="utf-8", errors="surrogateescape", newline=""
        )
        self.add(csv_line(columns))

    def add(self, lines: str) -> None:
        """Take whole lines."""
        self._rows.write(lines)

    def take(self, judgement: Judgement) -> None:
        """Take the faces of one film."""
        for track in judgement.tracks:
            self.add(_track_line(judgement, track))

    def finish(self) -> None:
        """Write the table.

        Raises:
            WriteError: it cannot be written.
        """
        with self._rows, open_whole(self._path) as table:
            self._rows.seek(0)
            while piece := self._rows.read(_SPOOL_BYTES):
                table.write(piece.encode("utf-8", "surrogateescape"))


class FaceClips:
    """Writes every face that is kept as a clip of its own, and a manifest that training reads.

    Args:
        folder: for clips and manifest; made where it is missing.
        align: move each clip's sound to zero; else the manifest says by how much it lags.
        excerpt: which video track is judged.
        films: real paths of all films, none of which is overwritten.
    """

    def __init__(
        self, folder: Path, align: bool, excerpt: Excerpt, films: Collection[str] = ()
    ) -> None:
        self._folder, self._align, self._excerpt, self._films = folder, align, excerpt, films
        self._manifest = TrackTable(folder / MANIFEST, CLIP_COLUMNS)
        self._names = Names()

    def take(self, judgement: Judgement) -> None:
        """Write the clips of one film.

        Raises:
            MediaError: the film cannot be read, or a clip not be written.
            UsageError: a film lies where a clip would.
        """
        kept = [track for track in judgement.tracks if track.kept]
        if not kept:
            return
        self._folder.mkdir(exist_ok=True)
        info = probe(judgement.path)
        video = pick_video(info, self._excerpt.video_track)
        audio = pick_audio(info, judgement.evidence.media.audio_track)
        stem = self._names.take(judgement.path, "")
        stem = stem if csv_text(stem) == stem else f"_{stem}"  # the manifest's reader unquotes none
        for track in kept:
            assert track.offset_ms is not None
            moved_ms = track.offset_ms if self._align else 0.0
            name = f"{stem}.face-{track.track:04d}.mp4"
            path = judgement.evidence.paths[track.track]
            place = spare(self._folder / name, self._films, "--crops")
            write_face_clip(place, info, video, audio, path, moved_ms)
            late_ms = _round(track.offset_ms - moved_ms)
            cells = [name, stem, "talking", late_ms, judgement.path, track.track]
            numbers = (track.start_s, track.end_s, track.speaking, track.offset_ms, track.margin)
            cells += [*(_round(x, 3) for x in numbers), _round(track.confidence, 4)]
            self._manifest.add(csv_line(cells))

    def finish(self) -> None:
        """Write the manifest.

        Raises:
            WriteError: it cannot be written.
        """
        self._folder.mkdir(exist_ok=True)
        self._manifest.finish()


def write_boxes(judgement: Judgement, target: Path) -> None:
    """Write where every face is in every frame, face by face.

    Raises:
        WriteError: it cannot be written.
    """
    with open_whole(target) as table:
        table.writelines(x.encode("utf-8", "surrogateescape") for x in _box_lines(judgement))


def _box_lines(judgement: Judgement) -> Iterator[str]:
    media = judgement.evidence.media
    sides = media.width, media.height, media.width, media.height
    yield csv_line(BOX_COLUMNS)
    for number, path in sorted(judgement.evidence.paths.items()):
        for k, box in enumerate(path.shares):
            frame = path.first_frame + k
            cells = [_round(share * side, 1) for share, side in zip(box, sides, strict=True)]
            yield csv_line([judgement.path, number, frame, _round(frame / FPS, 2), *cells])


def _track_line(judgement: Judgement, track: TrackResult) -> str:
    media = judgement.evidence.media
    boxes = track.boxes * (media.width, media.height, media.width, media.height)
    width, height = np.median(boxes[:, 2:], axis=0)
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    way = " ".join(f"{x:.0f}:{y:.0f}" for x, y in centres)
    low, high = track.offset_ci_ms or (None, None)
    return csv_line(
        [
            judgement.path,
            track.track,
            *(_round(s, 2) for s in (track.start_s, track.end_s)),
            round(width),
            round(height),
            way,
            *(_round(x, 3) for x in (track.judged_s, track.speaking)),
            *(_round(ms) for ms in (track.offset_ms, low, high)),
            *(_round(x, 3) for x in (track.height, track.margin)),
            _round(track.confidence, 4),
            track.kept,
            track.reason,
        ]
    )


def _round(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(float(value), digits)
