"""The command `avsync streams`: which picture and sound tracks a file has, and which are judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from avsync_cli.cli.flags_results import StreamsFlags
from avsync_cli.cli.takes import takes

if TYPE_CHECKING:
    from avsync_cli.media.facts import AudioTrack, MediaInfo, VideoTrack


@takes(StreamsFlags)
def streams(flags: StreamsFlags) -> int:
    """List the picture and sound tracks of each file, with languages and default flags.

    [bold]Examples[/bold]

      avsync streams movie.mkv
      avsync streams --json rushes/ > tracks.json

    The first column is what chooses a track in score, offset-scan and fix; "judged" is the track
    that is taken where none is chosen. Only the head of a file is read.

    Exit codes: 0, or 3 where a file cannot be read.
    """
    import json

    from avsync_cli.cli.inputs import expand_inputs
    from avsync_cli.cli.output import Sink, say_error
    from avsync_cli.errors import EXIT_IN_SYNC, EXIT_UNDECIDED, MediaError
    from avsync_cli.media.probe import probe
    from avsync_cli.report.machine import Failure, plain

    files: list[dict[str, Any]] = []
    failures: list[Failure] = []
    with Sink(None, machine=flags.json, color=False) as sink:
        for path in expand_inputs(flags.files, recursive=flags.recursive):
            try:
                entry = streams_entry(path, probe(path))
            except MediaError as error:
                failures.append(Failure(path, error.message, error.hint))
                continue
            files.append(entry)
            if not flags.json:
                sink.write("".join(f"{line}\n" for line in _lines(entry, sink.unicode)))
        if flags.json:
            document = {"files": files, "errors": list(map(plain, failures))}
            sink.write(json.dumps(document, indent=2) + "\n")
    for failure in failures:
        say_error(failure.message, failure.hint)
    return EXIT_UNDECIDED if failures else EXIT_IN_SYNC


def streams_entry(path: str, info: MediaInfo) -> dict[str, Any]:
    """One file's entry in the JSON: its tracks as `--video-track` and `--audio-track` number them.

    "number" is null and "judged" false for a cover picture, and for what has no size or no rate.
    """
    from avsync_cli.media.facts import usable_audio, usable_video

    def entries(tracks: Any, usable: Any, facts: Any) -> list[dict[str, Any]]:
        chosen = next((t for t in usable if t.is_default), usable[0] if usable else None)
        return [
            {
                "number": usable.index(track) if track in usable else None,
                "codec": track.codec,
                "language": track.language,
                "title": track.title,
                "default": track.is_default,
                "judged": track is chosen,
                **facts(track),
            }
            for track in tracks
        ]

    return {
        "path": path,
        "container": info.container,
        "duration_s": round(info.duration_s, 3),
        "video": entries(info.video, usable_video(info), _video_facts),
        "audio": entries(info.audio, usable_audio(info), _audio_facts),
    }


def _video_facts(track: VideoTrack) -> dict[str, Any]:
    rate = {"fps": round(float(track.fps), 3), "vfr": track.vfr}
    return {"width": track.width, "height": track.height, **rate, "cover": track.is_cover}


def _audio_facts(track: AudioTrack) -> dict[str, Any]:
    return {"rate_hz": track.rate_hz, "channels": track.channels}


def _lines(entry: dict[str, Any], unicode: bool) -> list[str]:
    """The same for a person: a head and a line a track; `unicode` says whether × can be shown."""
    from avsync_cli.wording import clock, safe_text

    rows = [("track", "codec", "what", "language", "default", "judged", "title")]
    for kind in ("video", "audio"):
        for track in entry[kind]:
            if kind == "video":
                by = "×" if unicode else "x"
                what = f"{track['width']}{by}{track['height']}, {track['fps']:g} fps"
                what += " variable" if track["vfr"] else ""
            else:
                what = f"{track['rate_hz'] / 1000:g} kHz, {track['channels']} ch"
            unusable = "cover" if track.get("cover") else f"unusable {kind}"
            number = track["number"]
            rows.append(
                (
                    unusable if number is None else f"--{kind}-track {number}",
                    track["codec"],
                    "" if track.get("cover") else what,
                    track["language"],
                    "default" if track["default"] else "",
                    "judged" if track["judged"] else "",
                    track["title"],
                )
            )
    safe = [[safe_text(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*safe, strict=True)]
    head = f"{safe_text(entry['path'])}: {entry['container']}, {clock(entry['duration_s'])}"
    body = ("  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)) for row in safe)
    return [head, *(f"  {line}".rstrip() for line in body)]
