"""What kind of failure an output tells of, how bad that is, and what to say about it.

The rule of this room: text in, class out, and nothing else. It never raises, and its work is bounded by its own limits.
"""

from penstock_orchestrator.core.classify.judge import Classified, classify
from penstock_orchestrator.core.classify.table import CLASSES, FailureClass, Severity

__all__ = ["CLASSES", "Classified", "FailureClass", "Severity", "classify"]
