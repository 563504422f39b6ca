"""Fine-tuning with a chip's rounding and the noise of spikes in the forward pass; needs the extra ``dl``."""

from neurodeploy.finetune.loop import Tuned, tune

__all__ = ["Tuned", "tune"]
