"""absl's parse errors and stray words, told as one sentence that a user can act on."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from absl import flags

from tf_simclr.config import ConfigError, Mode

SEE_HELP = "`python run.py --help` lists all flags."

_KIND = {
    "int": "a whole number, for example --{name}=4",
    "float": "a number, for example --{name}=0.5",
    "bool": "a switch: write --{name} or --no{name}",
}
_ILLEGAL = re.compile(r"flag --(?P<name>\w+)=(?P<value>.*?): ", re.DOTALL)
_MISSING = re.compile(r"(Missing value for flag )?-{1,2}(?P<name>\w+)($| with no argument)")
_SWITCH_WITH_VALUE = re.compile(r"-{1,2}no(?P<name>\w+)=.* does not take an argument", re.DOTALL)
_NO_FLAGFILE = re.compile(r"Unable to open flagfile: .*?(?P<reason>\w[^\]]*): '(?P<path>.*)'", re.DOTALL)


def as_config_error(error: Exception, flag_values: flags.FlagValues) -> ConfigError:
    """Returns what to show for an error that absl raised while it parsed ``flag_values``."""
    if isinstance(error, flags.UnrecognizedFlagError):
        return ConfigError(_unknown(error.flagname, flag_values))
    text = str(error)
    if match := _ILLEGAL.match(text):
        return ConfigError(_illegal(match["name"], match["value"], flag_values))
    if match := _MISSING.match(text):
        return ConfigError(f"--{match['name']} has no value. Write --{match['name']}=VALUE.")
    if match := _SWITCH_WITH_VALUE.match(text):
        return ConfigError(
            f"--no{match['name']} takes no value. Write --{match['name']} or --no{match['name']}."
        )
    if match := _NO_FLAGFILE.search(text):
        return ConfigError(
            f"--flagfile={match['path']} cannot be read ({match['reason']}). Give a file with one flag a "
            "line; published recipes are in flags/presets."
        )
    return ConfigError(f"The command line cannot be read: {text}. {SEE_HELP}")


def _closest(word: str, choices: Iterable[str]) -> str | None:
    found = difflib.get_close_matches(word, list(choices), n=1)
    return found[0] if found else None


def _unknown(name: str, flag_values: flags.FlagValues) -> str:
    names = list(flag_values) + [f"no{known}" for known in flag_values if flag_values[known].boolean]
    closest = _closest(name, names)
    hint = f"Did you mean --{closest}?" if closest else SEE_HELP
    return f"There is no flag --{name}. {hint}"


def _illegal(name: str, value: str, flag_values: flags.FlagValues) -> str:
    choices: Sequence[str] = getattr(flag_values[name].parser, "enum_values", ())
    if choices:
        closest = _closest(value, choices)
        hint = f" Did you mean --{name}={closest}?" if closest else ""
        return f"--{name}={value} is not a valid choice. Use one of: {', '.join(choices)}.{hint}"
    kind = _KIND.get(flag_values[name].flag_type(), "another kind of value").format(name=name)
    return f"--{name}={value} cannot be read: --{name} is {kind}."


def stray_word_error(word: str) -> ConfigError:
    """Returns what to show for an argument that is no flag, such as ``pretrain`` or ``False``."""
    if word.lower() in ("true", "false", "yes", "no"):
        hint = "Switches take no separate value: write --use_blur or --nouse_blur."
    elif mode := _closest(word, [mode.value for mode in Mode]):
        hint = f"Did you mean --mode={mode}?"
    else:
        hint = "Flags are written --name=value, without spaces around the equals sign."
    return ConfigError(f"The argument {word!r} is not a flag. {hint}")
