"""A rule's description is complete: every trace that is read is given, none is idle."""

import pytest

from neurodeploy.errors import OptionError
from neurodeploy.learning import pes
from neurodeploy.learning.description import Trace, describe


def test_pes_is_described_as_nengo_loihi_writes_it():
    rule = pes.on_chip(tau=5, impulse=3.5)
    assert rule.text == "dw = 2^-7*u1*x1*y1"
    assert pes.on_chip(tau=5, impulse=3.5, decrease=True).text == "dw = -2^-7*u1*x1*y1"
    assert rule.epoch * 2 ** rule.updates[0].products[0].decimations[0] == 4
    assert rule.trace("y1").source == "imposed"


@pytest.mark.parametrize(
    ("traces", "says"),
    [
        ((Trace("x1", 4, 8),), "reads y1, of which"),
        ((Trace("x1", 4, 8), Trace("y1", 4, 8), Trace("x2", 4, 8)), "never reads trace x2"),
        ((Trace("x1", 4, 8), Trace("x1", 4, 8), Trace("y1", 4, 8)), "described twice"),
        ((Trace("x1", 4, 8), Trace("w", 4, 8)), "'w' is not a trace"),
    ],
)
def test_traces_that_do_not_match_the_text_are_refused(traces, says):
    with pytest.raises(OptionError, match=says):
        describe("hebb", "dw = u0*x1*y1", *traces)


def test_an_epoch_has_at_least_one_step():
    assert describe("pre", "dw = x0", epoch=1).epoch == 1
    with pytest.raises(OptionError, match="at least 1 step"):
        describe("pre", "dw = x0", epoch=0)
