"""From a probability to a decision and its reasons: thresholds and rules as data, nothing learned here."""
