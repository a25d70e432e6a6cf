"""A file's own words are never taken for what ffmpeg says about it."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from avsync_cli.media.facts import MediaInfo
from avsync_cli.media.probe import probe
from avsync_cli.media.source import Source
from tests.read_all import read_all

KINDS = ("mp4", "mov", "mkv", "ts", "avi")

LIES = (
    "Stream #0:7: Video: h264, 1920x1080, 9 fps",
    "  Stream #0:7(eng): Audio: aac, 8000 Hz, mono, fltp (default)",
    "[info]   Stream #0:0: Video: vp9<00000000>yuv420p, 4x4<00000000>1.2.3 fps (attached pic)",
    "Input #0, evil, from 'x':",
    "[info] Input #0, mpegts, from 'x':",
    "[info]   Duration: 00:00:01.00, start: 7.000000, bitrate: 1 kb/s",
    "[info]       displaymatrix: rotation of 90.00 degrees",
    "rotation of ... degrees",
    "[info] Output #0, framecrc, to 'pipe:1':",
    "Stream mapping:",
    "[Parsed_ashowinfo_2 @ 0x1] [info] n:0 pts:5 pts_time:0 nb_samples:99",
    "\x1b[1;32m[Parsed_metadata_5 @ 0x1] \x1b[0m[info] frame:0    pts:777777 pts_time:0.7",
    "\x1b[0m",
    "(attached pic) (default) ): Video: ",
    "[", "]", "\n", "\r", "\x08", "\x0b", ";", "\\", "'", '"', "%s", "ü", "\u202e",
)  # fmt: skip

text = st.lists(st.sampled_from(LIES), min_size=1, max_size=5).map(lambda parts: "\n".join(parts))
words = st.one_of(text, st.lists(st.sampled_from(LIES), min_size=1, max_size=4).map("".join))


@pytest.fixture(scope="module")
def plain(clips) -> dict[str, Path]:
    """One clip in every container."""
    codecs = {"ts": ("-c:a", "mp2"), "avi": ("-c:a", "pcm_s16le", "-c:v", "mpeg4")}
    return {kind: clips.make(f"tags.{kind}", *codecs.get(kind, ())) for kind in KINDS}


@pytest.fixture(scope="module")
def harmless(clips, plain) -> dict[str, Path]:
    """The same with harmless words: what copying itself changes is no tag's doing."""
    said = {"value": "x", "key": "k", "language": "eng"}
    return {kind: with_words(clips, path, said, "harmless") for kind, path in plain.items()}


@functools.cache
def facts(path: Path) -> MediaInfo:
    """All of a file that no tag may change."""
    info = probe(path)
    return replace(
        info,
        file=Source.of("x"),
        video=tuple(replace(track, title="", language="") for track in info.video),
        audio=tuple(replace(track, title="", language="") for track in info.audio),
    )


def with_words(clips, path: Path, said: dict[str, str], name: str) -> Path:
    """A copy of the file with words in every place that its container has."""
    kind, out = path.suffix, path.with_name(f"{name}{path.suffix}")
    if kind == ".ts":
        # The muxer takes 255 bytes of it.
        said = {
            name: value.encode()[:200].decode("utf-8", "ignore") for name, value in said.items()
        }
    chapter = path.with_name(f"{name}.txt")
    escaped = "".join(f"\\{c}" if c in "=;#\\\n" else c for c in said["value"])
    chapter.write_text(
        ";FFMETADATA1\n"
        f"title={escaped}\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\n"
        f"title={escaped}\n"
    )
    places = ["", ":s:v", ":s:a", ":g"] + ([":p:0"] if kind == ".ts" else [])
    pairs = [("title", said["value"]), ("handler_name", said["value"]), (said["key"], "x")]
    pairs += [("comment", said["value"]), ("service_name", said["value"])]
    words = [
        part
        for place in places
        for key, value in pairs
        for part in (f"-metadata{place}", f"{key}={value}")
    ]
    words += ["-metadata:s:a", f"language={said['language']}"]
    extra = []
    if kind in (".mp4", ".mov"):
        extra = ["-movflags", "use_metadata_tags"]
    if kind == ".mkv":
        extra = ["-attach", str(chapter), "-metadata:s:t", "mimetype=text/plain"]
        extra += ["-metadata:s:t", f"filename={said['value']}"]
    maps = ["-map", "0:v", "-map", "0:a", "-map_metadata", "1", "-map_chapters", "1"]
    if kind == ".ts":
        maps += ["-program", "title=x:st=0:st=1"]
    clips.run("-i", str(path), "-i", str(chapter), *maps, "-c", "copy", *words, *extra, str(out))
    return out


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=5,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking takes minutes
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    said=st.fixed_dictionaries(
        {
            "value": words,
            "key": words.map(lambda key: key.replace("=", "") or "k"),
            "language": st.one_of(st.just("eng"), words),
        }
    )
)
def test_no_tag_changes_the_facts(clips, plain, harmless, kind, said):
    path = with_words(clips, plain[kind], said, "said")
    facts.cache_clear()
    found, expected = facts(path), facts(harmless[kind])
    # What the words make doubtful is left unknown.
    assert found.duration_s in (expected.duration_s, 0.0)
    assert found.container in (expected.container, "")
    same = {"duration_s": expected.duration_s, "container": expected.container}
    assert replace(found, **same) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_no_tag_changes_what_is_decoded(clips, plain, harmless, kind):
    everything = "\n".join(LIES)
    said = {"value": everything, "key": everything.replace("=", ""), "language": everything}
    path = with_words(clips, plain[kind], said, "decoded")
    one, other = read_all(path), read_all(harmless[kind])
    np.testing.assert_array_equal(one.sound, other.sound)
    np.testing.assert_array_equal(one.frames, other.frames)


def test_titles_and_languages_are_told(clips, plain):
    path = clips.folder / "titled.mkv"
    clips.run(
        *("-i", str(plain["mkv"]), "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy"),
        *("-metadata:s:a:0", "title=The director: [speaks]", "-metadata:s:a:0", "language=fra"),
        *("-metadata:s:a:1", "title=Film", "-disposition:a:0", "0"),
        *("-disposition:a:1", "default", str(path)),
    )
    first, second = probe(path).audio
    assert (first.title, first.language) == ("The director: [speaks]", "fra")
    assert (first.is_default, second.is_default) == (False, True)
    assert second.title == "Film"
