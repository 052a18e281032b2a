"""`allsight completion`: what a shell needs to complete commands, systems, options and choices by the tab key."""

import ast
import io
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from importlib import import_module
from typing import Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

_TRAIN = "train"

_BASH = """# bash completion of allsight; in zsh after: autoload -U +X bashcompinit && bashcompinit
_allsight() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}} words=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="{commands}"
  elif [ "$COMP_CWORD" -eq 2 ] && [ "$command" = {train} ]; then
    words="{systems}"
  else
    [ "$command" = {train} ] && command="{train} ${{COMP_WORDS[2]}}"
    case "$command $before" in
{choices}
    esac
    if [ -z "$words" ]; then
      case "$word" in -*) ;; *) return ;; esac  # a file: the shell's own business
      case "$command" in
{options}
      esac
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _allsight allsight
"""


def completion(shell: Annotated[Positional[Literal["bash", "zsh", "fish"]], arg(metavar="SHELL")]) -> int:
    """Print a script that completes commands, systems, options, choices and files in bash, zsh or fish.

    bash: allsight completion bash > ~/.local/share/bash-completion/completions/allsight.
    zsh: allsight completion zsh >> ~/.zshrc.
    fish: allsight completion fish > ~/.config/fish/completions/allsight.fish.

    Args:
        shell: bash, zsh or fish.

    Returns:
        The exit code.
    """
    table = _options()
    print(_fish(table) if shell == "fish" else _bash(table, zsh=shell == "zsh"), end="")
    return 0


def _bash(table: dict[str, list[dict[str, Any]]], *, zsh: bool) -> str:
    """Return the script for bash, which zsh understands by its bashcompinit."""
    choices, options = [], []
    for command, entries in table.items():
        options.append(f'        "{command}") words="{" ".join(flag for e in entries for flag in e["flags"])}" ;;')
        for entry in entries:
            if entry.get("choices"):
                cases = "|".join(f'"{command} {flag}"' for flag in entry["flags"])
                choices.append(f'      {cases}) words="{" ".join(entry["choices"])}" ;;')
    text = _BASH.format(
        commands=" ".join(_commands(table)),
        train=_TRAIN,
        systems=" ".join(_systems(table)),
        choices="\n".join(choices),
        options="\n".join(options),
    )
    return f"autoload -U +X compinit bashcompinit && compinit -u && bashcompinit\n{text}" if zsh else text


def _fish(table: dict[str, list[dict[str, Any]]]) -> str:
    """Return the script for fish."""
    from allsight.cli.main import COMMANDS

    lines = ["# fish completion of allsight"]
    for name in _commands(table):
        text = f" -d {_quoted(COMMANDS[name][1])}" if name in COMMANDS else ""
        lines.append(f"complete -c allsight -f -n __fish_use_subcommand -a {name}{text}")
    systems = " ".join(_systems(table))
    first = f"__fish_seen_subcommand_from {_TRAIN}; and not __fish_seen_subcommand_from {systems}"
    lines.append(f"complete -c allsight -f -n '{first}' -a '{systems}'")
    for command, entries in table.items():
        there = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in command.split())
        for entry in entries:
            flags = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in entry["flags"])
            more = f" -x -a '{' '.join(entry['choices'])}'" if entry.get("choices") else ""
            more = more or ("" if entry["type"] == "flag" else " -r")
            text = _quoted(entry["description"].partition(" • ")[2] or entry["description"])
            lines.append(f"complete -c allsight -n '{there}' {flags}{more} -d {text}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return the first sentence of a text as one word of fish."""
    sentence = " ".join(text.split()).split(". ")[0]
    return "'" + sentence.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _commands(table: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(command.split()[0] for command in table))


def _systems(table: dict[str, Any]) -> list[str]:
    return [command.split()[1] for command in table if command.startswith(f"{_TRAIN} ")]


def _options() -> dict[str, list[dict[str, Any]]]:
    """Return the options of every command: flags, type, description and choices, as tyro knows them."""
    import tyro

    table = {}
    for command, function in _functions():
        printed = io.StringIO()
        with redirect_stdout(printed), suppress(SystemExit):
            tyro.cli(function, prog="x", args=["--tyro-print-completion", "bash"], config=(FlagCreatePairsOff,))
        (line,) = (line for line in printed.getvalue().splitlines() if line.startswith("COMPLETION_SPEC = "))
        table[command] = ast.literal_eval(line.partition(" = ")[2])["options"]
    return table


def _functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Give every command with its function; `train` once for each system."""
    from allsight.cli.main import COMMANDS
    from allsight.cli.train import of_system
    from allsight.recipes import RECIPES

    for name, (address, _) in COMMANDS.items():
        if name == _TRAIN:
            yield from ((f"{_TRAIN} {system}", of_system([system])[0]) for system in RECIPES)
        else:
            module, _, attribute = address.partition(":")
            yield name, getattr(import_module(module), attribute)
