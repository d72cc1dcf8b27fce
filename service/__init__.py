"""Gatehouse: scores account signups for fraud risk over gRPC."""
