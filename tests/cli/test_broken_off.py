"""What breaks a run off: full disks, Ctrl-C, a reader that goes away. What is there stays, what appears is whole."""

import errno
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from calling import command, make_picture
from PIL import Image


def test_a_full_disk_keeps_the_old_files(call, detector, tmp_path, monkeypatch):
    make_picture(tmp_path / "a.png")
    assert call("see", "a.png", "--model", detector).code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "seen").iterdir()}

    def fail(self: Image.Image, path: Path, *_: object, **__: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    result = call("see", "a.png", "--model", detector, "--force")
    assert result.code == 2
    assert "No space left on device" in result.one_line()
    assert {path: path.read_bytes() for path in (tmp_path / "seen").iterdir()} == before


def test_a_disk_that_is_really_full(call, detector, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        old = disk / "0.jpg"
        old.write_bytes(b"old")
        for i in range(6):
            make_picture(tmp_path / "in" / f"{i}.png", (900, 900), seed=i)
        result = call("see", "in", "--model", detector, "--out", disk, "--force", "--threshold", 1)
        assert result.code == 2
        assert "No space left on device" in result.one_line()
        names = {path.name for path in disk.iterdir()}
        assert "seen.json" not in names
        assert not any(name.startswith(".") for name in names)
        for path in disk.glob("*.jpg"):
            if path.read_bytes() != b"old":
                with Image.open(path) as image:
                    image.load()  # whatever is there is whole
    finally:
        subprocess.run(["umount", disk], check=True)


def test_ctrl_c(detector, tmp_path):
    first = make_picture(tmp_path / "in" / "0.png", (60, 60))
    for i in range(1, 1500):
        os.link(first, tmp_path / "in" / f"{i}.png")
    with subprocess.Popen(
        command("see", "in", "--model", detector, "--runtime", "torch"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while process.poll() is None and not list((tmp_path / "seen").glob("[0-9]*.jpg")):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip().splitlines()[-1] == "allsight: stopped"
    left = list((tmp_path / "seen").iterdir())
    assert left
    drawn = [path for path in left if path.name != "seen.jsonl"]
    assert all(path.suffix == ".jpg" and not path.name.startswith(".") for path in drawn)
    for path in drawn:
        with Image.open(path) as image:
            image.load()


def test_the_reader_of_stdout_goes_away(detector, tmp_path):
    first = make_picture(tmp_path / "in" / "0.png", (20, 20))
    for i in range(1, 300):
        os.link(first, tmp_path / "in" / f"{i}.png")
    with subprocess.Popen(
        command("see", "in", "--model", detector, "--json", "-", "--threshold", "0.05", "--runtime", "torch"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert "allsight.seen" in process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=60)
    assert process.returncode == 141
    assert err == ""


def test_a_broken_torchvision_breaks_nothing(process, detector, tmp_path):
    stub = tmp_path / "stub" / "torchvision"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    make_picture(tmp_path / "a.png")
    environment = {**os.environ, "PYTHONPATH": str(stub.parent)}
    result = process("see", "a.png", "--model", detector, env=environment)
    assert result.code == 0, result.err
    assert result.err == ""
    assert (tmp_path / "seen" / "a.jpg").is_file()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_pictures(process, detector, tmp_path):
    first = make_picture(tmp_path / "all" / "0.jpg", (640, 480))
    for i in range(1, 800):
        os.link(first, tmp_path / "all" / f"{i}.jpg")
    few = tmp_path / "few"
    few.mkdir()
    for i in range(80):
        os.link(first, few / f"{i}.jpg")
    code = (
        "import resource, sys; from allsight.cli.main import main; c = main();"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(c)"
    )
    peaks = []
    for folder in ("few", "all"):
        words = [*command()[:2], code, "see", folder, "--model", str(detector), "--out", f"out-{folder}"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stderr.split()[-1]) / 1024)
    assert peaks[1] < peaks[0] + 40, f"{peaks} MiB"


def test_a_full_disk_leaves_no_half_of_a_data_set(call, tmp_path, monkeypatch):
    for name in "ab":
        make_picture(tmp_path / "in" / name / "0.png")

    def fail(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

    monkeypatch.setattr("shutil.copyfile", fail)
    line = call("convert", "in", "out", "--to", "folders").one_line()
    assert "No space left on device" in line
    assert ".out." not in line, "the temporary folder is nobody's business"
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_reader_that_goes_away_before_a_table(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command("models"), cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert done.returncode == 141
    assert done.stderr == ""


def test_streams_that_are_closed_from_the_beginning(tmp_path):
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        words = ["sh", "-c", f'"$@" {closed}', "sh", *command("models")]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, closed
        assert done.stderr == ""
