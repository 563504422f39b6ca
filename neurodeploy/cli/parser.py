"""What can be typed. Names and options here are fixed: scripts rely on them."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from typing import NoReturn

_COMMANDS = "neurodeploy.cli.commands"
_TABLES = "neurodeploy.cli.tables"
MOST_STEPS = 2**31 - 1
"""Most steps of a sample: what counters of 32 bits hold."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print one line instead of the whole usage text."""
        self.exit(2, f"neurodeploy: {message}; see {self.prog} --help\n")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _Parser(
        prog="neurodeploy",
        description="Convert a trained network to spikes, compile it for a neuromorphic chip, run it on the "
        "chip's emulator, bundle it for the board.",
        epilog="Exit codes: 0 done, 1 findings, 2 could not run.",
    )
    parser.add_argument("--version", action=_Version, help="print the version")
    parser.set_defaults(debug=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _demo(commands)
    _convert(commands)
    _nir_verify(commands)
    _nir_write(commands)
    _check(commands)
    _run(commands)
    _tune(commands)
    _learn(commands)
    _deploy(commands)
    _report(commands)
    _lookups(commands)
    return parser


def _command(commands: argparse._SubParsersAction[_Parser], name: str, run: str, text: str) -> _Parser:
    parser: _Parser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False
    )
    parser.set_defaults(run=run)
    parser.add_argument("--debug", action="store_true", help="print the traceback of an error")
    return parser


def _demo(commands: argparse._SubParsersAction[_Parser]) -> None:
    p = _command(
        commands, "demo", "neurodeploy.cli.demo:demo", "convert, check and run the embedded digits model"
    )
    p.add_argument(
        "-o", "--output-dir", metavar="DIR", default="neurodeploy-demo", help="picture and figures go here"
    )
    p.add_argument("--limit", type=whole(1), metavar="N", help="run only the first N of 360 digits")


def _convert(commands: argparse._SubParsersAction[_Parser]) -> None:
    p = _command(commands, "convert", f"{_COMMANDS}:convert", "turn a trained model into a spiking network")
    p.add_argument("model", metavar="MODEL", help="trained model, or a .nir of another tool")
    p.add_argument("-o", dest="out", metavar="OUT.nd", required=True, help="the spiking network goes here")
    _conversion(p)
    p.add_argument("--balancing", choices=("percentile", "local"),
                   help="thresholds by --percentile, or the best around it for so many steps")  # fmt: skip
    p.add_argument("--percentile", type=real(above=0.0, most=100.0), metavar="P",
                   help="activation that shall just reach the peak rate")  # fmt: skip
    p.add_argument("--rate", type=real(above=0.0, most=1.0), metavar="R",
                   help="peak rate, in spikes per step")  # fmt: skip
    p.add_argument("--seed", type=whole(0), default=0, metavar="S", help="draws the calibration samples")
    p.add_argument("--max-drop", type=real(above=0.0), metavar="POINTS",
                   help="search the cheapest conversion that loses no more; takes labels")  # fmt: skip
    p.add_argument("--max-steps", type=whole(4), metavar="T", help="longest run of that search (64)")
    p.add_argument("--equalize", action="store_true", default=None,
                   help="even out the weights of the channels between two layers first")  # fmt: skip
    p.add_argument("--rounding", choices=("nearest", "adaptive"), default="nearest",
                   help="how weights become codes: to the nearest, or chosen on --calibration, which few "
                   "bits need (default %(default)s)")  # fmt: skip
    p.add_argument("--weight-bits", type=whole(1, 8), metavar="N", help="most bits of a weight, 1 to 8")
    p.add_argument("--target", metavar="NAME",
                   help="chip that a search or adaptive rounding is for (loihi1)")  # fmt: skip
    _reading(p)


def _reading(p: argparse.ArgumentParser) -> None:
    """Options that say what a NIR file leaves open."""
    own = p.add_argument_group("NIR files of other tools", "what such a file does not say")
    own.add_argument("--written-by", choices=("norse", "rockpool", "sinabs", "snntorch"),
                     help="the tool that wrote it, at its defaults")  # fmt: skip
    own.add_argument("--dt", type=real(above=0.0), metavar="S", help="length of a step, in seconds")
    own.add_argument("--reset", choices=("zero", "subtract", "subtract-late", "zero-late"),
                     help="what follows a spike, at once or a step later")  # fmt: skip
    own.add_argument("--decay", choices=("exact", "euler", "rockpool", "sinabs"),
                     help="how the equations are stepped")  # fmt: skip
    own.add_argument("--time-unit", type=real(above=0.0), metavar="S",
                     help="seconds per unit of time in the file")  # fmt: skip


def _nir_verify(commands: argparse._SubParsersAction[_Parser]) -> None:
    p = _command(commands, "nir-verify", "neurodeploy.cli.nir:verify",
                 "compare two networks by what they do under the same input")  # fmt: skip
    p.add_argument("first", metavar="A", help="network: .nir, .nd, or a trained model")
    p.add_argument("second", metavar="B")
    p.add_argument("--input", choices=("poisson", "random"), default="poisson",
                   help="spikes drawn anew, or values from 0 to 1 (default %(default)s)")  # fmt: skip
    p.add_argument("--rate", type=real(above=0.0, most=1.0), default=0.2, metavar="R",
                   help="of Poisson input, in spikes per step (default %(default)s)")  # fmt: skip
    p.add_argument("--steps", type=whole(1, MOST_STEPS), default=64, metavar="T", help="default %(default)s")
    p.add_argument("--samples", type=whole(1), default=8, metavar="N", help="default %(default)s")
    p.add_argument("--seed", type=whole(0), default=0, metavar="S", help="draws the input")
    p.add_argument("--tolerance", type=share, default=0.0, metavar="F",
                   help="share of a layer's spikes that may differ (default %(default)s)")  # fmt: skip
    p.add_argument("--format", choices=("text", "json"), default="text", help="default %(default)s")
    _reading(p)


def _nir_write(commands: argparse._SubParsersAction[_Parser]) -> None:
    p = _command(commands, "nir-write", "neurodeploy.cli.nir:write",
                 "write a spiking network as NIR that another tool steps as we do")  # fmt: skip
    p.add_argument("file", metavar="FILE.nd", help="spiking network")
    p.add_argument("--written-for", choices=("norse", "rockpool", "sinabs", "snntorch"), required=True,
                   help="the tool that shall read it")  # fmt: skip
    p.add_argument("-o", dest="out", metavar="OUT.nir", required=True, help="the file goes here")


def _conversion(p: argparse.ArgumentParser) -> None:
    """Options of a conversion, wherever one can happen."""
    p.add_argument("--calibration", metavar="D.npz", help="samples that set the thresholds: x or x_train")
    p.add_argument("--divide-by", type=real(above=0.0), metavar="V", help="divide samples by this, as 255")
    p.add_argument("--neuron", metavar="KIND", help="kind of spiking neuron (neurodeploy layers lists them)")
    p.add_argument("--steps", type=whole(1, MOST_STEPS), metavar="T", help="time steps per sample")
    p.add_argument(
        "--output", choices=("membrane", "spikes"), help="what decides: the last membranes or spikes"
    )


def _check(commands: argparse._SubParsersAction[_Parser]) -> None:
    p = _command(
        commands, "check", "neurodeploy.cli.checking:check", "compile for a target and print every finding"
    )
    p.add_argument("file", metavar="FILE", help="spiking network .nd, or a trained model")
    _targets(p)
    _conversion(p)
    p.add_argument("--seed", type=whole(0), default=0, metavar="S", help="draws the calibration samples")
    p.add_argument("--format", choices=("text", "json", "sarif"), default="text",
                   help="form of the findings (default %(default)s)")  # fmt: skip
    p.add_argument("--error", action="append", default=[], metavar="CODE",
                   help="make this finding an error (repeat for more)")  # fmt: skip
    p.add_argument("--allow", action="append", default=[], metavar="CODE",
                   help="make this warning a note; an error stays one (repeat for more)")  # fmt: skip
    p.add_argument(
        "--waivers", metavar="FILE.toml", help="warnings that are accepted until a date, each with its reason"
    )
    p.add_argument("--data", metavar="D.npz",
                   help="with --min-weight-bits: run these before and after, for accuracy")  # fmt: skip
    _layout(p)
    p.add_argument("--print-after", metavar="PASS", help="print the program after this pass")
    p.add_argument("--time-passes", action="store_true", help="print how long every pass took")


def _targets(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--target", default="loihi1", metavar="NAME", help="chip to compile for (default %(default)s)"
    )
    p.add_argument("--input-coding", choices=("rate", "poisson", "bias"), default="rate",
                   help="how samples enter (default %(default)s)")  # fmt: skip


def _layout(p: argparse.ArgumentParser) -> None:
    """Options of the compiler, wherever it is at work: what is checked can be run and deployed as it is."""
    own = p.add_argument_group("layout on the chip", "for backends that take compiled networks")
    own.add_argument("--weight-bits", type=whole(1, 8), metavar="N", help="most bits of a weight, 1 to 8")
    own.add_argument("--layer-bits", type=bits_of_layer, action="append", default=[], metavar="LAYER=N",
                     help="the same for one layer (repeat for more)")  # fmt: skip
    own.add_argument("--min-weight-bits", type=whole(1, 8), metavar="N",
                     help="where it does not fit, take bits from large layers, down to N")  # fmt: skip
    own.add_argument(
        "--match", choices=("nengo-loihi",), default="", help="reproduce its rounding, errors included"
    )
    own.add_argument("--clip-delays", action="store_true",
                     help="cut delays short that the target cannot hold")  # fmt: skip
    own.add_argument("--pop-axons", choices=("pop32", "pop16"), default="pop32",
                     help="kind of axon for shared weights; pop16 takes half the output entries, and tells "
                     "fewer channels apart (default %(default)s)")  # fmt: skip
    own.add_argument("--share-cores", action=argparse.BooleanOptionalAction, default=True,
                     help="put several blocks on a core where they fit together")  # fmt: skip


def _run(commands: argparse._SubParsersAction[_Parser]) -> None:
    p = _command(commands, "run", f"{_COMMANDS}:run", "run samples on the emulator or another backend")
    p.add_argument("file", metavar="FILE", help="spiking network .nd, or a trained model")
    p.add_argument("--data", metavar="DATA", required=True,
                   help="x and y, or x_test and y_test: .npz, HDF5 or a Zarr group, of any size")  # fmt: skip
    p.add_argument("--backend", default="loihi-emulator", metavar="NAME", help="default %(default)s")
    _targets(p)
    _conversion(p)
    p.add_argument("--limit", type=whole(1), metavar="N", help="only the first N samples")
    p.add_argument("--seed", type=whole(0), default=0, metavar="S", help="of Poisson input and calibration")
    p.add_argument("--nef", action="append", default=[], metavar="LAYER",
                   help="build this layer as a NEF ensemble (backend nengo; repeat for more)")  # fmt: skip
    p.add_argument("--json", metavar="OUT.json", help="write all figures here")
    p.add_argument("--outputs", metavar="OUT.npz", help="write outputs (samples, classes) here")
    p.add_argument(
        "--ladder", action="store_true", help="show what every stage from model to chip keeps, and why"
    )
    p.add_argument("--source", metavar="MODEL", help="the trained model, where FILE does not hold it")
    p.add_argument("--resume", action="store_true", help="go on with the run that Ctrl-C left behind")
    where = p.add_mutually_exclusive_group()
    where.add_argument("--workers", type=whole(1), metavar="N", help="share the samples among N processes")
    where.add_argument("--dask", metavar="ADDRESS", help="or among the workers of this Dask cluster")
    _layout(p)
    p.add_argument("--sweep", type=swept, action="append", default=[], metavar="OPTION=V,V,...",
                   help="run every combination, as --sweep steps=16,32 (repeat for more)")  # fmt: skip


def _tune(commands: argparse._SubParsersAction[_Parser]) -> None:
    what = "adapt a spiking network to the chip's rounding and the noise of its spikes"
    p = _command(commands, "tune", "neurodeploy.cli.tuning:tune", what)
    p.add_argument("file", metavar="FILE.nd", help="spiking network")
    p.add_argument("--data", metavar="D.npz", required=True, help="x_train and y_train, or x and y")
    p.add_argument("-o", dest="out", metavar="OUT.nd", required=True, help="the tuned network goes here")
    p.add_argument("--target", default="loihi1", metavar="NAME",
                   help="chip whose rounding is trained with (default %(default)s)")  # fmt: skip
    p.add_argument("--epochs", type=whole(1), metavar="N", help="how often every sample is shown (3)")
    p.add_argument("--batch", type=whole(1), metavar="N", help="samples per step (32)")
    p.add_argument("--learning-rate", type=real(above=0.0), metavar="R", help="of the first epoch (0.0001)")
    p.add_argument("--rate-penalty", type=real(above=0.0), metavar="L",
                   help="loss per spike, as a share of those sent before (0.01)")  # fmt: skip
    p.add_argument("--limit", type=whole(1), metavar="N", help="only the first N samples")
    p.add_argument("--seed", type=whole(0), default=0, metavar="S", help="of everything random")
    p.add_argument("--resume", action="store_true", help="go on after the last whole epoch")


def _learn(commands: argparse._SubParsersAction[_Parser]) -> None:
    does = "let the chip adapt the network to labelled samples"
    p = _command(commands, "learn", "neurodeploy.cli.learning:learn", does)
    p.add_argument("file", metavar="FILE.nd", help="spiking network")
    p.add_argument("--data", metavar="D.npz", required=True, help="x and y, or x_train and y_train")
    p.add_argument("--rate", type=real(above=0.0), metavar="R", help="learning rate")
    p.add_argument("--passes", "--epochs", dest="passes", type=whole(1), metavar="N",
                   help="how often every sample is shown")  # fmt: skip
    p.add_argument("--rule", required=True, metavar="RULE", help="learning rule: pes, delta, dfa, drtp")
    p.add_argument("--layers", metavar="A,B", help="dense layers that learn, to the end; the last by default")
    p.add_argument("--anew", action="store_true", help="forget their weights first: learn from scratch")
    p.add_argument("--resume", action="store_true", help="go on with learning that was interrupted")
    p.add_argument("--json", metavar="OUT.json", help="write the learning curve and what it cost here")
    p.add_argument("--picture", metavar="OUT.png", help="draw the learning curve here")
    p.add_argument("-o", dest="out", metavar="OUT.nd", required=True, help="the adapted network goes here")
    _targets(p)
    p.add_argument("--steps", type=whole(1, MOST_STEPS), metavar="T", help="time steps per sample")
    p.add_argument("--limit", type=whole(1), metavar="N", help="only the first N samples")
    p.add_argument("--divide-by", type=real(above=0.0), metavar="V", help="divide samples by this, as 255")
    p.add_argument("--seed", type=whole(0), default=0, metavar="S", help="of everything random")


def _deploy(commands: argparse._SubParsersAction[_Parser]) -> None:
    p = _command(commands, "deploy", f"{_COMMANDS}:deploy", "write the bundle that the board's host runs")
    p.add_argument("file", metavar="FILE.nd", help="spiking network")
    _targets(p)
    p.add_argument("--board", metavar="NAME", help="run it on this board at once, as kapoho-bay")
    p.add_argument("--steps", type=whole(1, MOST_STEPS), metavar="T", help="time steps per sample")
    p.add_argument("-o", dest="out", metavar="BUNDLE_DIR", required=True, help="the bundle goes here")
    _layout(p)


def _report(commands: argparse._SubParsersAction[_Parser]) -> None:
    p = _command(commands, "report", f"{_COMMANDS}:report", "print and draw the figures of a run")
    p.add_argument("run_json", metavar="RUN.json", help="what run --json wrote")
    p.add_argument("-o", dest="out", metavar="DIR", help="write report.png, report.json and report.txt here")


def _lookups(commands: argparse._SubParsersAction[_Parser]) -> None:
    p = _command(commands, "explain", f"{_TABLES}:explain", "say what a finding means and what helps")
    p.add_argument("code", metavar="CODE", help="as ND301, or the finding's name")
    _command(commands, "targets", f"{_TABLES}:targets", "list the chips that can be compiled for")
    p = _command(commands, "layers", f"{_TABLES}:layers", "list the layers that are read, and the neurons")
    p.add_argument("frontend", nargs="?", choices=("keras", "onnx", "torch", "nir"), help="only these")
    _command(commands, "rules", f"{_TABLES}:rules", "list the learning rules, and which chips run them")
    _command(
        commands, "doctor", "neurodeploy.cli.doctor:doctor", "say what is installed and which backends run"
    )


class _Version(argparse.Action):
    def __init__(self, option_strings: list[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> NoReturn:
        import neurodeploy

        sys.stdout.write(f"neurodeploy {neurodeploy.__version__}\n")
        parser.exit()


class whole:  # noqa: N801 - used like a type
    """A whole number from `least` to `most`, for argparse."""

    def __init__(self, least: int, most: float = math.inf) -> None:
        self.least, self.most = least, most

    def __call__(self, text: str) -> int:
        """Read one."""
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number") from None
        if value < self.least:
            raise argparse.ArgumentTypeError(f"{value} is too small, the least is {self.least}")
        if value > self.most:
            raise argparse.ArgumentTypeError(f"{value} is too large, the most is {self.most}")
        return value


class real:  # noqa: N801 - used like a type
    """A finite number above one bound and not above another, for argparse."""

    def __init__(self, *, above: float, most: float = math.inf) -> None:
        self.above, self.most = above, most

    def __call__(self, text: str) -> float:
        """Read one."""
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None
        if not math.isfinite(value) or value <= self.above or value > self.most:
            upper = "" if self.most == math.inf else f" and at most {self.most:g}"
            raise argparse.ArgumentTypeError(
                f"{text} is out of range; it must be above {self.above:g}{upper}"
            )
        return value


def share(text: str) -> float:
    """Read a number from 0 to 1, for argparse."""
    return 0.0 if text in ("0", "0.0") else real(above=0.0, most=1.0)(text)


def bits_of_layer(text: str) -> tuple[str, int]:
    """Read ``LAYER=N``, for argparse."""
    layer, _, bits = text.rpartition("=")
    if not layer:
        raise argparse.ArgumentTypeError(f"'{text}' names no layer; write LAYER=N, as fc1=4")
    return layer, whole(1, 8)(bits)


def swept(text: str) -> tuple[str, list[int | float | str]]:
    """Read ``option=value,value``, for argparse."""
    name, _, values = text.partition("=")
    kinds: dict[str, Callable[[str], int | float | str]] = {
        "backend": str, "target": str, "input-coding": str, "steps": whole(1, MOST_STEPS), "seed": whole(0),
        "divide-by": real(above=0.0),
    }  # fmt: skip
    if name not in kinds or not values:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no sweep; write OPTION=VALUE,VALUE with one of {', '.join(kinds)}"
        )
    return name.replace("-", "_"), [kinds[name](value) for value in values.split(",")]
