"""The gRPC service: decode, call a use case, encode. Protobuf stays in here."""
