"""Read the sum-of-products notation; what is wrong is pointed at by its character.

::

    updates := update { (";" | newline) update }
    update  := ("dw" | "dd" | "dt") "=" [sign] product { sign product }
    product := factor { "*" factor }
    factor  := integer | "2^" [sign] integer | inner | "sgn" "(" sum ")" | "(" sum ")"
    sum     := variable [sign integer]
    sign    := "+" | "-"
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from neurodeploy.errors import OptionError
from neurodeploy.learning.notation import SYNAPTIC, VARIABLES, Factor, Product, Update

_TOKEN = re.compile(r"(?P<number>\d+(?:\.\d*)?)|(?P<word>[A-Za-z_]\w*)|(?P<end>[;\n])|(?P<other>\S)")
LARGEST = 99
"""Exponent that is still read; chips hold far less."""
LARGEST_CONSTANT = 65535


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def parse(text: str) -> tuple[Update, ...]:
    """Read the updates of a rule.

    Parameters
    ----------
    text : str
        As ``"dt = 2*r1*y0 - y0 - u7*t; dw = 2^-4*u7*x1*t"``; ``;`` and line ends separate.

    Returns
    -------
    tuple of Update
        In the order in which they were written.

    Raises
    ------
    OptionError
        Where the text is not in the notation; the message shows the line and the character.
    """
    return _Reader(text).updates()


class _Reader:
    """A cursor over tokens."""

    def __init__(self, text: str) -> None:
        self.text = text
        found = [_Token(m.lastgroup or "", m.group(), m.start()) for m in _TOKEN.finditer(text)]
        self.tokens = [*found, _Token("end", "", len(text))]
        self.next = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.next]

    def take(self) -> _Token:
        token = self.token
        self.next = min(self.next + 1, len(self.tokens) - 1)
        return token

    def accept(self, text: str) -> bool:
        if self.token.text != text or not text:
            return False
        self.take()
        return True

    def expect(self, text: str, after: str) -> None:
        if not self.accept(text):
            raise self.fault(self.token, f"'{text}' is missing after {after}")

    def fault(self, token: _Token, what: str) -> OptionError:
        """Make the error that points at a token."""
        start = self.text.rfind("\n", 0, token.at) + 1
        line = self.text[start:].partition("\n")[0]
        column = token.at - start
        pad = "".join("\t" if c == "\t" else " " for c in line[:column])
        return OptionError(f"learning rule, character {column + 1}: {what}\n  {line}\n  {pad}^")

    def updates(self) -> tuple[Update, ...]:
        found: list[Update] = []
        while self.token.at < len(self.text):
            if self.token.kind == "end":
                self.take()
                continue
            start = self.token
            update = self.update()
            if update.target in {u.target for u in found}:
                raise self.fault(start, f"d{update.target} is given twice; add its products up in one line")
            found.append(update)
        if not found:
            raise self.fault(self.token, "there is no update; write one as dw = 2^-4*u0*x1*y1")
        return tuple(found)

    def update(self) -> Update:
        token = self.take()
        target = token.text[1:]
        if token.text[:1] != "d" or target not in SYNAPTIC:
            raise self.fault(token, f"'{token.text}' is not a synaptic variable's change: dw, dd or dt")
        self.expect("=", token.text)
        products = [self.product(-1 if self.sign(optional=True) else 1)]
        while self.token.kind != "end":
            products.append(self.product(-1 if self.sign() else 1))
        return Update(target, tuple(products))  # type: ignore[arg-type]

    def sign(self, *, optional: bool = False) -> bool:
        """Read a sign; return whether it is minus."""
        if self.accept("-"):
            return True
        if not self.accept("+") and not optional:
            raise self.fault(
                self.token, f"'{self.token.text}' follows a product; join with *, or add with + or -"
            )
        return False

    def product(self, sign: int) -> Product:
        mantissa, exponent, factors = sign, 0, list[Factor]()
        while True:
            start = self.token
            if start.kind == "number":
                value, power = self.number()
                mantissa, exponent = mantissa * value, exponent + power
            else:
                factors.append(self.factor())
            if mantissa == 0:
                raise self.fault(start, "a product with 0 is nothing; leave it out")
            if not self.accept("*"):
                return Product(mantissa, exponent, tuple(factors))

    def number(self) -> tuple[int, int]:
        """Read an integer, or a power of two; return value and exponent."""
        token = self.token
        value = self.integer(LARGEST_CONSTANT)
        if not self.accept("^"):
            return value, 0
        if value != 2:
            raise self.fault(token, f"{value}^ is no scale of an engine; scales are powers of 2")
        minus = self.accept("-")
        power = self.integer(LARGEST)
        return 1, -power if minus else power

    def integer(self, most: int) -> int:
        token = self.take()
        if token.kind != "number":
            raise self.fault(token, f"a whole number is missing before '{token.text}'")
        if not token.text.isdigit():
            raise self.fault(token, f"{token.text} is not a whole number; write fractions as 2^-1 or 3*2^-4")
        if len(token.text) > 9 or int(token.text) > most:
            raise self.fault(token, f"{token.text} is larger than {most}")
        return int(token.text)

    def factor(self) -> Factor:
        token = self.take()
        if token.text == "sgn":
            self.expect("(", "sgn")
            return self.inner(sign=True)
        if token.text == "(":
            return self.inner(sign=False)
        return Factor(self.variable(token))

    def inner(self, *, sign: bool) -> Factor:
        variable = self.variable(self.take())
        plus = 0
        if self.token.text in ("+", "-"):
            minus = self.take().text == "-"
            plus = self.integer(LARGEST_CONSTANT) * (-1 if minus else 1)
        self.expect(")", f"{variable}{plus:+d}" if plus else variable)
        return Factor(variable, plus, sign)

    def variable(self, token: _Token) -> str:
        if token.text in VARIABLES:
            return token.text
        if token.kind != "word":
            before = f" before '{token.text}'" if token.text.strip() else ""
            raise self.fault(token, f"a factor is missing{before}")
        near = difflib.get_close_matches(token.text, VARIABLES, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]}" if near else ""
        raise self.fault(
            token,
            f"'{token.text}' is not a variable of a synapse{hint} (x0-x2, y0-y3, u0-u9, w, d, t, r0, r1)",
        )
