from __future__ import annotations

import inspect

import pytest

from service.domain import errors
from service.rpc.errors import MAX_TEXT, STATUS, status_of

ERRORS = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.GatehouseError)]


@pytest.mark.parametrize("cls", ERRORS, ids=lambda cls: cls.__name__)
def test_every_domain_error_has_its_own_status(cls: type[errors.GatehouseError]) -> None:
    assert cls in STATUS


def test_reasons_are_distinct_so_that_callers_can_tell_errors_apart() -> None:
    reasons = [kind.reason for kind in STATUS.values()]

    assert len(set(reasons)) == len(reasons)


def test_a_status_fits_into_the_metadata_that_clients_accept() -> None:
    many = [errors.FieldViolation(f"links[{i}]." + "x" * 5000, "é" * 5000) for i in range(5000)]

    status = status_of(errors.InvalidInput(*many))

    assert len(status.message) <= MAX_TEXT
    assert status.ByteSize() + 3 * len(status.message) < 8 * 1024
