"""The console script `allsight`: finds the command, calls it, and turns what goes wrong into one line and an exit code.

Exit codes: 0 all is well; 1 some of the pictures failed, or `check` found something that training would refuse; 2 bad
input or wrong usage, nothing was done; 130 stopped by Ctrl-C; 141 the reader of our output went away (as SIGPIPE).
"""

import difflib
import io
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import allsight
from allsight.errors import AllsightError, ModelError
from allsight.lookup import named

# Text, and modules that import torch only inside their functions: help must not wait a second for torch.
COMMANDS = {
    "see": ("allsight.cli.see:see", "look at pictures: what is there, where, how surely"),
    "train": ("allsight.cli.train:of_system", "train a system on annotated pictures"),
    "eval": ("allsight.cli.evaluate:evaluate", "score a model on annotated pictures and write a report"),
    "calibrate": ("allsight.cli.calibrate:calibrate", "teach a model to say when it does not know"),
    "check": ("allsight.cli.check:check", "examine annotated pictures for whatever would spoil training"),
    "export": ("allsight.cli.export:export", "write a model as a graph for other runtimes: ONNX, OpenVINO"),
    "convert": ("allsight.cli.convert:convert", "write a data set in another form"),
    "split": ("allsight.cli.split:split", "divide a data set into train, val, ..."),
    "claims": ("allsight.cli.claims:claims", "re-run the lectures' comparisons and say which of them hold here"),
    "bench": ("allsight.cli.bench:bench", "measure speed and scale against peers, in one table"),
    "models": ("allsight.cli.models:models", "list the models that are shipped and the systems that can be trained"),
    "completion": ("allsight.cli.completion:completion", "print what bash, zsh or fish needs to complete all this"),
}
# By what a person wants to do; each command stands in one of them.
GROUPS = {
    "look at pictures": ("see", "models"),
    "make your own model": ("check", "train", "calibrate", "eval"),
    "carry data and models elsewhere": ("convert", "split", "export"),
    "see what is behind it": ("claims", "bench"),
    "the command itself": ("completion",),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        argv: the words behind `allsight`; those of the process by default.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    # A stream that was closed before we began is none: what goes there is wanted by nobody.
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may hold what the terminal cannot show
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")  # libraries' notes to programmers
            code = _run(words)
        sys.stdout.flush()  # here, where a reader that has gone and a full disk are still understood
    except AllsightError as error:
        return _failed(str(error))
    except SystemExit as stop:  # tyro's, after help or wrong usage
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        print("allsight: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _let_go_of_stdout()
        return 141
    except OSError as error:
        _let_go_of_stdout()
        where = f"{error.filename}: " if error.filename else ""
        return _failed(f"{where}{error.strerror or error}; check path, permissions and disk")
    return code


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help") or words == ["help"]:
        print(_help())
        return 0
    if words[0] == "help":
        if words[1] in COMMANDS:
            return _call(words[1], [*words[2:], "--help"])
        from allsight.cli.glossary import explain

        print(explain([] if words[1:] == ["words"] else words[1:]))
        return 0
    if words[0] in ("-V", "--version"):
        print(f"allsight {allsight.__version__}")
        return 0
    name, *rest = words
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean `allsight {near[0]}`?" if near else "`allsight --help` lists them"
        raise ModelError(f"no command is called {name!r}; {hint}")
    return _call(name, rest)


def _call(name: str, words: list[str]) -> int:
    """Make the command line from the function's signature and call it."""
    import tyro

    places = {command: place for command, (place, _) in COMMANDS.items()}
    function: Callable[..., Any] = named(places, name, "command")
    if name != "train":
        return int(tyro.cli(function, prog=f"allsight {name}", args=words, config=(tyro.conf.FlagCreatePairsOff,)))
    function, name, words = function(words)  # the first word names a system, whose settings are the options
    from allsight.cli.ranged import ranged_settings

    with ranged_settings():
        return int(tyro.cli(function, prog=f"allsight {name}", args=words, config=(tyro.conf.FlagCreatePairsOff,)))


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = []
    for task, names in GROUPS.items():
        lines += ["", f"{task}:", *(f"  {name:<{width}}  {COMMANDS[name][1]}" for name in names)]
    return "\n".join(
        [
            "usage: allsight COMMAND [...]",
            "",
            "Vision beyond classification, from pixels to actions.",
            *lines,
            "",
            "`allsight COMMAND --help` explains a command, `allsight help WORD` a word such as trunk, shots or AP50",
            "(docs/glossary.md has them all). For a start: allsight see --sample",
            "options: --help, --version",
        ]
    )


def _failed(message: str) -> int:
    print(f"allsight: error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _let_go_of_stdout() -> None:
    """Write what is left, or let Python's own last flush go nowhere instead of complaining."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
