"""What parsers of commands are built from."""

import argparse
from typing import Any, TypeAlias

from heartmula_studio.definition import Setting
from heartmula_studio.finetune.flat_settings import FITTED

METAVARS = {int: "N", float: "X", str: "TEXT"}
ON_DATA = "Works on the studio's data folder (HEARTMULA_DATA_DIR), also while the server runs."
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(commands: Commands, name: str, help: str, description: str) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=help, description=description)


def add_actions(commands: Commands, name: str, help: str, description: str = ON_DATA) -> Commands:
    """Add a command of several actions, and return what these are added to."""
    parser = add_command(commands, name, help, description)
    return parser.add_subparsers(dest="action", required=True, metavar="ACTION")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", help="nano, or a folder with the official checkpoints (default: the best you have)")
    parser.add_argument("--device", help="auto, cpu, mps, cuda, cuda:1, xpu … (default: auto)")


def add_setting(parser: argparse.ArgumentParser, setting: Setting, *flags: str, **more: Any) -> None:
    """Add an option for a setting; left out, it is None."""
    value: dict[str, Any] = {"choices": setting.choices or None}
    if setting.kind is bool:
        value = {"action": argparse.BooleanOptionalAction}
    elif setting.kind is tuple:
        value |= {"nargs": "+", "metavar": "NAME"}
    else:
        value |= {"type": setting.kind, "metavar": None if setting.choices else METAVARS[setting.kind]}
    parser.add_argument(*flags, dest=setting.name, help=help_of(setting), **value, **more)


def help_of(setting: Setting) -> str:
    """What a setting does, and its default where that is one for all."""
    if setting.kind is tuple:
        return f"{setting.help} Out of {', '.join(setting.choices)}."
    is_shown = setting.kind in METAVARS and setting.default not in (None, "") and setting.name not in FITTED
    return f"{setting.help} Default: {setting.default}." if is_shown else setting.help


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
