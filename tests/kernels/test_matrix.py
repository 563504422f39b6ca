"""When products go to the processor's matrix unit."""

import os
import subprocess
import sys

import pytest

from neurodeploy.kernels import matrix

TARGET = """
import numba
from neurodeploy.kernels import matrix
types = numba.types.int8, numba.types.uint8, numba.types.int32, numba.types.int64
i8, u8, i32, i64 = (numba.types.Array(t, 1, "C") for t in types)

@numba.njit((u8, i32, i64, i8, i32), _nrt=False)
def product(spikes, entries, panels, blocks, sums):
    matrix.multiply(spikes, entries, panels[0], panels[1], blocks, sums, 0)

print(matrix.in_target(), matrix.available())
"""


@pytest.mark.parametrize("told", [{"NUMBA_CPU_NAME": "generic"}, {"NUMBA_CPU_FEATURES": "+sse2"}])
def test_code_for_a_processor_without_the_unit_is_made_without_it(told):
    """The compiler ends the process where it meets an instruction that the target does not have."""
    done = subprocess.run(
        [sys.executable, "-c", TARGET],
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "False False\n"), done.stderr


@pytest.mark.parametrize(
    ("target", "lent", "told", "expected"),
    [
        (True, True, None, True),
        (True, True, "1", True),
        (True, True, "0", False),
        (True, False, None, False),
        (False, True, None, False),
    ],
)
def test_the_unit_is_used_where_it_is_there_lent_and_not_turned_off(
    monkeypatch, target, lent, told, expected
):
    monkeypatch.setattr(matrix, "in_target", lambda: target)
    monkeypatch.setattr(matrix, "lent", lambda: lent)
    monkeypatch.delenv(matrix.UNIT, raising=False)
    if told is not None:
        monkeypatch.setenv(matrix.UNIT, told)
    assert matrix.available.__wrapped__() == expected


@pytest.mark.parametrize(("answer", "lent"), [(0, True), (-1, False)])
def test_a_system_that_refuses_the_registers_lends_no_unit(monkeypatch, answer, lent):
    class System:
        def __init__(self, name):
            assert name is None

        def syscall(self, *args):
            return answer

    monkeypatch.setattr(matrix.ctypes, "CDLL", System)
    assert matrix.lent() is lent
