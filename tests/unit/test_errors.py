"""Every error of Settle has one root, and the tree in its module is complete."""

from __future__ import annotations

import inspect

import pytest

from jobs import errors

OWN = [found for _, found in inspect.getmembers(errors, inspect.isclass) if found.__module__ == errors.__name__]


@pytest.mark.parametrize("error", OWN, ids=lambda error: error.__name__)
def test_every_error_has_the_one_root(error: type[Exception]) -> None:
    """Who catches `SettleError` catches all; the drawn tree names each one."""
    assert issubclass(error, errors.SettleError)
    assert error.__doc__
    assert error.__name__ in (errors.__doc__ or "")


def test_an_unsuccessful_job_is_one_kind() -> None:
    """Whoever waits for a result can tell the three ends apart, or not care."""
    assert {error for error in OWN if issubclass(error, errors.JobUnsuccessful)} == {
        errors.JobUnsuccessful,
        errors.JobFailed,
        errors.JobExpired,
        errors.JobCancelled,
    }
