"""What probe says about ordinary, odd and hostile files."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from avsync_cli.errors import FileMissingError, NotMediaError
from avsync_cli.media.ffmpeg import find_ffprobe, input_args
from avsync_cli.media.listing import Listing, ListingLog
from avsync_cli.media.packets import channel_count
from avsync_cli.media.probe import probe
from avsync_cli.media.source import Source

KINDS = ("mp4", "mov", "mkv", "webm", "ts", "avi")


@pytest.fixture(scope="module")
def clip(clips) -> Path:
    return clips.make("probe.mp4", "-metadata:s:a", "language=deu")


def ask_ffprobe(path: Path) -> dict:
    ffprobe = find_ffprobe()
    if ffprobe is None:
        pytest.skip("no ffprobe beside this ffmpeg")
    limits = [part for key, value in input_args().items() for part in (f"-{key}", str(value))]
    show = ["-v", "error", "-print_format", "json", "-show_format", "-show_streams"]
    done = subprocess.run(
        [ffprobe, *show, *limits, Source.of(path).url], capture_output=True, check=True, timeout=60
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_ffprobe(clips, kind):
    path = clips.make(f"agree.{kind}", "-metadata:s:a", "language=deu", rate="24000/1001")
    info, said = probe(path), ask_ffprobe(path)
    assert info.container == said["format"]["format_name"]
    assert info.start_s == Fraction(said["format"]["start_time"])
    # ffmpeg prints hundredths.
    assert info.duration_s == pytest.approx(float(said["format"]["duration"]), abs=0.011)
    videos = [s for s in said["streams"] if s["codec_type"] == "video"]
    audios = [s for s in said["streams"] if s["codec_type"] == "audio"]
    assert [(t.index, t.codec, t.width, t.height) for t in info.video] == [
        (s["index"], s["codec_name"], s["width"], s["height"]) for s in videos
    ]
    assert [(t.index, t.codec, t.rate_hz, t.channels, t.language) for t in info.audio] == [
        (
            s["index"],
            s["codec_name"],
            int(s["sample_rate"]),
            s["channels"],
            s.get("tags", {}).get("language", ""),
        )
        for s in audios
    ]
    assert info.video[0].start_s == pytest.approx(float(videos[0]["start_time"]), abs=1e-5)


@pytest.mark.parametrize("kind", ("mp4", "mkv", "ts", "webm"))
@pytest.mark.parametrize("rate", ("25", "30", "60000/1001", "24000/1001"))
def test_rate_is_exact_and_constant(clips, kind, rate):
    track = probe(clips.make(f"rate-{rate.replace('/', '-')}.{kind}", rate=rate)).video[0]
    assert track.fps == Fraction(rate)
    assert not track.vfr


@pytest.mark.parametrize("kind", ("mp4", "mkv"))
def test_uneven_rate_is_seen(clips, kind):
    track = probe(clips.make(f"uneven.{kind}", rate="vfr")).video[0]
    assert track.vfr
    assert float(track.fps) == pytest.approx(30, rel=0.02)


def test_size_is_as_displayed(clips, clip):
    turned = clips.folder / "turned.mp4"
    clips.run("-i", str(clip), "-c", "copy", "-aspect", "8:3", str(clips.folder / "wide.mp4"))
    wide = probe(clips.folder / "wide.mp4").video[0]
    assert (wide.width, wide.height) == (128, 48)
    rotate_matrix(clips.folder / "wide.mp4", turned)
    track = probe(turned).video[0]
    assert (track.width, track.height) == (48, 128)


def rotate_matrix(src: Path, dst: Path) -> None:
    """Write a quarter turn into the first track header of an mp4, as phones do."""
    data = bytearray(src.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    identity = bytes.fromhex("00010000" + "0" * 24 + "00010000" + "0" * 24 + "40000000")
    assert data[at : at + 36] == identity
    quarter = "0" * 8 + "00010000" + "0" * 8 + "ffff0000" + "0" * 32 + "40000000"
    data[at : at + 36] = bytes.fromhex(quarter)
    dst.write_bytes(data)


def test_several_tracks(clips, clip):
    path = clips.folder / "several.mkv"
    sound = clips.sound(channels=2)
    maps = ["-map", "0", "-map", "1", "-metadata:s:a:1", "language=fra"]
    clips.run("-i", str(clip), "-i", str(sound), *maps, "-c:v", "copy", "-c:a", "flac", str(path))
    info = probe(path)
    assert [(t.position, t.channels, t.language) for t in info.audio] == [
        (0, 1, "deu"),
        (1, 2, "fra"),
    ]
    assert [t.index for t in info.audio] == [1, 2]


def test_cover_is_marked(clips, clip):
    picture, path = clips.folder / "cover.png", clips.folder / "cover.m4a"
    clips.run("-i", str(clip), "-frames:v", "1", str(picture))
    maps = ["-map", "0:a", "-map", "1:v", "-c", "copy", "-disposition:v", "attached_pic"]
    clips.run("-i", str(clip), "-i", str(picture), *maps, str(path))
    assert [t.is_cover for t in probe(path).video] == [True]


def test_sound_alone_and_picture_alone_are_no_error_here(clips, clip):
    clips.run("-i", str(clip), "-vn", "-c", "copy", str(clips.folder / "sound-only.mp4"))
    clips.run("-i", str(clip), "-an", "-c", "copy", str(clips.folder / "picture-only.mp4"))
    assert probe(clips.folder / "sound-only.mp4").video == ()
    assert probe(clips.folder / "picture-only.mp4").audio == ()


NAMES = [
    b'it\'s "quoted".mp4',
    b"two\nlines.mp4",
    b"[bold]%d%%03d[-bold].mp4",
    b"-i.mp4",
    b"http:colon,comma;semi=equals.mp4",
    b"back\\slash $(touch pwned) `x`.mp4",
    b"\xff\xfe not utf-8.mp4",
    "Füße 影片 🎬.mp4".encode(),
]


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_work(clip, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    target = os.fsdecode(name)
    Path(target).write_bytes(clip.read_bytes())
    assert len(probe(target).video) == 1
    assert len(probe(os.fsencode(tmp_path) + b"/" + name).audio) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == [target]


@pytest.mark.parametrize("name", NAMES)
def test_errors_are_one_printable_line(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    path.write_text("no film")
    with pytest.raises(NotMediaError) as caught:
        probe(path)
    assert caught.value.message.isprintable()
    assert caught.value.hint
    assert caught.value.path == os.fspath(path)
    caught.value.message.encode()


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket.mp4"))
    for name, word in (
        ("gone.mp4", "no such file"),
        ("pipe.mp4", "not a regular file"),
        ("socket.mp4", "not a regular file"),
        (".", "folder"),
        ("nul\0byte.mp4", "cannot read"),
        ("n" * 300, "cannot read"),
    ):
        with pytest.raises(FileMissingError, match=word):
            probe(f"{tmp_path}/{name}")
    with pytest.raises(FileMissingError, match="not a regular file"):
        probe("/dev/zero")
    with pytest.raises(FileMissingError, match="the name of a file is empty"):
        probe("")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path):
    path = tmp_path / "locked.mp4"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(FileMissingError, match="cannot read"):
        probe(path)


def playlists(clip: Path) -> dict[str, str]:
    return {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{clip}\n#EXT-X-ENDLIST\n",
        "hls-net": "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nhttp://127.0.0.1:9/a.ts\n",
        "concat": f"ffconcat version 1.0\nfile '{clip}'\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT3S"><Period><AdaptationSet><Representation id="0">'
        f"<BaseURL>{clip}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96"
        "\na=rtpmap:96 H264/90000\n",
        "text": "Dear diary, " * 500,
        "empty": "",
        "subtitles": "1\n00:00:01,000 --> 00:00:02,000\nHello\n",
    }


@pytest.mark.parametrize("kind", list(playlists(Path())))
@pytest.mark.parametrize("name", ("movie.mp4", "movie.m3u8", "movie%03d.png"))
def test_playlists_and_text_are_refused(clip, tmp_path, kind, name):
    path = tmp_path / name
    path.write_text(playlists(clip)[kind])
    with pytest.raises(NotMediaError, match=r"not a media file avsync can open \(.+\): "):
        probe(path)


def test_an_empty_file_is_told_as_empty(tmp_path):
    (tmp_path / "movie.mp4").touch()
    with pytest.raises(NotMediaError, match=r"not a media file avsync can open \(it is empty\): "):
        probe(tmp_path / "movie.mp4")


def test_stills_are_refused(clips, clip, tmp_path):
    clips.run("-i", str(clip), "-frames:v", "1", str(tmp_path / "still.png"))
    still = tmp_path / "still.mp4"
    (tmp_path / "still.png").rename(still)
    with pytest.raises(NotMediaError):
        probe(still)


def test_metadata_cannot_pose_as_a_track(clips, clip):
    path = clips.folder / "posing.mkv"
    title = "x\n  Stream #0:7: Video: h264, 4x4, 9 fps\nOutput #0\nInput #0, evil, from 'x':"
    clips.run("-i", str(clip), "-c", "copy", "-metadata", f"title={title}", str(path))
    info = probe(path)
    assert [t.index for t in info.video] == [0]
    assert info.container.startswith("matroska")


LISTING = """\
\x1b[0;36m[mjpeg @ 0x55c1d7c36dc0] \x1b[0m\x1b[0;33m[warning] \x1b[0m\x1b[0;33mEOI missing
\x1b[0m[info] Input #0, matroska,webm, from 'file:x.mkv':
[info]   Metadata:
[info]     title           : A film
[info]   Duration: 01:02:03.45, start: -0.021000, bitrate: 350 kb/s
[info]   Stream #0:0(eng): Video: hevc (Main 10)~yuv420p10le(tv)~720x576 [SAR 64:45 DAR 16:9], \
SAR 16:15 DAR 4:3~50 fps, 50 tbr, 1k tbn (default)
[info]     Metadata:
[info]       title           : The picture
[info]     Side data:
[info]       displaymatrix: rotation of -90.00 degrees
[info]   Stream #0:1[0x2](und): Audio: ac3~48000 Hz, 5.1(side), fltp, 448 kb/s
[info]   Stream #0:2: Audio: pcm_s16le~44100 Hz, 3 channels (FL+FR+LFE), s16, 1411 kb/s (default)
[info]     Metadata:
[info]       title           : The sound
[info]   Stream #0:3: Subtitle: subrip
[info]     Metadata:
[info]       title           : The words
[info]   Stream #0:4(x
[info]   Stream #0:9: Audio: y): Audio: opus~48000 Hz, 7.1.4, fltp
[info] Output #0, framecrc, to 'pipe:1':
[info]   Stream #0:0: Audio: opus, 48000 Hz, 7.1.4, fltp
[info]     Metadata:
[info]       title           : The sound
"""


def read_listing(text: str) -> Listing:
    log = ListingLog()
    for line in text.replace("~", log.mark).splitlines():
        log.take_line(line)
    return log.read(Source.of("x.mkv"))


def test_listing_of_rare_things():
    listing = read_listing(LISTING)
    assert listing.container == "matroska,webm"
    assert listing.duration_s == pytest.approx(3723.45)
    assert listing.start_s == Fraction(-21, 1000)
    assert listing.may_be_turned
    video, *audio = listing.tracks
    assert (video.kind, video.fps, video.is_default) == ("video", "50.0", True)
    assert (video.language, video.title) == ("eng", "The picture")
    assert [(t.kind, t.has_data, t.language, t.is_default) for t in audio] == [
        ("audio", True, "", False),
        ("audio", True, "", True),
        ("audio", True, "", False),
    ]
    assert [t.title for t in audio] == ["", "The sound", ""]


@pytest.mark.parametrize(
    ("line", "lost"),
    [
        ("[info]   Duration: 00:00:01.00, start: 7.000000, bitrate: 1 kb/s", "duration_s start_s"),
        ("[info] Input #0, evil, from 'x':", "container"),
    ],
)
def test_what_is_listed_twice_is_not_believed(line, lost):
    once, twice = read_listing(LISTING), read_listing(f"{LISTING}{line}\n")
    nothing = Listing()
    for name in ("container", "start_s", "duration_s"):
        expected = nothing if name in lost.split() else once
        assert getattr(twice, name) == getattr(expected, name)
    assert twice.tracks == once.tracks


def test_a_flood_of_words_hides_no_track():
    before, _, after = LISTING.partition("[info]   Stream #0:0(eng)")
    flood = "[info]       title           : rotation of 1.2.3 degrees\n" * 20_000
    listing = read_listing(f"{before}{flood}[info]   Stream #0:0(eng){after}")
    assert len(listing.tracks) == 4


@pytest.mark.parametrize(
    ("layout", "channels"),
    [
        ("mono", 1),
        ("5.1(side)", 6),
        ("7.1.4", 12),
        ("3 channels (FL+FR+LFE)", 3),
        ("ambisonic 2", 9),
        ("downmix", 2),
    ],
)
def test_channels_of_layouts(layout, channels):
    assert channel_count(layout) == channels
