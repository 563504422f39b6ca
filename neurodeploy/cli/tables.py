"""Lookups: findings, targets, layers, learning rules."""

from __future__ import annotations

import argparse

from neurodeploy import stages
from neurodeploy.cli import DONE
from neurodeploy.reporting.catalogue import (
    FRONTENDS,
    finding_text,
    layer_rows,
    neuron_rows,
    rule_rows,
    target_rows,
)
from neurodeploy.reporting.text import table


def explain(args: argparse.Namespace) -> int:
    """``neurodeploy explain CODE``: why a finding is one, what helps, an example."""
    print(finding_text(stages.explain(args.code)))
    return DONE


def targets(args: argparse.Namespace) -> int:
    """``neurodeploy targets``: every chip and board."""
    print(table(*target_rows()))
    return DONE


def layers(args: argparse.Namespace) -> int:
    """``neurodeploy layers``: everything that is read and what becomes of it, and the neurons."""
    for frontend in [args.frontend] if args.frontend else FRONTENDS:
        print(f"{frontend}\n\n{table(*layer_rows(frontend))}\n")
    print(table(*neuron_rows()))
    return DONE


def rules(args: argparse.Namespace) -> int:
    """``neurodeploy rules``: every learning rule, what it needs and which chips' engines run it."""
    print(table(*rule_rows()))
    return DONE
