"""nengo, nengo-loihi 1.1 and nengo-dl 3.6 as they run on today's TensorFlow, Keras 3 and NumPy 2.

The three packages are imported through this module only. Their last releases are older than the libraries
below them, and their own fixes were never released, so each function here states what breaks without it.
Whatever is put in place is put in place for the package that needs it: no other module of the process sees
another NumPy, another TensorFlow or another ``tf.keras``.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from neurodeploy.errors import MissingExtra

_NUMPY_IN_NENGO = (
    "nengo._vendor.scipy.sparse.linalg_expm",
    "nengo._vendor.scipy.sparse.linalg_interface",
    "nengo._vendor.scipy.sparse.linalg_onenormest",
)
_NUMPY_IN_NENGO_LOIHI = (
    "nengo_loihi.block",
    "nengo_loihi.dvs",
    "nengo_loihi.emulator.interface",
    "nengo_loihi.neurons",
)
_ADD_NENGO_DL = "pip install 'neurodeploy[dl]'"
if sys.version_info >= (3, 12):  # its sdist asks for a setuptools that does not run there
    _ADD_NENGO_DL += " 'setuptools<81' wheel && pip install --no-build-isolation nengo-dl==3.6.0"


@functools.cache
def nengo_module() -> ModuleType:
    """Import nengo so that high-order filters and one-dimensional signals work on NumPy 2.

    Returns
    -------
    module
        ``nengo``.

    Raises
    ------
    MissingExtra
        If nengo is not installed.
    """
    _require("nengo", "pip install nengo==4.1.0")
    with _quiet():
        nengo = importlib.import_module("nengo")
    _give_old_numpy_names(_NUMPY_IN_NENGO)
    nengo.synapses.Synapse.filt = _filt_any_signal(nengo.synapses.Synapse.filt)
    return nengo


def nengo_loihi_module() -> ModuleType:
    """Import nengo-loihi, with TensorFlow kept out unless nengo-dl is in already.

    Returns
    -------
    module
        ``nengo_loihi``; its neurons work inside nengo-dl after a call to `nengo_dl_module`.

    Raises
    ------
    MissingExtra
        If nengo-loihi is not installed.
    """
    if "nengo_dl" in sys.modules:
        nengo_dl_module()
    return _import_nengo_loihi()


@functools.cache
def nengo_dl_module() -> ModuleType:
    """Import nengo-dl on Keras 2 (tf_keras), whichever Keras the process uses otherwise.

    Returns
    -------
    module
        ``nengo_dl``. nengo-loihi is imported too, and its neuron types can be simulated by nengo-dl.

    Raises
    ------
    MissingExtra
        If TensorFlow, tf_keras or nengo-dl is not installed.
    """
    for name in ("tensorflow", "tf_keras", "nengo_dl"):
        _require(name, _ADD_NENGO_DL)
    nengo_module()
    with _quiet():
        tensorflow = importlib.import_module("tensorflow")
        keras = importlib.import_module("tf_keras")
        with _shown(_names_nengo_dl_asks_for(tensorflow, keras)), _gpu_probe_answered(tensorflow):
            nengo_dl = importlib.import_module("nengo_dl")
    _flatten_feedthrough(nengo_dl)
    _connect_loihi_neurons(_import_nengo_loihi(), nengo_dl, tensorflow)
    return nengo_dl


@functools.cache
def _import_nengo_loihi() -> ModuleType:
    _require("nengo_loihi", "pip install nengo-loihi==1.1.0")
    nengo_module()
    # nengo_loihi imports TensorFlow and nengo_dl on sight (7 s, 550 MB) although the emulator uses neither.
    hidden = () if "nengo_dl" in sys.modules else ("tensorflow", "nengo_dl", "nengo_extras")
    with _quiet(), _shown(dict.fromkeys(hidden)):
        nengo_loihi = importlib.import_module("nengo_loihi")
    _give_old_numpy_names(_NUMPY_IN_NENGO_LOIHI)
    discretize = importlib.import_module("nengo_loihi.builder.discretize")
    discretize.__dict__["array_to_int"] = _without_warnings(discretize.array_to_int)
    return nengo_loihi


def _require(package: str, command: str) -> None:
    """Say in one sentence what is missing; without it the user sees an ImportError from deep inside."""
    if sys.modules.get(package) is None and find_spec(package) is None:
        name = package.replace("_", "-")
        raise MissingExtra(f"{name} is not installed in {sys.prefix}; add it with: {command}")


class _Overlay(ModuleType):
    """A module seen with a few names replaced; every other name is the module's own."""

    def __init__(self, module: ModuleType, **names: Any) -> None:
        super().__init__(module.__name__, module.__doc__)
        self.__dict__.update(vars(module), **names, _module=module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_module"], name)


def _give_old_numpy_names(modules: Sequence[str]) -> None:
    """Give modules written for NumPy 1 the functions NumPy 2 changed or dropped.

    Without it, on NumPy 2: building any nengo-loihi synapse or asking for rates raises (``array(copy=False)``
    now means "never copy"); filters of high order raise (``find_common_type``, ``in1d`` are gone); DVS event
    files cannot be read (``fromstring`` reads text only); each emulator warns of an "invalid value in cast"
    (it fills integers with NaN before it writes them).
    """
    import numpy as np

    old_numpy = _Overlay(np, **_old_numpy_names(np))
    for name in modules:
        importlib.import_module(name).__dict__["np"] = old_numpy


def _old_numpy_names(np: Any) -> dict[str, Callable[..., Any]]:
    def array(obj: Any, *args: Any, copy: bool = True, **kwargs: Any) -> Any:
        made = np.array if copy else functools.partial(np.array, copy=False if np.__version__ < "2" else None)
        return made(obj, *args, **kwargs)

    def find_common_type(array_types: Sequence[Any], scalar_types: Sequence[Any]) -> Any:
        types = [*array_types, *scalar_types]
        return np.result_type(*types) if types else None

    def full(*args: Any, **kwargs: Any) -> Any:
        with np.errstate(invalid="ignore"):
            return np.full(*args, **kwargs)

    def fromstring(data: bytes, dtype: Any) -> Any:
        return np.frombuffer(data, dtype).copy()

    return {
        "array": array,
        "find_common_type": find_common_type,
        "fromstring": fromstring,
        "full": full,
        "in1d": np.isin,
    }


def _without_warnings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Silence a function that does what it must in a way that is going out of use.

    Without it NumPy 2.5 warns at every array nengo-loihi discretises: it changes the dtype in place, because
    other objects hold the same array.
    """

    @functools.wraps(function)
    def silent(*args: Any, **kwargs: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return function(*args, **kwargs)

    return silent


def _filt_any_signal(filt: Callable[..., Any]) -> Callable[..., Any]:
    """Filter one-dimensional signals as columns.

    Without it ``Lowpass(0.1).filt(x)`` raises for 1-D `x` (a step is an array of shape (1,), which current
    NumPy does not put into a scalar slot), and so does ``copy=False`` for anything but an array of floats.
    """

    @functools.wraps(filt)
    def filt_any(
        self: Any, x: Any, dt: float | None = None, axis: int = 0, y0: Any = 0, copy: bool = True, **rest: Any
    ) -> Any:
        import numpy as np

        dtype = sys.modules["nengo"].rc.float_dtype
        signal = np.array(x, dtype=dtype) if copy else np.asarray(x, dtype=dtype)
        columns, axis = (signal[:, None], 0) if signal.ndim == 1 else (signal, axis)
        filt(self, columns, dt=dt, axis=axis, y0=y0, copy=False, **rest)
        return signal

    return filt_any


def _names_nengo_dl_asks_for(tensorflow: ModuleType, keras: Any) -> dict[str, ModuleType]:
    """Modules to show while nengo_dl is imported, under the names it imports them by.

    ``tensorflow``: nengo-dl is written against Keras 2 and uses it as ``tf.keras``, which is Keras 3 since
    2.16; it gets a TensorFlow whose Keras is tf_keras (the switch TF_USE_LEGACY_KERAS would change it for the
    whole process). ``keras.engine.functional`` and ``keras.layers``: the old names of four objects that now
    live below ``src``. Without either, ``import nengo_dl`` raises.
    """
    functional = importlib.import_module("tf_keras.src.engine.functional")
    norm = importlib.import_module("tf_keras.src.layers.normalization.batch_normalization")
    norm_v1 = importlib.import_module("tf_keras.src.layers.normalization.batch_normalization_v1")
    engine = _Overlay(importlib.import_module("tf_keras.src.engine"), functional=functional)
    layers = _Overlay(
        keras.layers,
        BatchNormalizationV1=norm_v1.BatchNormalization,
        BatchNormalizationV2=norm.BatchNormalization,
    )
    parts = {name: getattr(keras, name) for name in ("initializers", "losses", "metrics", "optimizers")}
    return {
        "tensorflow": _Overlay(tensorflow, keras=keras, **parts),
        "keras": _Overlay(keras, engine=engine, layers=layers),
        "keras.engine": engine,
        "keras.engine.functional": functional,
        "keras.layers": layers,
    }


@contextlib.contextmanager
def _shown(modules: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Show modules under other names (None: as not installed), and put back what was there."""
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)  # type: ignore[arg-type]  # None is how Python spells "refuse this import"
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _gpu_probe_answered(tensorflow: Any) -> contextlib.AbstractContextManager[None]:
    """Answer nengo-dl's question for a GPU from this process.

    Without it the import starts a second Python that imports TensorFlow, half of the import's time.
    """
    missing = not tensorflow.config.list_physical_devices("GPU")
    return _replaced(subprocess, "call", lambda *args, **kwargs: int(missing))


def _flatten_feedthrough(nengo_dl: Any) -> None:
    """Hand nengo-dl the feedthrough matrix D of a linear filter with the one axis it expects.

    Without it every filter with a pass-through term raises an AssertionError in nengo-dl: nengo 4 made D
    two-dimensional. (Lowpass and Alpha have none.)
    """
    builder = nengo_dl.process_builders.LinearFilterBuilder
    linear_filter = sys.modules["nengo"].LinearFilter
    build_pre, make_step = builder.build_pre, linear_filter.make_step

    def make_flat_step(self: Any, *args: Any, **kwargs: Any) -> Any:
        step = make_step(self, *args, **kwargs)
        step.D = step.D.ravel()
        return step

    @functools.wraps(build_pre)
    def build_pre_flat(self: Any, signals: Any, config: Any) -> None:
        with _replaced(linear_filter, "make_step", make_flat_step):
            build_pre(self, signals, config)

    builder.build_pre = build_pre_flat


def _connect_loihi_neurons(nengo_loihi: Any, nengo_dl: ModuleType, tensorflow: ModuleType) -> None:
    """Let nengo-dl simulate Loihi's neurons, also where the emulator was imported first.

    nengo_loihi looks for nengo_dl once, at its own import, and remembers a failure for good.
    """
    for module in (nengo_loihi.compat, nengo_loihi.neurons):
        vars(module).update(HAS_TF=True, HAS_DL=True, tf=tensorflow, nengo_dl=nengo_dl)
    if find_spec("nengo_extras") is not None:
        with _quiet():
            found: Any = importlib.import_module("nengo_extras.reqs")
            if not found.HAS_NENGO_DL:  # it too looks only once
                found.HAS_NENGO_DL = True
                sys.modules.pop("nengo_extras.loihi_training", None)
            training = importlib.import_module("nengo_extras.loihi_training")
        nengo_loihi.neurons.LoihiLIFBuilder = training.LoihiLIFBuilder
        nengo_loihi.neurons.LoihiSpikingRectifiedLinearBuilder = training.LoihiSpikingRectifiedLinearBuilder
    nengo_loihi.neurons.install_dl_builders()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep an import's chatter off the user's terminal, unless the import fails.

    Without it: two "not tested with your nengo" warnings, deprecation warnings of code that is not ours, and
    seven lines TensorFlow's C++ writes to file descriptor 2 whatever its log level.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as chatter, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.dup2(chatter.fileno(), 2)
        try:
            yield
        except BaseException:
            chatter.seek(0)
            os.write(terminal, chatter.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
