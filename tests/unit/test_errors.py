"""Errors travel: between processes, and as copies."""

from __future__ import annotations

import copy
import pickle

import pytest

from burst_magic import errors

LOST = errors.AttachError("no such session", context="here", way_out="look there", missing_from="s3://bucket/burst")
FAILED = errors.StackFailed("a resource failed", resource="Cluster", reason="limit exceeded")


class Refused(errors.LaunchError):
    """As a launcher of somebody else may raise it."""

    def __init__(self, host: str, *, code: int) -> None:
        super().__init__(f"{host} refused", context=host)
        self.code = code


@pytest.mark.parametrize("error", [LOST, FAILED, Refused("a host", code=7)], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("carried", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_an_error_keeps_what_its_class_adds(error, carried):
    back = carried(error)

    assert type(back) is type(error)
    assert back is not error
    assert (back.args, vars(back), str(back)) == (error.args, vars(error), str(error))


def test_an_error_keeps_its_notes():
    error = errors.StoreError("denied")
    error.__notes__ = ["while listing"]  # what Python 3.11's add_note makes

    assert pickle.loads(pickle.dumps(error)).__notes__ == ["while listing"]
