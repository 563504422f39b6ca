"""Learning rules, by name."""

from neurodeploy.learning.alignment import FeedbackAlignment
from neurodeploy.learning.backprop import Backprop
from neurodeploy.learning.bcm import BCM
from neurodeploy.learning.contrastive import ContrastiveHebbian, RandomContrastiveHebbian
from neurodeploy.learning.delta import Delta
from neurodeploy.learning.dendrites import SegregatedDendrites
from neurodeploy.learning.direct import DirectFeedbackAlignment
from neurodeploy.learning.drtp import DirectRandomTargetProjection
from neurodeploy.learning.emstdp import EMSTDP
from neurodeploy.learning.eprop import EProp
from neurodeploy.learning.equilibrium import EquilibriumPropagation
from neurodeploy.learning.error_triggered import EventDrivenRandomBackprop
from neurodeploy.learning.gated_backprop import GatedBackprop
from neurodeploy.learning.generec import GeneralizedRecirculation
from neurodeploy.learning.hebbian import Hebbian
from neurodeploy.learning.hunsberger import Hunsberger
from neurodeploy.learning.kolen_pollack import KolenPollack
from neurodeploy.learning.local_derivative import LocalDerivative
from neurodeploy.learning.oja import Oja
from neurodeploy.learning.pes import PES
from neurodeploy.learning.rate import PhasedRule, RateRule
from neurodeploy.learning.reward_stdp import RewardSTDP
from neurodeploy.learning.sign_direct import SignDirectFeedbackAlignment
from neurodeploy.learning.sign_symmetry import SignSymmetry
from neurodeploy.learning.stdp import PairSTDP
from neurodeploy.learning.superspike import SuperSpike
from neurodeploy.learning.temporal import CircuitRule, TemporalRule
from neurodeploy.learning.voja import Voja

RULES: dict[str, type[PES]] = {"pes": PES}
"""Rules by which a converted network learns on the emulator, by the name the command line knows them by."""

DEEP: dict[str, RateRule] = {
    rule.name: rule
    for rule in (
        Delta(),
        FeedbackAlignment(),
        LocalDerivative(),
        SignSymmetry(),
        DirectFeedbackAlignment(),
        SignDirectFeedbackAlignment(),
        EventDrivenRandomBackprop(),
        DirectRandomTargetProjection(),
        Hunsberger(),
        KolenPollack(),
        SegregatedDendrites(),
        Backprop(),
    )
}
"""Rules of deep networks whose error is brought to the neurons, by name."""

PHASED: dict[str, PhasedRule] = {
    rule.name: rule
    for rule in (
        EMSTDP(),
        GeneralizedRecirculation(),
        ContrastiveHebbian(),
        RandomContrastiveHebbian(),
        EquilibriumPropagation(),
        GatedBackprop(),
    )
}
"""Rules of deep networks that learn from what a second phase changes, by name."""

TEMPORAL: dict[str, TemporalRule] = {rule.name: rule for rule in (EProp(), SuperSpike())}
"""Rules of spiking neurons in time, whose synapses remember their own eligibility, by name."""

NETWORKS: dict[str, CircuitRule] = {**DEEP, **PHASED, **TEMPORAL}
"""All of them."""

HEBBIAN: dict[str, Hebbian] = {rule.name: rule for rule in (PairSTDP(), RewardSTDP(), Oja(), BCM(), Voja())}
"""Rules of what both ends of a synapse do, by name."""
