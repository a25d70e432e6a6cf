"""Running ffmpeg: found, bounded, killed, never hung."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avsync_cli.errors import DecodeError, FfmpegMissingError
from avsync_cli.media.ffmpeg import clean_line, ffmpeg_version, find_ffmpeg
from avsync_cli.media.process import FfmpegStream
from tests.conftest import REPO


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_find_in_order(monkeypatch, tmp_path):
    real = find_ffmpeg()
    monkeypatch.setenv("AVSYNC_FFMPEG", str(real))
    assert find_ffmpeg() == real
    for bad in (tmp_path / "none", tmp_path):
        monkeypatch.setenv("AVSYNC_FFMPEG", str(bad))
        with pytest.raises(FfmpegMissingError) as caught:
            find_ffmpeg()
        assert "AVSYNC_FFMPEG" in caught.value.message + caught.value.hint


def test_falls_back_to_the_wheel(monkeypatch, tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    monkeypatch.delenv("AVSYNC_FFMPEG", raising=False)
    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert str(find_ffmpeg()) == imageio_ffmpeg.get_ffmpeg_exe()


def test_none_at_all(monkeypatch, tmp_path):
    monkeypatch.delenv("AVSYNC_FFMPEG", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(FfmpegMissingError) as caught:
        find_ffmpeg()
    assert caught.value.hint


def test_broken_ffmpeg_on_path_is_skipped(monkeypatch, tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    monkeypatch.delenv("AVSYNC_FFMPEG", raising=False)
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ffmpeg() != fake


def test_version_is_named():
    assert any(c.isdigit() for c in ffmpeg_version())


def test_blocks_come_whole_and_in_order():
    code = "import sys\nfor n in range(50): sys.stdout.buffer.write(bytes([n]) * 1000)"
    with FfmpegStream(python(code), path="x", block_bytes=1500) as stream:
        got = []
        while (block := stream.read_block()) is not None:
            got.append(block)
        assert stream.finish() == 0
    assert {len(block) for block in got[:-1]} == {1500}
    assert b"".join(got) == b"".join(bytes([n]) * 1000 for n in range(50))


def test_a_flood_on_stderr_does_not_block():
    code = "import sys\nsys.stderr.write('noise\\n' * 500_000 + 'the end\\n')\nprint('data')"
    with FfmpegStream(python(code), path="x", block_bytes=64) as stream:
        assert stream.read_block() == b"data\n"
        assert stream.read_block() is None
        stream.finish()
        assert stream.last_error() == "the end"
        assert len(stream._tail) <= 40


def test_an_endless_line_does_not_grow():
    code = "import sys\nfor _ in range(2000): sys.stderr.write('x' * 10_000)\nprint('data')"
    with FfmpegStream(python(code), path="x", block_bytes=64) as stream:
        assert stream.read_block() == b"data\n"
        assert stream.read_block() is None
        stream.finish()
        assert sum(map(len, stream._tail)) <= 20_000


def test_reading_ahead_is_bounded():
    code = "import os\nwhile True: os.write(1, bytes(65536))"
    with FfmpegStream(python(code), path="x", block_bytes=65_536, max_blocks=4) as stream:
        stream.read_block()
        time.sleep(0.5)
        # The queue, and one block in the hands of the thread.
        assert stream.bytes_seen <= 7 * 65_536


def test_hung_process_is_given_up_and_killed():
    stream = FfmpegStream(
        python("import time; print('x', flush=True); time.sleep(60)"),
        path="film.mp4",
        block_bytes=100,
        stall_s=0.7,
    )
    began = time.monotonic()
    with pytest.raises(DecodeError, match=r"gave nothing for 0\.7 s: film\.mp4"):
        stream.read_block()
    assert time.monotonic() - began < 5
    assert not is_alive(stream.pid)


def test_slow_is_not_hung():
    code = "import os, time\nfor _ in range(8): os.write(1, b'x' * 10); time.sleep(0.25)"
    with FfmpegStream(python(code), path="x", block_bytes=80, stall_s=1.2) as stream:
        assert stream.read_block() == b"x" * 80


@pytest.mark.parametrize("how", ("close", "exception", "collected"))
def test_no_child_is_left(how):
    code = "import os\nwhile True: os.write(1, bytes(65536))"
    stream = FfmpegStream(python(code), path="x", block_bytes=65_536)
    pid = stream.pid
    stream.read_block()
    assert is_alive(pid)
    if how == "close":
        stream.close()
        stream.close()
        assert stream.read_block() is None
    elif how == "exception":
        with pytest.raises(KeyboardInterrupt), stream:
            raise KeyboardInterrupt
    else:
        del stream
        gc.collect()
        deadline = time.monotonic() + 5
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert not is_alive(pid)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("end", ("raise KeyboardInterrupt", "os.kill(os.getpid(), 9)"))
def test_children_die_with_us(end):
    endless = "import os\nwhile True: os.write(1, bytes(65536))"
    code = (
        "import os, sys\n"
        "from avsync_cli.media.process import FfmpegStream\n"
        f"s = FfmpegStream([sys.executable, '-c', {endless!r}], path='x', block_bytes=65536)\n"
        "s.read_block()\n"
        "print(s.pid, flush=True)\n"
        f"{end}\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        python(code), capture_output=True, text=True, cwd=root, timeout=60, check=False
    )
    pid = int(done.stdout)
    deadline = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(pid)


def test_log_lines_lose_addresses_and_paths():
    path = "/some/where/secret [1].mp4"
    line = f"\x1b[0;35m[mov,mp4 @ 0x55aa00] \x1b[0m[error] file:{path}: moov atom not found"
    assert clean_line(line, path) == "mov,mp4: the file: moov atom not found"


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(
    ("number", "raised"), [("SIGINT", "KeyboardInterrupt"), ("SIGTERM", "Terminated")]
)
def test_a_signal_while_a_child_is_started_leaves_no_child(number: str, raised: str) -> None:
    # The worst moment: the child is there, and nobody has been told of it yet.
    script = (
        "import os, signal, subprocess, time\n"
        "from avsync_cli.interrupt import Terminated, guarded\n"
        "from avsync_cli.media.child import ask\n"
        "children, start = [], subprocess.Popen\n"
        "def popen(*args, **rest):\n"
        "    children.append(start(*args, **rest))\n"
        f"    os.kill(os.getpid(), signal.{number})\n"
        "    time.sleep(0.05)\n"
        "    return children[-1]\n"
        "subprocess.Popen = popen\n"
        "try:\n"
        "    with guarded():\n"
        "        ask(['sleep', '600'], 600)\n"
        "except (KeyboardInterrupt, Terminated) as ended:\n"
        "    print(type(ended).__name__, len(children), children[0].wait(timeout=60))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.split() == [raised, "1", "-9"], done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_signal_that_comes_out_as_an_error_is_still_a_signal() -> None:
    # As extension modules do when they are interrupted while they are loaded.
    script = (
        "import os, signal, sys\n"
        "from avsync_cli import __main__ as program\n"
        "def run(args):\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        while True: pass\n"
        "    except KeyboardInterrupt:\n"
        "        raise ImportError('initialization failed') from None\n"
        "program._run = run\n"
        "sys.exit(program.main(['score']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
