"""Names that others gave are shown, not obeyed; and a stop is quiet, whenever it comes."""

import os
import signal
import subprocess
import sys
import time
from xml.etree import ElementTree

import pytest
from calling import command, make_picture
from tiny_model import tiny_detector

from allsight import hub
from allsight.cli.terminal import note, show, table
from allsight.draw.charts import confusion_chart
from allsight.text import visible

EVIL = "\x1b]0;owned\x07\x9b31m\u202e"


def test_what_is_shown_has_nothing_but_letters(capsys):
    note(f"a {EVIL}")
    rows = table(("class", ">value"))
    rows.add_row(EVIL, "1")
    show(f"{EVIL}\nsecond line", rows)
    said = "".join(capsys.readouterr())
    assert all(each.isprintable() or each == "\n" for each in said)
    assert said.count("owned") == 3
    assert "\\x1b]0;owned\\x07\\x9b31m\\u202e" in said
    assert "second line" in said.splitlines()


@pytest.mark.parametrize("text", ["cat", "Äpfel & Birnen", "👩‍🔬", "日本", "<b>"])
def test_ordinary_text_stays_as_it_is(text):
    assert visible(text) == text


def test_an_error_and_a_file_of_that_name(call, detector, tmp_path):
    name = f"a{EVIL}\n.png"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_text("no picture")
    make_picture(tmp_path / "in" / "b.png")
    result = call("see", "in", "--model", detector)
    assert result.code == 1
    assert all(each.isprintable() or each == "\n" for each in result.err + result.out)
    assert "\\x1b" in result.err


def test_a_name_that_just_fits_the_disk_stops_nothing(call, detector, tmp_path):
    make_picture(tmp_path / "in" / "b.png")
    for name in ("x" * 251 + ".png", "y" * 251 + ".png", "y" * 251 + ".bmp"):
        make_picture(tmp_path / name)
        os.rename(tmp_path / name, tmp_path / "in" / name)
    result = call("see", "in", "--model", detector)
    assert result.code == 1  # the two of one name would be y.png.jpg and y.bmp.jpg
    assert result.err.count("its name is too long for that of an annotated copy") == 2
    assert {len(path.name) for path in (tmp_path / "seen").glob("*.jpg")} == {5, 255}


def test_classes_of_any_name_are_drawn_and_charted(call, tmp_path):
    model = tiny_detector()
    arguments = dict(model.spec.arguments)
    names = (EVIL, "a\nb", "</text><script>")
    arguments["classes"] = hub.Spec("vocabulary", {"names": list(names)})
    spec = hub.Spec(model.spec.builder, arguments)
    hub.Model(spec.build().eval(), spec, model.inputs, hub.Display({"": 0.0}), card={}).save(tmp_path / "evil")
    make_picture(tmp_path / "a.png")
    assert call("see", "a.png", "--model", "evil").code == 0
    ElementTree.fromstring(confusion_chart([[1, 0], [0, 1]], [EVIL, "a\nb"], title=EVIL))


def test_the_package_s_own_model_is_not_calibrated_in_its_place(call, tmp_path):
    result = call("calibrate", "cells", tmp_path)
    assert result.code == 2
    assert "cells: is not yours to change; give --out FOLDER" in result.one_line()


def test_two_at_once(call, detector, tmp_path):
    make_picture(tmp_path / "a.png")
    holder = "import time\nfrom allsight.files import locked\nwith locked('seen'):\n print(flush=True)\n time.sleep(99)"
    with subprocess.Popen([sys.executable, "-c", holder], cwd=tmp_path, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline()
        result = call("see", "a.png", "--model", detector, "--out", "seen")
        assert result.code == 2
        assert f"seen: process {other.pid} on" in result.one_line()
        other.kill()
    assert call("see", "a.png", "--model", detector, "--out", "seen").code == 0


@pytest.mark.parametrize("wait", [0.3, 0.8, 1.6, 2.4])
def test_a_stop_during_imports_is_quiet(detector, tmp_path, wait):
    make_picture(tmp_path / "a.png")
    words = command("see", "a.png", "--model", detector, "--runtime", "torch")
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(wait)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert "Traceback" not in err or "allsight.cli" not in err  # before our first line Python itself is at work
    assert process.returncode in (0, 130, -signal.SIGINT)
    if process.returncode == 130:
        assert err.strip().splitlines()[-1] == "allsight: stopped"
