"""Short names for the severities and kinds that the catalogue is written in."""

from neurodeploy.diagnostics import Kind, Severity

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
WALL, CAPACITY, RANGE, RATE, INFO = Kind.WALL, Kind.CAPACITY, Kind.RANGE, Kind.RATE, Kind.INFO
