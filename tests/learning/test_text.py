"""The notation of learning rules: read, printed back the same, and pointed at where it is wrong."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurodeploy.errors import OptionError
from neurodeploy.learning.notation import VARIABLES, Factor, Product, Update, print_updates, variables
from neurodeploy.learning.text import parse

RULES = [
    "dw = 2^-4*u7*x1*t",
    "dt = 2*r1*y0 - y0 - u7*t",
    "dw = 2^-7*u1*x1*y1",
    "dw = -2^-7*u1*x1*y1",
    "dw = 4*y0*x0*r1 - 2*y0*x0",
    "dw = 2^-2*u0*x1*y1*(y2-64)",
    "dw = 2^-3*y0*x1 - 3*2^-5*x0*(y1+2) - 2^-6*u0*sgn(w)*w",
    "dd = x0*y1*sgn(d+3)",
    "dt = 2^-2*u0*x1*y1 - 2^-4*u0*t\ndw = 2^-6*u0*t*y2",
]

factors = st.builds(
    Factor, st.sampled_from(VARIABLES), st.integers(-65535, 65535) | st.just(0), st.booleans()
)
products = st.builds(
    Product,
    st.integers(-65535, 65535).filter(bool),
    st.integers(-99, 99),
    st.lists(factors, max_size=4).map(tuple),
)
series = st.lists(products, min_size=1, max_size=4).map(tuple)
updates = st.lists(st.sampled_from("wdt"), min_size=1, max_size=3, unique=True).flatmap(
    lambda targets: st.tuples(*(st.builds(Update, st.just(t), series) for t in targets))
)


@pytest.mark.parametrize("text", RULES)
def test_rules_of_the_literature_are_printed_as_they_were_written(text):
    assert print_updates(parse(text)) == text


@given(updates)
def test_what_is_printed_is_read_back_the_same(given_updates):
    assert parse(print_updates(given_updates)) == given_updates


def test_spaces_order_of_numbers_and_semicolons_do_not_matter():
    loose = parse("  dt=2 * y0*r1 *2^ -3 ;; dw = + u0 * ( x1 + 0 ) ")
    assert loose == parse("dt = 2*2^-3*y0*r1\ndw = u0*x1")
    assert loose[0].products[0] == Product(2, -3, (Factor("y0"), Factor("r1")))


def test_the_dependency_is_the_first_factor_that_can_be_one():
    product = parse("dw = 4*r1*y0*x0*x1")[0].products[0]
    assert product.dependency == Factor("y0")
    assert [str(f) for f in product.others] == ["r1", "x0", "x1"]
    assert parse("dw = 3*x1*(y0+1)")[0].products[0].dependency is None


def test_variables_are_named_once_and_in_order():
    assert variables(parse("dw = u3*t*x1*x1 - x0*y1")) == ("x0", "u3", "x1", "y1", "t")


@pytest.mark.parametrize(
    ("text", "character", "says"),
    [
        ("dw = 2^-4*q7*x1", 11, "'q7' is not a variable"),
        ("dw = x1*y4", 9, "did you mean"),
        ("dz = x1", 1, "dw, dd or dt"),
        ("dw x1", 4, "'=' is missing after dw"),
        ("dw = 0.5*x0", 6, "write fractions as 2\\^-1"),
        ("dw = 3^2*x0", 6, "powers of 2"),
        ("dw = 2^*x0", 8, "whole number is missing"),
        ("dw = x0 y1", 9, "follows a product"),
        ("dw = x0*", 9, "a factor is missing"),
        ("dw = x0*(y1+2", 14, "'\\)' is missing after y1\\+2"),
        ("dw = sgn w", 10, "'\\(' is missing after sgn"),
        ("dw = x0*(y1+w)", 13, "whole number is missing"),
        ("dw = 0*x0", 6, "leave it out"),
        ("dw = x0/y1", 8, "follows a product"),
        ("dw = 2^100*x0", 8, "larger than 99"),
        ("dw = ", 6, "a factor is missing"),
        ("dw = x0; dw = y0", 10, "given twice"),
        ("", 1, "no update"),
    ],
)
def test_bad_text_points_at_the_character(text, character, says):
    with pytest.raises(OptionError, match=f"character {character}: .*{says}") as caught:
        parse(text)
    _, line, mark = str(caught.value).split("\n")
    assert mark.index("^") - 2 == character - 1
    assert line == f"  {text}"


def test_in_a_text_of_several_lines_the_line_is_shown():
    with pytest.raises(OptionError, match=r"character 6.*\n  dw = q1\n       \^"):
        parse("dt = y0\ndw = q1")


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(OptionError):
        parse(text)
