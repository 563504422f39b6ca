"""ND9xx: our own invariants, and what was asked of the findings themselves."""

from __future__ import annotations

from neurodeploy.diagnostics import Rule
from neurodeploy.rules.words import ERROR, INFO, WARNING

WAIVER_EXPIRED = Rule(
    "ND907", "waiver-expired", WARNING, INFO,
    "the waiver of {waived} for '{layer}' ended on {expires}; its finding counts again",
    why="A waiver is a promise to look again by a date.",
    remedy="Look again: mend the network, or renew the waiver in the file of --waivers, with a reason that "
    "still holds.",
    example="expires = 2024-01-31 in a waiver file",
)  # fmt: skip
WAIVER_UNUSED = Rule(
    "ND908", "waiver-unused", WARNING, INFO,
    "the waiver of {waived} for '{layer}' matches no finding",
    why="What it waived is gone, or the name is misspelt; left in place it would hide the next finding of "
    "this kind.",
    remedy="Delete the waiver from the file of --waivers, or correct its code or layer.",
    example="a waiver for a layer that was renamed",
)  # fmt: skip
NOT_WAIVABLE = Rule(
    "ND909", "not-waivable", ERROR, INFO,
    "{waived} in '{layer}' is an error, which {how} does not lift",
    why="An error says that the network does not run on the part, or computes other numbers there, "
    "whoever agrees to it. What is a matter of judgement is a warning or a note, and those can be waived.",
    remedy="Leave {how} out and mend the network (neurodeploy explain {waived}), or choose another target "
    "(neurodeploy targets).",
    example="check --allow ND301, or a waiver of it, for 1,300 neurons on a core of 1,024",
)  # fmt: skip
CHECK_FAILED = Rule(
    "ND905", "check-failed", ERROR, INFO,
    "the check '{check}' could not be done: {error}",
    why="A check of ours went wrong; all others were done, and what this one would have found is not known.",
    remedy="Report it with the network's digest: this is a bug in neurodeploy.",
    example="a check that meets an array it does not expect",
)  # fmt: skip
