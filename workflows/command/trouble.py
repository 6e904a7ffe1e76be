"""What goes wrong for a person at the command line, in one sentence with the remedy, and its exit code.

Nothing secret is shown: addresses without passwords, and of other errors the kind only.
"""

from __future__ import annotations

import click

from jobs.errors import ConfigurationError, IllegalMove, InvalidJob, JobConflict, JobNotFound, RecordTooNew, SettleError
from workflows.command.exits import Exit

_OF_ERROR: tuple[tuple[type[Exception], Exit], ...] = (
    (ConfigurationError, Exit.SETUP),
    (InvalidJob, Exit.USAGE),
    (JobNotFound, Exit.NOT_FOUND),
    (JobConflict, Exit.CONFLICT),
    (IllegalMove, Exit.CONFLICT),
    (RecordTooNew, Exit.SETUP),
    (SettleError, Exit.FAILED),
)


def explain(error: Exception) -> tuple[str, Exit] | None:
    """What to tell a person, and the exit code; none for a defect, which deserves its traceback.

    Args:
        error: what ended the command.
    """
    if isinstance(error, SettleError):
        return str(error), next(code for kind, code in _OF_ERROR if isinstance(error, kind))
    if isinstance(error, click.ClickException):
        return _usage(error), Exit.USAGE
    # Late: `settle --help` needs neither.
    from kombu.exceptions import OperationalError
    from redis.exceptions import RedisError

    if isinstance(error, RedisError):
        return _redis(error), Exit.SETUP
    if isinstance(error, OperationalError):
        return f"the broker does not answer ({type(error).__name__}): {_at('broker')}", Exit.SETUP
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or type(error).__name__}; check that it is there and allowed", Exit.SETUP
    return None


def _usage(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    if type(error) is click.BadParameter and error.param is not None:  # as all our errors: field, why
        message = f"{max(error.param.opts, key=len)}: {error.message.rstrip('.')}"
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{message}; see {context.command_path} --help" if context else message


def _redis(error: Exception) -> str:
    from redis import exceptions as of

    if isinstance(error, of.OutOfMemoryError):
        return "Redis is full, so no job is accepted: raise its maxmemory; running jobs go on"
    if isinstance(error, of.BusyLoadingError):
        return "Redis is loading its data: try again in a while"
    if isinstance(error, of.NoPermissionError):
        return "Redis forbids its user what Settle needs: give it the rules that `settle acl` prints"
    if isinstance(error, of.AuthenticationError):
        return f"Redis does not accept the login: check user and password; {_at('redis')}"
    if isinstance(error, of.ReadOnlyError):
        return f"Redis is a replica and takes no writes: name the primary; {_at('redis')}"
    if isinstance(error, of.ResponseError) and "WRONGTYPE" in str(error):
        return "a key in Redis holds something else than Settle keeps there: settle doctor names it"
    return f"Redis does not answer ({type(error).__name__}): {_at('redis')}"


def _at(kind: str) -> str:
    """Which setting to check, and what it says at the moment, without its password."""
    from config import servers
    from config.settings import settings

    own = settings()
    if kind == "broker" and own.broker_url is not None:
        return f"check SETTLE_BROKER_URL ({servers.shown(own.broker())})"
    if own.redis_url is None:
        return "start `settle dev`, or set SETTLE_REDIS_URL"
    return f"check SETTLE_REDIS_URL ({servers.shown(own.redis())})"
