"""ND8xx: what is wrong with a hardware file."""

from __future__ import annotations

from neurodeploy.diagnostics import Rule
from neurodeploy.rules.words import ERROR, INFO, NOTE, WARNING

MALFORMED_HARDWARE_FILE = Rule(
    "ND801", "malformed-hardware-file", ERROR, INFO,
    "{fault}",
    why="A limit that is read wrongly refuses good models or lets bad ones through.",
    remedy="Correct the line; neurodeploy/targets/schema.py lists every key with its type.",
    example="cores = { value = 'many', src = 'd18:p86', grade = 'documented' }",
)  # fmt: skip
UNKNOWN_HARDWARE_KEY = Rule(
    "ND802", "unknown-hardware-key", ERROR, INFO,
    "'{name}' is not a key of the hardware schema{hint}",
    why="A key nobody reads looks like a limit that is checked. So does one without its unit.",
    remedy="Spell the key as in neurodeploy/targets/schema.py; the unit is part of the name.",
    example="sram = { value = 65536, ... } instead of sram_bytes",
)  # fmt: skip
UNSOURCED_NUMBER = Rule(
    "ND803", "unsourced-number", ERROR, INFO,
    "{fault}",
    why="A number is worth what its source is worth; a finding shows it.",
    remedy="Write {{ value = ..., src = 'key:place', grade = '...' }} and list the key under [sources].",
    example="cores = 128",
)  # fmt: skip
BOARD_WITHOUT_CHIP = Rule(
    "ND808", "board-without-chip", ERROR, INFO,
    "the board's chip '{chip}' has no hardware file",
    why="A board takes every limit from its chip.",
    remedy="Put {chip}.toml beside the board's file.",
    example="[board] chip = 'loihi9'",
)  # fmt: skip
SCHEMA_TOO_NEW = Rule(
    "ND809", "schema-too-new", ERROR, INFO,
    "the file follows schema {used}; this neurodeploy reads up to {limit}",
    why="A later schema may give a key another meaning.",
    remedy="Update neurodeploy, or take the file of this release.",
    example="schema = 2",
)  # fmt: skip
BOARD_LOOSENS_CHIP = Rule(
    "ND810", "board-loosens-chip", ERROR, INFO,
    "'{key}' is {used} on the board and {limit} on its chip '{chip}'",
    why="A board cannot do more than its chips.",
    remedy="Drop the line, or correct the chip's file.",
    example="a Kapoho Bay with 200 cores per chip",
)  # fmt: skip
UNKNOWN_HARDWARE_WORD = Rule(
    "ND811", "unknown-hardware-word", ERROR, INFO,
    "'{key}' is {word}, not one of {words}",
    why="A misspelt word would switch a check off.",
    remedy="Use one of the words of neurodeploy/targets/schema.py.",
    example="kind = 'chipp'",
)  # fmt: skip
LIMIT_NOT_PUBLISHED = Rule(
    "ND804", "limit-not-published", NOTE, INFO,
    "not checked: nobody published '{what}' of {target}",
    why="A limit that exists but is not known can refuse the network on the board.",
    remedy="Ask the maker, or compile with the maker's own tool before relying on the fit. Who knows the "
    "number can write it into a copy of the file: --target my-part.toml.",
    example="input axons of a Loihi 2 core",
)  # fmt: skip
STAYS_IN_FLOATS = Rule(
    "ND812", "stays-in-floats", NOTE, INFO,
    "weights and neurons stay in floats: the compiler does not write the number formats of {target}",
    why="Only formats that an open tool steps bit by bit can be compared with one. Of others some widths "
    "are known, and not what is done with them.",
    remedy="Quantise with the maker's own tool, and expect to lose accuracy to its widths.",
    example="any network for SpiNNaker, TrueNorth or Xylo",
)  # fmt: skip
NOT_CUT_INTO_CORES = Rule(
    "ND813", "not-cut-into-cores", NOTE, INFO,
    "the network is not cut into the cores of {target}, so what single cores hold is not checked",
    why="Where the cost of a synapse is not public, or is time and not memory, the compiler cannot know what "
    "fits one core.",
    remedy="Let the maker's own tool lay the network out; limits on neurons, fan-in and totals are checked.",
    example="any network for Loihi 2 or SpiNNaker 2",
)  # fmt: skip
SOURCES_DISAGREE = Rule(
    "ND805", "sources-disagree", WARNING, INFO,
    "{what}: {used:,} are used; {source} allows {limit:,}, {rival_source} allows {rival:,}",
    why="Two public sources give different limits; only the chip decides.",
    remedy="Stay below {rival:,} to be safe: with fewer weight bits (--weight-bits), or a smaller layer.",
    example="8 thresholds on one core of Loihi 1, where one tool allows 7",
)  # fmt: skip
