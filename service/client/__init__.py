"""The Python client and its small tools; depends on the wire alone, never on the service behind it."""

from service.client.client import FailureMode, GatehouseClient, Outcome, Problem, problem_of
from service.client.sketching import Sketch, sketch

__all__ = ["FailureMode", "GatehouseClient", "Outcome", "Problem", "Sketch", "problem_of", "sketch"]
