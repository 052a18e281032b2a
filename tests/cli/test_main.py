import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from calling import command

from allsight.cli.main import COMMANDS


def test_help_lists_every_command(call):
    for words in ([], ["--help"], ["-h"], ["help"]):
        result = call(*words)
        assert result.code == 0
        assert all(name in result.out for name in COMMANDS)


def test_version(call):
    result = call("--version")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("allsight ")


def test_unknown_command_suggests_the_nearest(call):
    result = call("sea")
    assert result.code == 2
    assert "did you mean `allsight see`?" in result.one_line()
    assert "--help" in call("xyzzy").one_line()


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["models"], ["train"], ["train", "retinanet", "--help"]]
    + [[name, "--help"] for name in COMMANDS],
)
def test_help_does_not_wait_for_torch(words):
    code = "import sys; from allsight.cli.main import main; c = main(); assert 'torch' not in sys.modules; sys.exit(c)"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "usage" in done.stdout or "allsight" in done.stdout


def test_wrong_option_is_wrong_usage(call):
    result = call("see", "--treshold", "0.3")
    assert result.code == 2
    assert "Traceback" not in result.err


def test_ctrl_c_exits_130(call, monkeypatch):
    def stop(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("allsight.cli.main._run", stop)
    result = call("see")
    assert result.code == 130
    assert result.one_line() == "allsight: stopped"


def test_unexpected_trouble_with_files_is_one_line(call, monkeypatch):
    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device", "/a/b")

    monkeypatch.setattr("allsight.cli.main._run", fail)
    result = call("see")
    assert result.code == 2
    assert result.one_line().startswith("allsight: error: /a/b: No space left on device")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_stdout_is_one_line():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command("models"), stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "No space left" in done.stderr


def test_train_suggests_a_system(call):
    result = call("train", "retinanett", "x", "--out", "y")
    assert result.code == 2
    assert "did you mean retinanet?" in result.one_line()


def test_train_needs_data(call):
    result = call("train", "retinanet", "--out", "run")
    assert result.code == 2
    assert "Traceback" not in result.err


def test_train_of_a_missing_data_set(call, tmp_path):
    result = call("train", "retinanet", "nowhere", "--out", "run")
    assert result.code == 2
    assert "nowhere: does not exist" in result.one_line()


def test_train_makes_its_options_from_the_recipe(call):
    text = call("train", "retinanet", "--help").out
    for option in ("--out", "--resume", "--force", "--epochs", "--seed"):
        assert option in text
    assert call("train", "retinanet", "x", "--out", "y", "--epochs", "many").code == 2


@pytest.mark.parametrize("words", ["models", "claims --recorded", "bench --recorded"])
def test_a_list_does_not_replace_a_file_unless_forced(words, call, tmp_path):
    kept = tmp_path / "found.json"
    kept.write_text("mine")
    result = call(*words.split(), "--json", kept)
    assert result.code == 2
    assert "exists already" in result.one_line()
    assert kept.read_text() == "mine"
    assert call(*words.split(), "--json", kept, "--force").code == 0
    assert kept.read_text() != "mine"


def test_help_groups_every_command_once(call):
    from allsight.cli.main import GROUPS

    assert sorted(name for names in GROUPS.values() for name in names) == sorted(COMMANDS)
    text = call("--help").out
    assert all(f"{task}:" in text for task in GROUPS)
    assert "allsight help WORD" in text and "docs/glossary.md" in text


def test_help_explains_words_and_commands(call):
    assert call("help", "ap50").out.startswith("AP50: ")
    assert call("help", "mask", "AP").out.startswith("mask AP: ")
    assert "--crops" in call("help", "see").out
    assert "did you mean 'trunk'?" in call("help", "trunc").one_line()
    assert "trunk" in call("help", "words").out


def test_the_glossary_page_says_what_help_says():
    from allsight.cli.glossary import WORDS

    page = (Path(__file__).resolve().parents[2] / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (.+?) \| (.+) \|$", page, re.M))
    assert {word: rows[word] for word in WORDS} == WORDS
    assert list(WORDS) == sorted(WORDS, key=str.casefold)


SHELLS = {
    "bash": 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _allsight; printf "%s\\n" "${COMPREPLY[@]}"',
    "fish": 'source $argv[1]; complete -C (string join -- " " $argv[2..])',
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["sp"], {"split"}),
        (["train", "mask"], {"mask_rcnn"}),
        (["see", "photo.jpg", "--cr"], {"--crops"}),
        (["see", "--runtime", "o"], {"onnxruntime", "openvino"}),
        (["train", "retinanet", "data", "--shot"], {"--shots"}),
        (["see", "ph"], {"photo.jpg"}),
    ],
)
def test_shells_complete(shell, words, found, call, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    script = tmp_path / "script"
    script.write_text(call("completion", shell).out, encoding="utf-8")
    (tmp_path / "photo.jpg").touch()
    done = subprocess.run(
        [shell, *(["--no-config"] if shell == "fish" else []), "-c", SHELLS[shell], script, "allsight", *words],
        cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        start_new_session=True,  # a shell that finds a terminal would make itself its owner
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if shell == "bash" and found == {"photo.jpg"}:  # left to the shell, by `complete -o default`
        assert done.stdout.strip() == "" and "complete -o default" in script.read_text(encoding="utf-8")
        return
    assert {line.split("\t")[0] for line in done.stdout.splitlines()} == found


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_zsh_takes_its_script(call, tmp_path):
    script = tmp_path / "script"
    script.write_text(call("completion", "zsh").out, encoding="utf-8")
    code = f"source {script}; print -r -- ${{_comps[allsight]}}"
    done = subprocess.run(
        ["zsh", "-f", "-c", code],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "_allsight" in done.stdout
