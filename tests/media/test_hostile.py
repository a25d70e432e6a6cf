"""Files made to do harm, files that change while they are read, and an ffmpeg that fails."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from multiprocessing import resource_tracker
from pathlib import Path

import numpy as np
import pytest

from avsync_cli.errors import AvsyncError, DecodeError, MediaError, TooLargeError
from avsync_cli.media import limits, process
from avsync_cli.media import probe as probe_module
from avsync_cli.media.decode import Timeline
from avsync_cli.media.ffmpeg import find_ffmpeg
from avsync_cli.media.probe import probe
from tests.clips import Clips
from tests.media_surgery import change_atom
from tests.read_all import read_all


@pytest.fixture(scope="module")
def clip(clips: Clips) -> Path:
    return clips.make("hostile.mp4")


def children() -> list[int]:
    """The children of this process, by whichever thread started them.

    All but the tracker of shared resources, which Python starts beside the first process of its
    own and keeps: tests that ran here before may have left one.
    """
    tracker = getattr(resource_tracker._resource_tracker, "_pid", None)
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        # A reader thread may end between the listing and the read, its file with it.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += [int(pid) for pid in (task / "children").read_text().split()]
    return [pid for pid in found if pid != tracker]


# --- Scripts that would open something else -------------------------------------------------------


def scripts(address: str, other: Path) -> dict[str, str]:
    """Playlists and the like that point at the network, and at another file."""
    web, file = f"http://{address}/film.ts", f"file://{other}"
    dash = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT3S"><Period><AdaptationSet><Representation id="0">'
        "<BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{}\n#EXT-X-ENDLIST\n"
    sdp = "v=0\no=- 0 0 IN IP4 {0}\ns=x\nc=IN IP4 {0}\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    smil = '<smil><body><video src="{}"/></body></smil>'
    asx = '<asx version="3.0"><entry><ref href="{}"/></entry></asx>'
    forms = {"dash": dash, "hls": hls, "smil": smil, "asx": asx, "m3u": "{}\n"}
    made = {f"{form}-{n}": text.format(u) for form, text in forms.items() for n, u in
            (("net", web), ("file", file), ("plain", other))}  # fmt: skip
    made |= {f"concat-{n}": f"ffconcat version 1.0\nfile '{u}'\n" for n, u in
             (("net", web), ("file", file), ("plain", other))}  # fmt: skip
    made |= {
        "sdp": sdp.format("127.0.0.1") + "a=rtpmap:96 H264/90000\n",
        "rtsp": f"[reference]\nref1=rtsp://{address}/film\n",
        "key": hls.format(other).replace(
            "#EXTINF", f'#EXT-X-KEY:METHOD=AES-128,URI="http://{address}/key"\n#EXTINF'
        ),
        "avisynth": f'FFVideoSource("{other}")\n',
        "lavfi": f"movie={other}",
        "vapoursynth": f"import vapoursynth\nopen({str(other)!r})\n",
    }
    return made


@pytest.mark.parametrize("name", ("movie.mp4", "movie.ts"))
def test_nothing_reaches_the_network_or_another_file(clip: Path, tmp_path: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        for kind, text in scripts(address, clip).items():
            path = tmp_path / name
            path.write_text(text)
            with pytest.raises(MediaError) as caught:
                Timeline(path)
            assert caught.value.message.isprintable(), kind
        with pytest.raises(TimeoutError):
            server.accept()


# --- Files that change ----------------------------------------------------------------------------


def test_gone_between_two_looks(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "gone.mp4"
    path.write_bytes(clip.read_bytes())
    info = probe(path)
    path.unlink()
    with pytest.raises(DecodeError, match=r"No such file.*gone\.mp4"):
        read_all(info)
    assert not children()


@pytest.mark.parametrize("what", ("deleted", "emptied", "grown", "replaced"))
def test_changed_while_read(clips: Clips, tmp_path: Path, what: str) -> None:
    whole = clips.make("changing.mkv", seconds=30)
    path = tmp_path / "changing.mkv"
    path.write_bytes(whole.read_bytes())
    try:
        with Timeline(path, chunk_frames=25) as timeline:
            next(timeline)
            if what == "deleted":
                path.unlink()
            elif what == "emptied":
                path.write_bytes(b"")
            elif what == "grown":
                with path.open("ab") as more:
                    more.write(whole.read_bytes())
            else:
                (tmp_path / "new").write_bytes(b"something else")
                (tmp_path / "new").replace(path)
            frames = 25 + sum(len(chunk.frames) for chunk in timeline)
        assert frames <= 30 * 25 * 2 + 10
    except MediaError as error:
        assert error.hint
    assert not children()


# --- Bombs ----------------------------------------------------------------------------------------


def test_giant_picture_is_refused(clips: Clips, tmp_path: Path) -> None:
    path = tmp_path / "giant.avi"
    sound = ["-i", str(clips.sound()), "-c:a", "pcm_s16le"]
    clips.run(*clips.picture("25"), *sound, "-c:v", "mjpeg", str(path))
    data = bytearray(path.read_bytes())
    at = data.index(b"strf") + 12  # width and height of the picture's BITMAPINFOHEADER
    data[at : at + 8] = (60_000).to_bytes(4, "little") * 2
    frame = bytes.fromhex("ffc0001108") + (48).to_bytes(2, "big") + (64).to_bytes(2, "big")
    assert data.count(frame) > 50
    giant = frame[:5] + (60_000).to_bytes(2, "big") * 2
    path.write_bytes(bytes(data).replace(frame, giant))
    with pytest.raises(MediaError) as caught:
        read_all(path)
    assert caught.value.hint
    # The container still says 64x48: only the decoder meets the giant.
    hidden = tmp_path / "hidden.avi"
    data[at : at + 8] = (64).to_bytes(4, "little") + (48).to_bytes(4, "little")
    hidden.write_bytes(bytes(data).replace(frame, giant))
    with pytest.raises(MediaError) as caught:
        read_all(hidden)
    assert caught.value.hint


def test_too_many_pixels_are_named(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(TooLargeError, match=r"64x48 pixels, more than .*hostile\.mp4") as caught:
        Timeline(clip)
    assert caught.value.path == str(clip)
    assert "the limit is" in caught.value.hint


def test_too_many_frames_a_second(clips: Clips, tmp_path: Path) -> None:
    path = tmp_path / "fast.nut"
    raw = clips.picture("25")
    raw[raw.index("-framerate") + 1] = "5000"
    codecs = ["-fps_mode", "passthrough", "-c:v", "ffv1", "-c:a", "pcm_s16le"]
    clips.run(*raw, "-i", str(clips.sound()), *codecs, str(path))
    with pytest.raises(TooLargeError, match="000 frames a second"):
        Timeline(path)


@pytest.mark.parametrize(("flags", "says"), [
    (("-ar", "2000000"), "2000000 samples a second"),
    (("-ac", "100"), "100 channels"),
])  # fmt: skip
def test_too_much_sound(clips: Clips, tmp_path: Path, flags: tuple[str, ...], says: str) -> None:
    path = tmp_path / "loud.mkv"
    wave = clips.sound(channels=100 if "-ac" in flags else 1, seconds=0.5)
    sound = ["-i", str(wave), "-c:a", "pcm_s16le", *flags]
    clips.run(*clips.picture("25", 0.5), *sound, "-c:v", "mjpeg", str(path))
    with pytest.raises(TooLargeError, match=says):
        Timeline(path)


def test_a_timeline_of_nothing_ends(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_FILLER_S", 900.0)
    path = tmp_path / "years.mkv"
    leaps = ["-vf", "settb=1/1000,setpts=N*599000", "-fps_mode", "passthrough"]
    clips.run(
        *(*clips.picture("25"), "-i", str(clips.sound()), *leaps),
        *("-enc_time_base", "1/1000", "-c:v", "mjpeg", "-c:a", "flac", str(path)),
    )
    with (
        pytest.raises(TooLargeError, match="without picture and sound") as caught,
        Timeline(path) as timeline,
    ):
        for chunk in timeline:
            assert len(chunk.frames) <= 250
    assert "--start" in caught.value.hint
    assert not children()


@pytest.mark.parametrize("scale", (0, 1))
@pytest.mark.parametrize("kinds", ((b"vide",), (b"soun",), (b"vide", b"soun")))
def test_a_time_scale_of_nothing_is_told_before_it_costs(
    clip: Path, tmp_path: Path, scale: int, kinds: tuple[bytes, ...]
) -> None:
    def rescaled(media: bytes) -> bytes:
        if not any(kind in media[:120] for kind in kinds):
            return media
        at = media.index(b"mdhd") + 16
        return media[:at] + scale.to_bytes(4, "big") + media[at + 4 :]

    path = tmp_path / "scale.mp4"
    path.write_bytes(change_atom(clip.read_bytes(), (b"moov", b"trak", b"mdia"), rescaled))
    assert path.read_bytes() != clip.read_bytes()
    frames = 0
    with contextlib.suppress(MediaError), Timeline(path) as timeline:
        for chunk in timeline:
            frames += len(chunk.frames)
    assert frames <= 25 * limits.MAX_FILLER_S
    assert not children()


@pytest.mark.skipif(not hasattr(os, "prlimit") and not Path("/proc").is_dir(), reason="Linux only")
def test_memory_of_ffmpeg_is_bounded(clip: Path) -> None:
    with Timeline(clip) as timeline:
        pid = timeline._picture._stream.pid
        rows = Path(f"/proc/{pid}/limits").read_text().splitlines()
    (row,) = [row for row in rows if row.startswith("Max data size")]
    assert row.split()[-2] == str(limits.MEMORY_BYTES)


# --- An ffmpeg that fails -------------------------------------------------------------------------


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a script in ffmpeg's place: it runs `body`, where $REAL is the real one."""
    real = find_ffmpeg()

    def put(body: str) -> None:
        script = tmp_path / "ffmpeg"
        answer = 'case "$*" in *-version*) exec "$REAL" "$@";; esac'
        script.write_text(f"#!/bin/sh\nREAL='{real}'\n{answer}\n{body}\n")
        script.chmod(0o755)
        monkeypatch.setenv("AVSYNC_FFMPEG", str(script))

    return put


def sleepers() -> list[int]:
    """Processes started by this test that still sleep, children of killed scripts included."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"sleep\x0098765" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def nothing_sleeps() -> bool:
    """Whether all are gone; a killed process takes a moment."""
    deadline = time.monotonic() + 10
    while sleepers() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not sleepers()


HUNG_LATER = 'case "$*" in *framecrc*) exec "$REAL" "$@";; esac\n'


@pytest.mark.parametrize("body", ("sleep 98765", HUNG_LATER + "sleep 98765", "exec sleep 98765"))
def test_a_hung_ffmpeg_is_given_up(
    clip: Path, fake, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    monkeypatch.setattr(probe_module, "PROBE_TIMEOUT_S", 60.0 if "framecrc" in body else 1.5)
    monkeypatch.setattr(process, "STALL_S", 1.5)
    fake(body)
    with pytest.raises(DecodeError, match=r"gave nothing for 1\.5 s.*hostile\.mp4"):
        read_all(clip)
    assert nothing_sleeps()
    assert not children()


def test_one_that_does_not_even_tell_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avsync_cli.media.ffmpeg.VERSION_TIMEOUT_S", 0.5)
    script = tmp_path / "ffmpeg"
    script.write_text("#!/bin/sh\nsleep 98765\n")
    script.chmod(0o755)
    monkeypatch.setenv("AVSYNC_FFMPEG", str(script))
    with pytest.raises(AvsyncError, match="not an ffmpeg that runs"):
        find_ffmpeg()
    assert nothing_sleeps()


def test_a_flood_on_stderr_is_borne(clip: Path, fake) -> None:
    fake('head -c 3000000 /dev/zero | tr "\\0" "x" | fold -w 500 >&2; echo >&2\nexec "$REAL" "$@"')
    assert len(read_all(clip).frames) >= 70


@pytest.mark.parametrize("number", (signal.SIGKILL, signal.SIGSEGV))
def test_one_that_is_killed_midway_is_no_end_of_the_film(
    clip: Path, fake, number: signal.Signals
) -> None:
    # A third of the picture comes, then the end of everything: half a film is not to be judged
    # as if it were whole.
    fake(
        'case "$*" in *rgb24*) "$REAL" "$@" | head -c 200000; '
        f'kill -{int(number)} $$;; esac\nexec "$REAL" "$@"'
    )
    with pytest.raises(DecodeError, match=r"ffmpeg was killed.*hostile\.mp4"):
        read_all(clip)
    assert not children()


def test_killed_by_somebody_else(clips: Clips) -> None:
    # 120 s of sound are 7.7 MB: more than queue and pipe hold, so that ffmpeg cannot have ended.
    path = clips.make("to-kill.mkv", seconds=120)
    with Timeline(path, chunk_frames=10) as timeline:
        next(timeline)
        time.sleep(1.0)  # as long as a busy machine may take to come to the next line
        os.kill(timeline._sound._stream.pid, signal.SIGKILL)
        with pytest.raises(DecodeError, match="ffmpeg was killed"):
            list(timeline)
    assert not children()


def test_nonsense_in_place_of_data(clip: Path, fake) -> None:
    fake("head -c 100000 /dev/urandom; head -c 100000 /dev/urandom >&2")
    with pytest.raises(MediaError) as caught:
        read_all(clip)
    assert caught.value.message.isprintable()


def test_many_at_once_do_not_mix(clip: Path) -> None:
    """Several timelines in threads of one process, as a batch may run them."""
    whole = read_all(clip)
    found: list[bool] = []

    def read() -> None:
        chunk = read_all(clip, threads=1)
        found.append(np.array_equal(chunk.sound, whole.sound))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 4
    assert not children()
