"""The open points of the Unique Tokens contract (its section 10)."""

from typing import Literal

from pydantic import Field

from simulator.switches.base import Switches


class UniqueTokensSwitches(Switches):
    """Switches of the simulated Unique Tokens API; numbers are those of contract unique-tokens, section 10."""

    digest_rule: Literal["plain", "seed_before", "seed_after", "hmac"] = Field(
        "seed_before", description="10.1: SHA-256 of file, seed + file, file + seed, or HMAC keyed by the seed"
    )
    hash_gzip: bool = Field(False, description="10.1: filehashes.data is that of the compressed file")
    filehashes_without_seed: bool = Field(False, description="10.2: filehashes also without meta.seed")
    filehashes_missing: tuple[Literal["data", "snapshot"], ...] = Field(
        (), description="10.2: files whose hash is left out of filehashes"
    )
    early_milestone: Literal["current", "errors", "held"] = Field(
        "current",
        description="10.3: milestone call before the milestone: current record, errors body, or held open",
    )
    error_http: Literal["true", "as_success"] = Field(
        "true", description="10.4: HTTP code of errors: that of errors[].status, or 201 to POST and 200 else"
    )
    oversize: Literal["scaled", "refused"] = Field("scaled", description="10.5: size above what is reachable")
    undersize_code: Literal[400, 402, 406, 422] = Field(402, description="10.6: size or digits below the limit")
    bad_value_code: Literal[400, 406, 422] = Field(422, description="10.6: unknown alphabet, bad types, malformed JSON")
    unknown_id_code: Literal[403, 404, 410] = Field(404, description="10.7: unknown, foreign or deleted id")
    early_download_code: Literal[403, 404, 409, 425] = Field(
        404, description="10.7: data before ended, snapshot before finished or on a used-up line"
    )
    deleted_line: Literal["gone", "record"] = Field(
        "gone", description="10.7: GET of a deleted line: unknown id, or the record with status deleted"
    )
    same_alphabet: Literal["accepted", "refused"] = Field(
        "accepted", description="4: an alphabet under a name that the session has already (bad_value_code when refused)"
    )
    session_code: Literal[401, 403] = Field(403, description="10.8: missing, unknown or revoked Session-Key")
    foreign_session: Literal["unknown", "served"] = Field(
        "unknown", description="10.8: a line of another session of the same customer: unknown id, or served"
    )
    revoked_lines: Literal["go_on", "deleted"] = Field(
        "go_on", description="10.8: lines of a revoked session go on, or are dismantled with it"
    )
    session_lifetime_seconds: float | None = Field(
        None, gt=0, description="10.8: simulated seconds after which a session ends by itself; None: never"
    )
    reused_payment: Literal["accepted", "refused"] = Field(
        "accepted", description="10.9: a payment intent that already started a line (code 402 when refused)"
    )
    unpaid: tuple[str, ...] = Field((), description="10.9: payment intents that are unknown or not paid")
    payment_code: Literal[401, 402, 403, 409, 422] = Field(
        402, description="10.9: code for a payment that is missing, unpaid or refused as used"
    )
    answered_status: Literal["requested", "started"] = Field(
        "requested", description="10.10: status in the 201 answer of POST"
    )
    progress_visible: bool = Field(True, description="10.11: progress between 0 and 100 in the current record")
    progress_step: int = Field(10, ge=1, le=100, description="10.11: progress moves in steps of this many")
    failure_form: Literal["word", "stuck", "errors"] = Field(
        "word", description="10.12: a failed line shows a status word, stays started, or answers errors"
    )
    failure_word: str = Field("aborted", description="10.12: status word of a failed line")
    analyzed: Literal["after_finished", "instead"] = Field(
        "after_finished", description="10.13: analyzed comes after finished, or instead of it"
    )
    analyzed_path: bool = Field(True, description="10.13: /analyzed is a milestone path")
    finish_seconds: float = Field(
        1, ge=0, description="7: simulated seconds from ended to finished of a line with a snapshot"
    )
    data_content_length: bool = Field(
        False, description="10.14: GET of files carries Content-Length instead of being chunked"
    )
    sessions_uuid: Literal["any", "session_key"] = Field(
        "any", description="10.16: GET /api/sessions/{uuid} takes any UUID, or that of the Session-Key header only"
    )
    files_kept_seconds: float | None = Field(
        None,
        ge=0,
        description="10.17: simulated seconds from finished until the service dismantles a line; None: never",
    )
    second_part_new_id: bool = Field(False, description="10.15: the next part gets a new id")
    frozen_parts: bool = Field(
        False, description="10.15: until a part reaches a milestone, that of the part before is served under its id"
    )
    repeat_token: bool = Field(False, description="6.6: a defect: the last token of a data file is its first once more")
    check_media_type: bool = Field(False, description="10.6: a POST with another Content-Type is refused (415)")
    max_lines: int | None = Field(None, ge=1, description="10.19: parallel lines of a session; None: no limit")
    list_carries_links: bool = Field(False, description="6.5: the elements of the list carry meta and links")
